"""From the engine's Verilog to a board's bitstream."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from amaranth.build.run import BuildPlan

from subbyte.boards.board import DEFAULT_PLACEMENT, Board, BoardError, Placement
from subbyte.boards.manifest import MANIFEST, write_manifest
from subbyte.boards.routing import endless
from subbyte.boards.top import BoardTop
from subbyte.boards.wires import Wire
from subbyte.spec.engine import Family
from subbyte.tools.cache import digest, restore, store
from subbyte.tools.environment import environment
from subbyte.tools.errors import ToolError, ToolTimeout
from subbyte.tools.find import version
from subbyte.tools.place import shortage
from subbyte.tools.report import Report, parse_report
from subbyte.tools.run import run_logged, with_kept_log
from subbyte.tools.synthesize import UP5K, cell_counts, count_ffs

_ICE40_TOOLS = ("yosys", "nextpnr-ice40", "icepack")
_TOOLS = {
    Family.ICE40: _ICE40_TOOLS, Family.ICE40_HX: _ICE40_TOOLS, Family.ECP5: ("yosys", "nextpnr-ecp5", "ecppack"),
}

# router1 goes on for ever on an iCE40 that is nearly full. Twice the usual weight of timing in placement.
_ICE40_PLACE = "--router router2 --placer-heap-timingweight 20"
_PLACE_AND_ROUTE = {
    Family.ICE40: _ICE40_PLACE,
    Family.ICE40_HX: _ICE40_PLACE,
    # Of one analytic placement of `ecp5-25`, router1, which routes by timing, makes 92 MHz and router2 63.
    Family.ECP5: "--router router1 --placer static",
}

CLOCK_NET = "clk"
"""The engine's clock, behind the PLL."""

ROUTED = "routed.json.gz"
"""In a build's folder: the netlist that nextpnr writes back after place and route."""

SEED_SECONDS = 7200
"""Longest build of one seed: nextpnr's routers may go on for ever on a device that is nearly full. `ecp5-85`
takes three quarters of an hour, all others minutes."""

_TIMING = "top.tim"
"""nextpnr's log, in Amaranth's names."""


@dataclass(frozen=True)
class Implementation:
    """A finished bitstream.

    report : what nextpnr used and reached, of the seed that was kept
    ffs : flip-flops of the whole design
    fmax_mhz : slowest clock
    bitstream : path
    """

    report: Report
    ffs: int
    fmax_mhz: float
    bitstream: Path


@dataclass(frozen=True)
class Standalone:
    """What a board needs to start from its flash.

    engine_digest : of the engine's configuration
    image : of `subbyte.spec.flash_image`, for the board's `flash.address`
    """

    engine_digest: str
    image: bytes = field(repr=False)


def image_name(board: Board) -> str:
    """Name of the file beside the bitstream. Tools that ask the end of a name take it for what it is, plain bytes."""
    return f"{board.name}.image.bin"


def implement(
    board: Board, verilog: str, out_dir: Path, placement: Placement = DEFAULT_PLACEMENT,
    standalone: Standalone | None = None, wire: Wire = Wire.UART,
) -> Implementation:
    """Build the bitstream of a board around an engine's Verilog.

    `out_dir` is replaced as a whole when everything is done, and left alone when something fails. It
    then holds engine.v, <board>.bin or .bit, the placed and routed netlist, report.json (nextpnr), stat.json (Yosys),
    the manifest and the logs; of a board that is `standalone` also <board>.image.bin, and its top has a loader.
    The placement's seeds are tried until the board's clock is met; else the fastest is kept, the caller compares. A
    seed whose routing will not end is given up.
    ToolError when a tool fails; a design that is too large is told by the resource that runs out. BoardError when the
    bitstream would reach into the image, or `out_dir` is there and no build.
    """
    out_dir = out_dir.absolute()
    _check_replaceable(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}-") as folder:
        new = Path(folder) / "new"
        digest_of_engine = standalone and standalone.engine_digest
        plan = _plan(board, verilog, placement, placement.seeds[0], digest_of_engine, wire)
        versions = [version(tool) for tool in _TOOLS[board.family]]
        key = digest("implement", plan.digest(), repr(placement.seeds), repr(board.clock_hz), *versions)
        if not restore(key, new):
            _collect(board, _fastest(board, verilog, Path(folder), placement, digest_of_engine, wire), new)
            store(key, new, [path.name for path in new.iterdir()])
        write_manifest(new, board, wire)
        if standalone is not None:
            _check_room(board, (new / f"{board.name}{board.bitstream}").stat().st_size)
            (new / image_name(board)).write_bytes(standalone.image)
        if out_dir.exists():
            out_dir.rename(Path(folder) / "old")
        new.rename(out_dir)
    report = parse_report(out_dir / "report.json")
    return Implementation(
        report, count_ffs(cell_counts(out_dir / "stat.json")), min(report.fmax_mhz.values()),
        out_dir / f"{board.name}{board.bitstream}",
    )


def _check_replaceable(out_dir: Path) -> None:
    """BoardError unless a folder is free, empty, or holds a build, which may be replaced."""
    if out_dir.is_symlink() or out_dir.exists() and not out_dir.is_dir():
        raise BoardError(f"Output {out_dir} must be a folder, it is something else")
    if out_dir.is_dir() and any(out_dir.iterdir()) and not (out_dir / MANIFEST).is_file():
        raise BoardError(f"Output {out_dir} must be free, empty or a build, which is replaced; it holds something else")


def _check_room(board: Board, size: int) -> None:
    """BoardError unless a bitstream of so many bytes ends before the image."""
    if size > board.flash.address:
        raise BoardError(
            f"Bitstream of {board.name} must end before the image at {board.flash.address:#x} in the flash, "
            f"it has {size} bytes"
        )


def _plan(
    board: Board, verilog: str, placement: Placement, seed: int, standalone: str | None = None, wire: Wire = Wire.UART
) -> BuildPlan:
    """Amaranth's own build files of the design, with the seed, the reports and the clock's goal added."""
    route, goal = _PLACE_AND_ROUTE[board.family], {}
    if placement.goal_hz is not None:
        # What is asked for the net takes the place of what follows from the oscillator.
        route += " --tmg-ripup"
        goal = {"add_constraints": f"set_frequency {CLOCK_NET} {placement.goal_hz / 1e6:g}"}
    return board.new_platform().prepare(
        BoardTop(board, verilog, standalone, wire), "top",
        synth_opts=" ".join(UP5K) if board.device == "up5k" else "",
        script_after_synth="delete t:$scopeinfo\ntee -q -o stat.json stat -json",
        nextpnr_opts=f"--seed {seed} {route} --report report.json --write routed.json --timing-allow-fail",
        # Lines of our sources: without them the same design has the same digest wherever they are.
        emit_src=False,
        **goal,
    )


def _fastest(
    board: Board, verilog: str, folder: Path, placement: Placement, standalone: str | None, wire: Wire
) -> Path:
    """Run the seeds until one meets the clock; the build folder of the fastest."""
    runs: list[tuple[float, Path]] = []
    for seed in placement.seeds:
        build_dir = _plan(board, verilog, placement, seed, standalone, wire).extract(folder / f"seed{seed}")
        timing = build_dir / _TIMING
        env = environment(*_TOOLS[board.family])
        try:
            run_logged("build", ["sh", "build_top.sh"], build_dir, env, SEED_SECONDS, partial(endless, timing))
        except ToolTimeout as error:
            stopped = error
            continue
        except ToolError as error:
            raise _explained(error, board, build_dir) from None
        fmax_mhz = min(parse_report(build_dir / "report.json").fmax_mhz.values())
        runs.append((fmax_mhz, build_dir))
        if fmax_mhz * 1e6 >= board.clock_hz:
            break
    if not runs:
        raise _explained(stopped, board, build_dir)
    return max(runs)[1]


def _explained(error: ToolError, board: Board, build_dir: Path) -> ToolError:
    """The shortage if there is one, else the error with a log that outlives the build folder."""
    timing = build_dir / _TIMING
    if timing.is_file() and (text := shortage(timing, board.device)):
        return ToolError(text)
    return with_kept_log(error, build_dir / "build.log", board.name)


def _collect(board: Board, build_dir: Path, new: Path) -> None:
    """Copy what is worth keeping, under names of its own."""
    new.mkdir()
    for source, name in (
        (f"top{board.bitstream}", f"{board.name}{board.bitstream}"), ("engine.v", "engine.v"),
        ("report.json", "report.json"), ("stat.json", "stat.json"), ("top.rpt", "yosys.log"),
        (_TIMING, "nextpnr.log"),
    ):
        shutil.copyfile(build_dir / source, new / name)
    (new / ROUTED).write_bytes(gzip.compress((build_dir / "routed.json").read_bytes(), mtime=0))
