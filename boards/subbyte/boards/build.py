"""`build`: an engine configuration on a board, with the published keys of the command."""

from __future__ import annotations

from pathlib import Path

from subbyte.boards.board import Board, BoardError, Placement
from subbyte.boards.implement import Standalone, image_name, implement
from subbyte.boards.wires import Wire
from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.spec.engine import EngineConfig


def build(
    board: Board, engine: EngineConfig, out_dir: Path, image: bytes | None = None, wire: Wire = Wire.UART
) -> dict[str, object]:
    """Build the bitstream into `out_dir`; the result has the keys of `subbyte build --json`.

    `macs_per_cycle` counts 4-bit weights on operands of one plane. `clock_mhz` and `timing_met` tell
    whether the engine reaches the board's clock; a design that does not is written all the same.
    With an `image` (`subbyte.spec.flash_image`) the board starts from its flash. The board's goal for the clock is not
    set then, nor with SPI: it is known to be reached by the design without a loader and with a UART only.
    BoardError when the engine is for another family or a larger device, or the board has no such wires; ToolError when
    a tool is missing or fails.
    """
    if wire is Wire.SPI and board.spi is None:
        raise BoardError(f"Board {board.name} has no pins for an SPI host; its link must be uart")
    if wire is Wire.NONE and image is None:
        raise BoardError("A board without a link must be standalone: nothing else could load a program")
    if wire is Wire.SPI and image is not None:
        raise BoardError("A standalone board says its classes on a UART; its link must be uart or none")
    if engine.family is not board.family:
        raise BoardError(
            f"Board {board.name} needs an engine for {board.family.value}, "
            f"engine {engine.name} is for {engine.family.value}"
        )
    for resource, used, _ in engine.ledger():
        available = board.available()[resource]
        if used > available:
            raise BoardError(
                f"Board {board.name} must have the {used} {resource} that engine {engine.name} needs, not {available}"
            )
    verilog = engine_verilog(engine)
    placement = board.placement(engine.name)
    if image is not None or wire is Wire.SPI:
        placement = Placement(placement.seeds)
    standalone = None if image is None else Standalone(engine.digest(), image)
    done = implement(board, verilog, out_dir, placement, standalone, wire)
    return {
        "board": board.name,
        "engine": engine.name,
        "link": wire.value,
        "device": f"{board.device}-{board.package}",
        "lanes": engine.lanes,
        "macs_per_cycle": engine.lanes,
        "luts": done.report.luts,
        "ffs": done.ffs,
        "dsps": done.report.dsps,
        "rams": done.report.rams,
        "spram": done.report.spram,
        "available": done.report.available,
        "fmax_mhz": done.fmax_mhz,
        "clock_mhz": board.clock_hz / 1e6,
        "timing_met": done.fmax_mhz * 1e6 >= board.clock_hz,
        "bitstream": str(done.bitstream),
        "verilog_sha256": verilog_digest(verilog),
        "image": None if image is None else str(out_dir / image_name(board)),
    }
