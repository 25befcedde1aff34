"""Cycles of a program, from a model of the pipeline: gather, pump, array, shadow and writer run side by side.

The array is followed turn by turn, a turn being one window position of one column group of one group of
pixels; the other units by when they deliver what a turn needs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby
from math import inf

from subbyte.compiler.cost_gather import GatherModel, column_words
from subbyte.compiler.cost_pump import PumpModel
from subbyte.compiler.cost_records import record_steps
from subbyte.compiler.cost_timeline import Accesses, Port, Releases
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.program import Compute, Pass, Program

NOTABLE_STALL = 0.1
"""A pass is bound by what it waits for when it does so for more than this part of its cycles."""

SETTLING, PAUSE = 3, 1
"""Cycles that the array loses at the start of a column pass, and before each but its first output column."""

RING_PARTS = 4
"""Turns are cut so that none needs more than this part of the tile or of the weight buffer."""


@dataclass(frozen=True)
class Latency:
    """Cycles between events; all that the model does not count.

    start : RUN to the moment from which the first pass goes like one after `written`
    written : last code written to the first step of the next pass, and to the first request of one that waits
    ahead : last code written to the first request of the pass after the next, if it does not wait
    fill : gather unit idle to the first request of the next pass
    tile : last code requested to its step
    load : RUN to the first request of the weight pump
    pump : last word of a weight row requested to its step
    sum : step to its sum at the shadow's output
    drain : last of M results at the shadow's output to their writing
    skip : first of M results at the shadow's output to the first read of the next block's skip codes
    params : last parameter entry of a pass requested to the moment from which it goes like one after `written`
    head : further cycles before the first step of a pass, in which the skip reader gets ahead
    """

    tile: int
    sum: int
    start: int
    written: int
    ahead: int
    fill: int
    load: int
    pump: int
    drain: int
    skip: int = 2
    head: int = 0
    params: int = -1

    @classmethod
    def of(cls, engine: EngineConfig) -> Latency:
        """Registered families have registers before decode tables and array, and in it before tree and accumulators."""
        registered = engine.family.registered
        levels = (engine.k - 1).bit_length() + (engine.lane is not Lane.SHIFT)
        read = engine.read_cycles
        summed = 2 + levels + 2 * registered + engine.scale_cycles + engine.outlier_slots
        return cls(
            tile=3 + read + registered + engine.pairs, sum=summed,
            head=max(0, engine.p + engine.r + read - 1 - summed) if engine.highway else 0,
            drain=12 if engine.exact_rounding else 9,
            start=5 + read, written=2 + read, ahead=9 + read, fill=10 + read, load=2 + read,
            pump=engine.pump_cycles,
        )


@dataclass(frozen=True)
class Cost:
    """Cycles of a pass, or of all passes of a layer, from the end of what was before to the last code written.

    `bound_by` is "compute", or what the array waits for: "weights", "activations" or "requantizer".
    `stalls` are the cycles that it waits, by cause.
    """

    layer: str
    cycles: int
    stalls: dict[str, int]

    @property
    def bound_by(self) -> str:
        """The largest stall if it is notable."""
        cause, cycles = max(self.stalls.items(), key=lambda item: item[1])
        return cause if cycles > NOTABLE_STALL * self.cycles else "compute"


@dataclass(frozen=True)
class Estimate:
    """Costs of the passes in order; `cycles` is from RUN to the last result written."""

    passes: tuple[Cost, ...]
    cycles: int

    @property
    def layers(self) -> tuple[Cost, ...]:
        """Costs of layers (groups of IR layers, joined by +) in order."""
        merged = []
        for layer, members in groupby(self.passes, key=lambda cost: cost.layer):
            costs = list(members)
            stalls: Counter[str] = Counter()
            for cost in costs:
                stalls.update(cost.stalls)
            merged.append(Cost(layer, sum(cost.cycles for cost in costs), dict(stalls)))
        return tuple(merged)


def estimate(program: Program, latency: Latency | None = None, cold: bool = False) -> Estimate:
    """Cycles of one run of `program`, input resident.

    `cold`: the first run, which loads the weights of a pinned program; later ones find them in the weight buffer.
    """
    resident = program.pinned and not cold
    model = _Model(program, latency or Latency.of(program.engine), resident)
    costs, begin = [], 0
    for index in range(len(program.passes)):
        end = round(model.run(index))
        costs.append(Cost(program.passes[index].layer, end - begin, model.stalls(index)))
        begin = end
    return Estimate(tuple(costs), begin)


def _pieces(engine: EngineConfig, compute: Compute) -> int:
    """Parts into which a turn is cut so that tile and weight buffer hold several."""
    if compute.hop:
        return 1
    words = compute.words + 1
    need = max(words * (compute.planes + 1) / engine.tile_words, words * (compute.last_row + 1) / engine.ring_rows)
    return min(words, max(1, round(need * RING_PARTS)))


class _Model:
    """Time of the array, and the units around it."""

    def __init__(self, program: Program, latency: Latency, resident: bool) -> None:
        engine, passes = program.engine, program.passes
        self.latency = latency
        self._resident = resident
        self._engine = engine
        self._passes = passes
        self._pieces = [_pieces(engine, one.compute) for one in passes]
        self._port = Port()
        self._coming = Accesses(self._port)
        self._gather = GatherModel(engine, passes, self._pieces, self._port, latency.fill)
        self._gather.open(latency.start + latency.written)
        self._pump = PumpModel(program)
        self._rows_released = Releases()
        self._rows = 0  # loaded
        self._rows_at = float(latency.load)
        self._first_row = 0  # of the current pass
        self._tile = 0  # words released
        self._now = 0.0
        self._shadow_free = 0.0
        self._written = float(latency.start)
        self._stalls: list[defaultdict[str, float]] = []

    def stalls(self, index: int) -> dict[str, int]:
        """Cycles that the array waited in a pass, by cause."""
        return {cause: round(self._stalls[index][cause]) for cause in ("weights", "activations", "requantizer")}

    @property
    def _done(self) -> float:
        """When the passes so far have written everything and made all their steps."""
        return max(self._written, self._now)

    def run(self, index: int) -> float:
        """Time of the last code written by pass `index`; passes must be run in order."""
        latency, one = self.latency, self._passes[index]
        self._stalls.append(defaultdict(float))
        before = self._done
        ready = max(before, self._gather.params_loaded(index) + latency.params)
        self._now = ready + latency.written + latency.head
        self._shadow_free = 0.0
        if index + 1 < len(self._passes):
            self._gather.open(ready + latency.ahead)
        if one.fill.column:
            self._columns(index, one)
        else:
            follow = self._band if one.compute.hop else self._pixel_group
            for pixel_group in range(one.compute.pixel_groups + 1):
                follow(index, one, pixel_group == 0, pixel_group == one.compute.pixel_groups)
        self._coming.tell(inf)
        self._first_row += one.weight_rows
        if index + 1 < len(self._passes) and self._passes[index + 1].fill.wait:
            self._gather.release(self._done + latency.written)
        return self._done

    def _pixel_group(self, index: int, one: Pass, first: bool, last: bool) -> None:
        """All turns of one group of pixels; rows are loaded in the first and released in the last."""
        compute = one.compute
        pieces, rows, planes = self._pieces[index], compute.last_row + 1, compute.planes + 1
        words = [(compute.words + 1) * part // pieces for part in range(pieces + 1)]
        row = self._first_row
        for group in range(compute.groups + 1):
            for window in range(compute.windows + 1):
                for piece in range(pieces):
                    count = words[piece + 1] - words[piece]
                    begin = self._now
                    needs: dict[str, float] = {}
                    if group == 0:
                        needs["activations"] = self._gather.next_ready(index) + self.latency.tile + rows * planes
                    if first and window == 0 and not self._resident:
                        needs["weights"] = self._load(row + words[piece + 1] * rows) + self.latency.pump + planes
                    if window == 0 and piece == pieces - 1:
                        needs["requantizer"] = self._shadow_free
                    beside = record_steps(self._engine, one) if piece == pieces - 1 else 0
                    end = self._finish(index, count * rows * planes + beside, needs)
                    if group == compute.groups:
                        self._tile += count * planes
                        self._gather.released.add(self._tile, begin, end)
                    if last and window == compute.windows:
                        self._rows_released.add(row + words[piece + 1] * rows, begin, end)
            row += (compute.words + 1) * rows
            self._drain(one)
            self._gather.advance(self._now)

    def _band(self, index: int, one: Pass, first: bool, last: bool) -> None:
        """All columns of all rows of a band of a line pass."""
        compute, each = one.compute, column_words(self._engine, one.fill)
        planes, groups = compute.planes + 1, compute.windows + 1
        rows = (compute.words + 1) * (compute.last_row + 1)
        columns, shift = (compute.words + 1) // each, compute.hop // (planes * each)
        gathered, begin = 0, self._now
        for line in range(compute.lines + 1):
            row = self._first_row + line * groups * rows
            missing = last and compute.short and line
            for column in range(compute.groups + 1):
                for group in range(groups):
                    begin = self._now
                    needs: dict[str, float] = {}
                    while gathered < column * shift + columns:
                        ready = self._gather.next_ready(index) + self.latency.tile
                        needs["activations"] = ready + (compute.last_row + 1) * planes
                        gathered += 1
                    if first and column == 0 and not self._resident:
                        self._gather.advance(inf)  # it asks for memory in every cycle, the pump only gets what is left
                        needs["weights"] = self._load(row + (group + 1) * rows) + self.latency.pump + planes
                    if not missing:
                        needs["requantizer"] = self._shadow_free
                    self._finish(index, rows * planes, needs)
                    if not missing:
                        self._drain(one)
                    if last and column == compute.groups:
                        self._rows_released.add(row + (group + 1) * rows, begin, self._now)
                if line == compute.lines and column < compute.groups:
                    self._tile += compute.hop
                    self._gather.released.add(self._tile, self._now, self._now)
                self._gather.advance(self._now)
        self._tile += (compute.words + 1) * planes
        self._gather.released.add(self._tile, begin, self._now)
        self._gather.advance(self._now)

    def _columns(self, index: int, one: Pass) -> None:
        """All output columns of a column pass; weights are loaded in the first pixel group, released in the last."""
        compute = one.compute
        rows, planes, groups = compute.last_row + 1, compute.planes + 1, compute.groups + 1
        words, size = compute.words + 1, compute.windows + 1
        bands, shift = size // (planes * groups), compute.hop // size
        steps = words * rows * planes
        gathered, columns = 0, (compute.pixel_groups + 1) // bands
        self._now += SETTLING
        for column in range(columns):
            begin = self._now
            for band in range(bands):
                for group in range(groups):
                    needs = {"requantizer": self._shadow_free}
                    while gathered <= (column * shift + words - 1) * bands + band:
                        needs["activations"] = self._gather.next_ready(index) + self.latency.tile + 1 + steps
                        gathered += 1
                    if (column, band) == (0, 0) and not self._resident:
                        self._gather.advance(inf)  # as in a band: the pump only gets what is left
                        row = self._first_row + (group + 1) * words * rows
                        needs["weights"] = self._load(row) + self.latency.pump + planes
                    self._finish(index, steps, needs)
                    self._drain(one)
            last = column == columns - 1
            self._tile += words * size if last else compute.hop
            self._gather.released.add(self._tile, begin if last else self._now, self._now)
            self._now += 0 if last else PAUSE
            self._gather.advance(self._now)
        self._rows_released.add(self._first_row + groups * words * rows, begin, self._now)

    def _finish(self, index: int, steps: int, needs: dict[str, float]) -> float:
        """When a turn of so many steps from now on ends, none before any of its needs; time goes on to there."""
        end = self._now + steps
        cause = max(needs, key=needs.__getitem__, default=None)
        if cause is not None and needs[cause] > end:
            self._stalls[index][cause] += needs[cause] - end
            end = needs[cause]
        self._now = end
        return end

    def _drain(self, one: Pass) -> None:
        """The shadow's results of a turn that ends now leave, are requantized and written; skips are read for them."""
        results = self._engine.m * self._engine.p // self._engine.r
        self._shadow_free = self._now + max(results, self._engine.skip_cycles if one.drain.add else 0)
        for block in range(self._engine.p // self._engine.r):
            shown = self._now + self.latency.sum + block * self._engine.m
            place = shown + self._engine.m - 1 + self.latency.drain
            if one.drain.add:
                self._coming.add(shown + self.latency.skip, self._engine.r)
            if not self._engine.write_port:
                self._coming.add(place, self._engine.r)
            self._written = place + self._engine.r
        # The next reads of skip codes may come before the writes of this group.
        self._coming.tell(self._now + self.latency.sum if one.drain.add else inf)

    def _load(self, rows: int) -> float:
        """When the first `rows` rows of the program are in the weight buffer."""
        if rows > self._rows:
            if self._engine.param_stream:
                self._gather.advance(self._now)  # as far as to the parameters of the next pass: they come before rows
            start = max(self._rows_at, self._rows_released.time(rows - self._engine.ring_rows))
            self._rows_at = self._port.pump(start, self._pump.cycles(rows) - self._pump.cycles(self._rows))
            self._rows = rows
        return self._rows_at
