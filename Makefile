# Everything runs in VENV, made on first use. Stamps make the second call quick.
PYTHON ?= python3.11
VENV ?= .venv
RUN := $(VENV)/bin/
ROOTS := golden hw flow sim boards train
# Of matrix products, which are small: more threads wait for each other, above all beside other workers of pytest.
export OPENBLAS_NUM_THREADS := 1

# Prints the apt packages that are missing, one line each, and fails if there are any.
define CHECK
missing=0; need() { echo "missing: $$1 (apt install $$2)" >&2; missing=1; }; \
if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
  need "Python 3.11 or newer as '$(PYTHON)'" python3.11; need "its venv module" python3.11-venv; \
  need "its shared library" libpython3.11; \
else \
  version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
  folders=$$($(PYTHON) -c 'import sys, sysconfig; print(sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib")'); \
  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || need "venv of Python $$version" python$$version-venv; \
  find $$folders /usr/lib /lib /usr/local/lib -name "libpython$$version*.so*" 2>/dev/null | grep -q . \
    || need "shared library of Python $$version, which cocotb needs" libpython$$version; \
fi; \
command -v g++ >/dev/null || need "g++, which Verilator needs" g++; \
command -v perl >/dev/null || need "perl, which Verilator needs" perl; \
exit $$missing
endef

.PHONY: help check venv dev demo test lint bench fuzz mutation boards clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    the bundled network from model to bitstream"
	@echo "make test    lint and all tests but the slow ones"
	@echo "make boards  bitstreams of both boards, and the slow tests, which are about them"
	@echo "make bench   the measurements of the README"
	@echo "make fuzz    2,000 random networks: reference = machine = Verilog; takes long"
	@echo "make mutation  faults put into the gateware, and which test notices each; takes long"
	@echo "make venv | lint | clean"

check:
	@$(CHECK)

$(VENV)/.stamp: pyproject.toml
	@$(CHECK)
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml
	@$(CHECK)
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.stamp $@

# PyTorch for CPUs from its own index, since PyPI's brings CUDA; where that is out of reach, whatever has the version.
$(VENV)/.stamp-train: $(VENV)/.stamp-dev constraints/train.txt
	$(RUN)python -m pip install --quiet --disable-pip-version-check --retries 0 -c constraints/train.txt torch \
	  --extra-index-url https://download.pytorch.org/whl/cpu
	$(RUN)python -m pip install --quiet --disable-pip-version-check -c constraints/train.txt --editable '.[train]'
	@touch $@

# The tools compile their WebAssembly on first use and keep it; two at once could overwrite what a third one has mapped.
$(VENV)/.stamp-tools: $(VENV)/.stamp-dev
	@echo "preparing Yosys and nextpnr: a minute or two, once" >&2
	@for tool in "yosys -V" "nextpnr-ice40 --version" "nextpnr-ecp5 --version"; do $(RUN)yowasp-$$tool || exit 1; done
	@for tool in icepack ecppack; do $(RUN)yowasp-$$tool --help >/dev/null 2>&1 </dev/null || true; done
	@touch $@

venv: $(VENV)/.stamp

dev: $(VENV)/.stamp-dev

demo: venv
	$(RUN)subbyte demo

lint: dev
	$(RUN)ruff check .
	$(RUN)mypy

test: lint $(VENV)/.stamp-tools $(VENV)/.stamp-train
	$(RUN)pytest -n auto --dist worksteal -m "not slow" --durations 10

bench: venv
	status=0; for script in $(filter-out benchmarks/mutation.py,$(sort $(wildcard benchmarks/*.py))); do \
	  echo "== $$script"; $(RUN)python $$script || status=1; done; exit $$status

fuzz: dev
	$(RUN)python tests/fuzz.py

mutation: $(VENV)/.stamp-tools
	$(RUN)python benchmarks/mutation.py

boards: dev
	$(RUN)subbyte build --engine up5k --board icebreaker
	$(RUN)subbyte build --engine ecp5-25 --board ulx3s-25f
	$(RUN)pytest -m slow

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(ROOTS) tests -name __pycache__ -type d -exec rm -rf {} +
