"""Faults on a board's link: what the driver makes of them, on the simulated Verilog of UART, link and a small engine.

Each case is an inference, or now and then a load and an inference, with one fault at a seeded place. It must end in
time, with the right codes or with an error; then an inference without faults must be right, after a load at most: the
bitstream is never loaded again. Outputs of consecutive cases differ, so that a late answer would be a wrong one. Exit
status 1 when a case fails.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from measure import CONSOLE, options, show
from numpy.typing import NDArray

from subbyte.cli.ports import SIMULATED_DIVISOR, SIMULATED_WIRES, linked_design
from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.requant import multiplier_shift
from subbyte.host.driver import Driver
from subbyte.host.errors import DriverError
from subbyte.host.link_transport import LinkTransport
from subbyte.sim.simulated_board import CLOCK_HZ
from subbyte.sim.simulated_line import SimulatedLine
from subbyte.spec import link
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.spec.formats import accumulator, linear
from subbyte.spec.frames import Op
from subbyte.spec.network import Conv2d, Network, Requantize, Tensor
from subbyte.spec.program import Program
from subbyte.spec.weights import WeightFormat

ENGINE = EngineConfig(
    name="link-faults", family=Family.ECP5, lane=Lane.DIGIT, k=4, m=1, p=1, r=1, operand_bits=6, fill_nibbles=4,
    memory_words=256, ring_rows=16, tile_words=16, param_entries=16, table_slots=8, lut_slots=4, lut_bits=8,
)
TIMEOUT, RUN_TIMEOUT = 4_000 / CLOCK_HZ, 8_000 / CLOCK_HZ
FRAME = 540 * 10 * SIMULATED_DIVISOR / CLOCK_HZ
"""The longest, all of it escaped."""
LONGEST = 3 * (10 * 4 * (TIMEOUT + FRAME) + RUN_TIMEOUT)
"""Simulated seconds after which a case counts as stuck: three attempts of ten commands that are sent four times."""
INPUTS = 12
LOADS = 20
"""One case in so many loads the program."""
COLUMNS = ("kind", "cases", "hit", "right", "error", "wrong", "late", "not recovered", "reloads", "longest ms")


def small_network(rng: np.random.Generator) -> Network:
    """A convolution of 4 x 4 x 3 codes to 4 x 4 x 6, codes and weights of four bits."""
    form = WeightFormat(ENGINE.weight_set, 4)
    weight = rng.integers(form.low, form.high + 1, (6, 3, 3, 3))
    multiplier, shift = multiplier_shift(np.full(len(weight), 0.04))
    tensors = [
        Tensor("input", (4, 4, 3), linear(4)), Tensor("acc", (4, 4, 6), accumulator()),
        Tensor("output", (4, 4, 6), linear(4)),
    ]
    conv = Conv2d(
        "layer", "input", "acc", weight, np.zeros(len(weight), dtype=np.int64), form, padding=(1, 1, 1, 1)
    )
    layers = (conv, Requantize("codes", "acc", "output", multiplier, shift))
    return Network("link-faults", {tensor.name: tensor for tensor in tensors}, layers, "input", "output")


@dataclass
class Fault:
    """One fault, once. `at`: bytes of that direction before it, or seconds for what comes in between."""

    kind: str
    to_board: bool
    at: float
    size: int
    noise: random.Random = field(repr=False)
    done: bool = False

    def damaged(self, data: bytes, place: int) -> bytes:
        """`data` with the fault at `place`."""
        before, hit, behind = data[:place], data[place : place + self.size], data[place + self.size :]
        if self.kind == "bit flip":
            return before + bytes([data[place] ^ 1 << self.noise.randrange(8)]) + data[place + 1 :]
        if self.kind == "bytes lost":
            return before + behind
        if self.kind == "bytes twice":
            return before + hit + hit + behind
        if self.kind == "frame twice":
            return data + data
        return before  # cut


BYTE_KINDS = ("bit flip", "bytes lost", "bytes twice", "frame twice", "cut")
TIME_KINDS = ("garbage", "foreign request", "board reset", "run ended")
KINDS = (*BYTE_KINDS, *TIME_KINDS)


class FaultyLine:
    """A simulated line with at most one fault at a time."""

    def __init__(self, line: SimulatedLine) -> None:
        self._line = line
        self.byte_seconds = line.byte_seconds
        self.fault: Fault | None = None
        self.counts = [0, 0]  # bytes from and to the board, since `watch`
        self._start = 0.0

    def watch(self, fault: Fault | None) -> None:
        """From now on, with this fault."""
        self.fault, self.counts, self._start = fault, [0, 0], self.now()

    def now(self) -> float:
        """Simulated seconds."""
        return self._line.now()

    def _passed(self, data: bytes, to_board: bool) -> bytes:
        """`data` after the fault, if it is its turn."""
        count, fault = self.counts[to_board], self.fault
        self.counts[to_board] += len(data)
        if not data or fault is None or fault.kind not in BYTE_KINDS or fault.to_board != to_board:
            return data
        if fault.done:  # a cable that is cut stays so for some frames
            fault.size -= fault.kind == "cut"
            return b"" if fault.kind == "cut" and fault.size > 0 else data
        if count + len(data) <= fault.at:
            return data
        fault.done = True
        return fault.damaged(data, int(fault.at) - count)

    def write(self, data: bytes) -> None:
        """Send, what is left of it."""
        self._line.write(self._passed(data, True))

    def read(self, seconds: float) -> bytes:
        """Receive; what happens in between interrupts it."""
        fault = self.fault
        if fault is not None and fault.kind in TIME_KINDS and not fault.done:
            left = self._start + fault.at - self.now()
            if left < seconds:
                data = self._line.read(left) if left > 0 else b""
                if self._start + fault.at <= self.now() + self.byte_seconds:
                    fault.done = True
                    self._interrupt(fault)
                return data or self.read(seconds - max(left, 0))
        return self._passed(self._line.read(seconds), False)

    def _interrupt(self, fault: Fault) -> None:
        noise = fault.noise
        if fault.kind == "board reset":
            self._line.reset_board(noise.randrange(1, 50))
        elif fault.kind == "garbage":
            values = [*range(256), *[link.END, link.ESC] * 60]
            self._line.write(bytes(noise.choice(values) for _ in range(fault.size)))
        else:  # another request, with a number of its own
            command = link.reset() if fault.kind == "run ended" else bytes([3, 0, 0, 0, Op.IDENTIFY])
            limit = bytes([link.END])
            self._line.write(limit + link.request(noise.randrange(link.END), command) + limit)


@dataclass
class Row:
    """Counts of one kind. `hit`: the fault happened before the case was over."""

    hit: int = 0
    right: int = 0
    error: int = 0
    wrong: int = 0
    late: int = 0
    lost: int = 0
    reloads: int = 0
    longest: float = 0.0

    @property
    def met(self) -> bool:
        """No wrong answer, no hang, always recovered."""
        return not (self.wrong or self.late or self.lost)

    def to_dict(self, kind: str, cases: int) -> dict[str, object]:
        """A line of the table."""
        return {
            "kind": kind, "cases": cases, "hit": self.hit, "right": self.right, "error": self.error,
            "wrong": self.wrong, "late": self.late, "not recovered": self.lost, "reloads": self.reloads,
            "longest ms": round(1e3 * self.longest, 2),
        }


class Campaign:
    """Cases on one line, each with the next of the seed's random numbers. RuntimeError when nothing works anyway."""

    def __init__(self, line: FaultyLine, program: Program, codes: NDArray[np.int64], seed: int) -> None:
        self._line, self._program, self._codes = line, program, codes
        self._expected = Machine(program).run(codes)
        self._random = random.Random(seed)
        self._driver = Driver(LinkTransport(line, TIMEOUT, RUN_TIMEOUT))
        self._last = 0
        self.rows = {kind: Row() for kind in KINDS}
        self._load = self._measured(lambda: self._driver.load(program))
        self._inference = self._measured(self._right)
        if not self._right():
            raise RuntimeError("Without a fault the answer is wrong")

    def _measured(self, action: Callable[[], object]) -> tuple[list[int], float]:
        """Bytes from and to the board, and seconds, without a fault."""
        self._line.watch(None)
        start = self._line.now()
        action()
        return list(self._line.counts), self._line.now() - start

    def _right(self) -> bool:
        """Whether an inference gives what the machine gives; never the input of the one before."""
        self._last = (self._last + self._random.randrange(1, len(self._codes))) % len(self._codes)
        return bool((self._driver.infer(self._codes[self._last]) == self._expected[self._last]).all())

    def case(self, number: int) -> None:
        """Case `number`: its kind follows from it."""
        kind, loads = KINDS[number % len(KINDS)], number // len(KINDS) % LOADS == 0
        row, choose = self.rows[kind], self._random
        counts, seconds = self._load if loads else self._inference
        to_board = choose.random() < 0.5
        end = counts[to_board] if kind in BYTE_KINDS else seconds
        at = choose.random() * end
        fault = Fault(kind, to_board, at, choose.choice([1, 1, 2, 3, 8, 30]), random.Random(choose.random()))
        self._line.watch(fault)
        start = self._line.now()
        try:
            if loads:
                self._driver.load(self._program)
            right = self._right()
            row.right, row.wrong = row.right + right, row.wrong + (not right)
        except DriverError:
            row.error += 1
        spent = self._line.now() - start
        row.longest, row.late = max(row.longest, spent), row.late + (spent > LONGEST)
        self._line.watch(None)
        row.hit += fault.done
        row.lost += not self._recovers(row)

    def _recovers(self, row: Row) -> bool:
        try:
            return self._right()
        except DriverError:
            row.reloads += 1
        try:
            self._driver.load(self._program)
            return self._right()
        except DriverError:
            return False


def campaign(cases: int, seed: int, progress: Callable[[float], None] = lambda fraction: None) -> dict[str, Row]:
    """`cases` cases on a board of its own; kind -> row."""
    rng = np.random.default_rng(seed)
    network = small_network(rng)
    program = schedule(network, ENGINE)
    codes = rng.integers(0, 16, (INPUTS, 4, 4, 3))
    with SimulatedLine(linked_design(ENGINE, SIMULATED_WIRES), SIMULATED_DIVISOR) as simulated:
        faults = Campaign(FaultyLine(simulated), program, codes, seed)
        for number in range(cases):
            faults.case(number)
            progress((number + 1) / cases)
    return faults.rows


def main() -> int:
    """Run, print, judge."""
    parser = options(__doc__)
    parser.add_argument("--cases", type=int, default=1_000, help="number of faults (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with CONSOLE.step(f"{arguments.cases} faults") as progress:
        rows = campaign(arguments.cases, arguments.seed, progress)
    cases = {kind: len(range(number, arguments.cases, len(KINDS))) for number, kind in enumerate(KINDS)}
    show([row.to_dict(kind, cases[kind]) for kind, row in rows.items()], COLUMNS, arguments.json)
    return int(not all(row.met for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
