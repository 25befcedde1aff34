"""The documentation: what it says commands print is what they print, and its links lead somewhere.

`pytest tests/test_docs.py --write-docs` puts the real output into the pages.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from board_model import BoardModel, DeviceTransport, ModelLine

from subbyte.boards.registry import BOARDS
from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.cli.parser import COMMANDS
from subbyte.compiler.compile import compile_model
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.recipe import RECIPES, load_recipe
from subbyte.spec.engine import PRESETS, load_engine

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
CHANGES = re.compile(r"\b[0-9a-f]{64}\b")
"""Digests of the Verilog, which every change of the gateware changes."""
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """A command line and what it prints, without blank lines and blanks at line ends."""
    name, *arguments = shlex.split(command)
    assert name == "subbyte"
    capsys.readouterr()
    status = main(arguments)
    told = capsys.readouterr()
    lines = [line.rstrip() for line in (told.out + told.err).splitlines() if line.strip()]
    if status:
        lines.append(f"(exit status {status})")
    return "\n".join([f"$ {command}", *lines]) + "\n"


@pytest.mark.cocotb
def test_examples(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All examples of commands.md in their order, in a folder that looks like the repository."""
    page = DOCS / "commands.md"
    text = page.read_text()
    (tmp_path / "flow").symlink_to(REPOSITORY / "flow")
    monkeypatch.chdir(tmp_path)

    def real(block: re.Match[str]) -> str:
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "\n".join(printed(command, capsys) for command in commands) + "```\n"

    expected = BLOCK.sub(real, text)
    if request.config.getoption("write_docs"):
        page.write_text(expected)
    else:
        assert CHANGES.sub("DIGEST", text) == CHANGES.sub("DIGEST", expected), "see --write-docs"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_export_from_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's export runs in the environment of the project, and its model is read."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    export = re.findall(r"```python\n(.*?)```", (DOCS / "from-pytorch.md").read_text(), re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    exec(export, {"model": model})
    assert [node.op for node in import_onnx(tmp_path / "model.onnx").nodes] == ["conv2d", "relu", "dense"]


def test_every_command_is_documented() -> None:
    headings = re.findall(r"^## `subbyte (\w+)", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert headings == list(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    text = page.read_text()
    for link in LINK.findall(text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """Files of the repository that a page names in code quotes."""
    roots = "golden|hw|flow|sim|boards|train|benchmarks|tests|docs"
    for name in re.findall(rf"`((?:{roots})/[\w./-]+)`", page.read_text()):
        assert (REPOSITORY / name).exists(), f"{page.name}: {name}"


def test_every_page_is_in_the_index() -> None:
    linked = set(LINK.findall((DOCS / "README.md").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= linked


def test_example_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (DOCS / "boards.md").read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)

    def serial_line(port: str, baud: int) -> ModelLine:
        assert baud == BOARDS["icebreaker"].baud
        return ModelLine(BoardModel(DeviceTransport(PRESETS["up5k"])))

    monkeypatch.setattr("subbyte.host.serial_line.SerialLine", serial_line)
    transform, recipe = InputTransform(scale=(1 / 16,)), RECIPES["w4-a4log"]
    out = tmp_path / "build" / "digits"
    compile_model(digits_model(), PRESETS["up5k"], recipe, digits_data(), transform, 0, out)
    exec(compile(example, "boards.md", "exec"), {})
    with np.load(digits_data()) as data:
        assert capsys.readouterr().out == f"{data['y_calib'][0]} 0\n"


def toml_examples() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", (DOCS / "formats.md").read_text(), re.MULTILINE | re.DOTALL)


def test_example_of_a_recipe(tmp_path: Path) -> None:
    recipe, engine = toml_examples()
    (tmp_path / "mine.toml").write_text(recipe)
    assert load_recipe(str(tmp_path / "mine.toml")).layers
    (tmp_path / "big.toml").write_text(engine)
    assert load_engine(str(tmp_path / "big.toml")).name == tomllib.loads(engine)["name"]


def test_all_recipes_and_presets_are_described() -> None:
    text = (DOCS / "formats.md").read_text() + (DOCS / "commands.md").read_text()
    assert all(f"`{name}`" in text or name in text.split() for name in [*RECIPES, *PRESETS])


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    text = (REPOSITORY / "README.md").read_text() + (DOCS / "verification.md").read_text()
    named = set(re.findall(r"`make (\w+)`", text)) | set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_ci_is_executable() -> None:
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
