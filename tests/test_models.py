"""Every published model on the engine that the benchmark has for it: compiled, reference = machine on one input."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from subbyte.compiler.schedule_error import ScheduleError
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference

SAMPLES = 4
"""That compile calibrates on: what the integers are does not matter here."""

pytestmark = pytest.mark.usefixtures("shared_data")

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))
    benchmark = importlib.import_module("models")
MODELS, compiled, engine_of = benchmark.MODELS, benchmark.compiled, benchmark.engine_of


@pytest.mark.parametrize("name", MODELS)
def test_reference_is_machine(name: str) -> None:
    model = MODELS[name]
    made, _ = compiled(model, engine_of(model.engine), model.recipes[0], SAMPLES)
    codes = made.codes(made.samples)[:1]
    expected = reference.run(made.network, codes, taps=True)
    assert first_difference(made.program, expected, Machine(made.program).run(codes, taps=True)) is None


def test_a_model_that_is_too_large_is_refused() -> None:
    """208,112 weights with their slots beside 55,296 activations: more than 360,448 bytes of main memory."""
    model = MODELS["vww-int8"]
    with pytest.raises(ScheduleError, match=r"^Network: main memory: \d+ words needed, ecp5-85 has 45056: "):
        compiled(model, engine_of("ecp5-85"), model.recipes[0], SAMPLES)


def test_files_are_where_the_manifest_says(shared_data: Path) -> None:
    listed = (shared_data / "MANIFEST.md").read_text()
    assert all(f"### {model.file}" in listed for model in MODELS.values())
