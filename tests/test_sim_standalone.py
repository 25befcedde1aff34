# amaranth: UnusedElaboratable=no
"""A whole standalone board in simulation: it starts from its flash, says what it sees, and then serves its link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.boards.export import LINKED_TOP, linked_verilog
from subbyte.boards.flash_loader import FlashLoader
from subbyte.boards.wires import TextWire, UartWires
from subbyte.bundled import digits_data, digits_model
from subbyte.cli.ports import linked_design
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.known_answers import load_known_answers
from subbyte.compiler.recipe import RECIPES
from subbyte.golden import reference
from subbyte.host.driver import Driver
from subbyte.host.errors import DriverError
from subbyte.host.link_transport import LinkTransport
from subbyte.sim.runner import Design
from subbyte.sim.simulated_line import SimulatedLine
from subbyte.spec.engine import PRESETS
from subbyte.spec.flash_image import HEADER_BYTES, checksum, flash_image
from subbyte.spec.program_digest import program_digest

pytestmark = pytest.mark.cocotb

ADDRESS, FLASH_BYTES, DIVISOR = 0x100000, 1 << 17, 4
BOARD = f"""
module board(input clk, input rst, input rx, output tx, output busy);
    wire clock, select, copi, cipo;
    {LINKED_TOP} linked(
        .clk(clk), .rst(rst), {{RECEIVER}}.tx(tx), .busy(busy), .digit(),
        .flash__clock(clock), .flash__select(select), .flash__copi(copi), .flash__cipo(cipo)
    );
    spi_flash #(.ADDRESS({ADDRESS}), .BYTES({FLASH_BYTES})) flash(
        .clock(clock), .select(select), .copi(copi), .cipo(cipo)
    );
endmodule
"""
LONGEST_START = 0.05
"""Seconds at the simulated clock."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network, compiled."""
    out = tmp_path_factory.mktemp("compiled") / "digits"
    transform = InputTransform(scale=(1 / 16,))
    compile_model(digits_model(), PRESETS["up5k"], RECIPES["w4-a4log"], digits_data(), transform, 0, out)
    return out


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Compiled:
    return load_compiled(folder)


@pytest.fixture(scope="module")
def inputs(folder: Path) -> NDArray[np.int64]:
    """Input codes of the known answers."""
    return load_known_answers(folder / "kat.npz", load_compiled(folder).network).inputs.astype(np.int64)


@pytest.fixture(scope="module")
def design(compiled: Compiled) -> Design:
    """The board's Verilog, with the model of a flash at its pins."""
    return standalone(compiled, UartWires(DIVISOR), BOARD.replace("{RECEIVER}", ".rx(rx), "))


def standalone(compiled: Compiled, wires: UartWires | TextWire, board: str) -> Design:
    linked = linked_design(compiled.engine, UartWires(DIVISOR))
    model = Path(__file__).with_name("data") / "spi_flash.v"
    loader = FlashLoader(ADDRESS, compiled.engine.digest())
    return replace(linked, top="board", sources={
        **linked.sources, "linked.v": linked_verilog(wires, loader), "board.v": board, "spi_flash.v": model.read_text(),
    })


@contextmanager
def board(design: Design, content: bytes) -> Iterator[SimulatedLine]:
    with SimulatedLine(design, DIVISOR, {"flash.hex": "\n".join(f"{byte:02x}" for byte in content)}) as line:
        yield line


def said(line: SimulatedLine) -> list[str]:
    """The lines that a board says while it starts."""
    text, end = "", line.now() + LONGEST_START
    while not text.endswith(("loaded\r\n", "refused\r\n")):
        data = line.read(end - line.now())
        assert data, f"only {text!r} came"
        text += data.decode()
    return text.splitlines()


def transport(line: SimulatedLine) -> LinkTransport:
    return LinkTransport(line, timeout=1e-3, run_timeout=1e-2)


def classes(compiled: Compiled, codes: NDArray[np.int64]) -> list[str]:
    """What the reference sees."""
    best = reference.run(compiled.network, codes).reshape(len(codes), -1).argmax(axis=1)
    return [f"class {number}" for number in best]


def test_starts_classifies_and_serves(design: Design, compiled: Compiled, inputs: NDArray[np.int64]) -> None:
    """The host finds the program in place; another one can be loaded; the board's reset starts it anew."""
    program, expected = compiled.program, [*classes(compiled, inputs), "loaded"]
    assert len(set(expected)) > 2
    with board(design, flash_image(program, inputs)) as line:
        assert said(line) == expected
        driver = Driver(transport(line))
        assert driver.identify().program == f"{program_digest(program):08x}"
        driver.attach(program)
        codes = compiled.codes(compiled.samples)[4:7]
        outputs = reference.run(compiled.network, codes)
        assert np.array_equal(driver.batch(codes), outputs)

        other = replace(program, weights=program.weights ^ np.uint64(0x1001), pinned=program.pinned)
        driver.reload(other)
        assert not np.array_equal(driver.batch(codes), outputs)
        driver.load(program)
        assert np.array_equal(driver.batch(codes), outputs)

        line.reset_board()
        assert said(line) == expected
        assert Driver(transport(line)).identify().program == f"{program_digest(program):08x}"


def test_without_a_link(compiled: Compiled, inputs: NDArray[np.int64]) -> None:
    """It says the same, of a damaged image too, and hears nothing: what is sent to it has no answer."""
    design = standalone(compiled, TextWire(DIVISOR), BOARD.replace("{RECEIVER}", ""))
    image = flash_image(compiled.program, inputs)
    with board(design, image) as line:
        for _ in range(2):
            assert said(line) == [*classes(compiled, inputs), "loaded"]
            with pytest.raises(DriverError):
                Driver(transport(line)).identify()
            line.reset_board()
    with board(design, damaged(image, HEADER_BYTES + 1_000)) as line:
        assert said(line) == ["refused"]


def test_a_host_that_does_not_wait(design: Design, compiled: Compiled, inputs: NDArray[np.int64]) -> None:
    """What it asks during the start has its answer afterwards."""
    with board(design, flash_image(compiled.program, inputs[:1])) as line:
        patient = LinkTransport(line, timeout=LONGEST_START, run_timeout=1e-2)
        driver = Driver(patient, compiled.program)
        assert line.now() > 2e-3
        assert np.array_equal(driver.batch(inputs[:2]), reference.run(compiled.network, inputs[:2]))


def damaged(image: bytes, place: int) -> bytes:
    """A bit of it flipped."""
    return image[:place] + bytes([image[place] ^ 0x10]) + image[place + 1 :]


def for_another_engine(image: bytes) -> bytes:
    """With a right checksum."""
    body = damaged(image[:-4], 5)
    return body + checksum(body)


@pytest.mark.parametrize("kind", ["header", "commands", "checksum", "another engine", "blank"])
def test_refused(kind: str, design: Design, compiled: Compiled, inputs: NDArray[np.int64]) -> None:
    """Then the board works through its link as one without a loader."""
    image = flash_image(compiled.program, inputs)
    contents = {
        "header": damaged(image, 14), "commands": damaged(image, HEADER_BYTES + 1_000), "checksum": damaged(image, -1),
        "another engine": for_another_engine(image), "blank": b"",
    }
    with board(design, contents[kind]) as line:
        assert said(line) == ["refused"]
        driver = Driver(transport(line))
        assert driver.identify().program is None
        driver.load(compiled.program)
        assert np.array_equal(driver.infer(inputs[0]), reference.run(compiled.network, inputs[:1])[0])
