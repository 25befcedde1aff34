"""Cost model of the gather unit: cycles and memory accesses of every window, and when they can happen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.cost_timeline import Port, Releases
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.program import Fill, Pass

SEGMENT_CYCLES = 2
"""Least cycles of a segment in the gather unit, unless it is known to be a single piece."""


def window_work(engine: EngineConfig, fill: Fill) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(cycles, accesses to memory) of every pixel and window position, each int64 (pixels, windows).

    An access brings codes of one aligned chunk of F nibbles for one K-word; each plane of them takes a cycle,
    a segment at least `SEGMENT_CYCLES` or, if it is known to be a single piece, one.
    """
    origins = _window_origins(fill)
    position = np.arange(fill.segment + 1) * (1 + fill.byte)
    reads, cycles = (np.zeros(origins.shape, dtype=np.int64) for _ in range(2))
    residues = np.arange(WORD_NIBBLES)[:, None]
    for ky in range(fill.ky + 1):
        lane_word = (ky * (fill.segment + 1) + np.arange(fill.segment + 1)) // engine.k
        chunk = (residues + position) // engine.fill_nibbles
        pieces = 1 + ((np.diff(chunk) != 0) | (np.diff(lane_word) != 0)).sum(axis=1)
        segment = pieces[(origins + ky * fill.step_ky) % WORD_NIBBLES]
        reads += segment
        cycles += np.maximum(segment * (fill.planes + 1), 1 if fill.single else SEGMENT_CYCLES)
    return cycles, reads


def column_words(engine: EngineConfig, fill: Fill) -> int:
    """K-words of a window position of a line pass: a column of its input, or a part of one."""
    return -(-(fill.ky + 1) * (fill.segment + 1) // engine.k)


def _window_origins(fill: Fill) -> NDArray[np.int64]:
    """Nibble address of the first segment of every pixel and window position, int64 (pixels, windows)."""
    inside = fill.ky * fill.step_ky
    across = fill.step_wx + inside
    inside += fill.wx * across
    down = fill.step_wy + inside
    inside += fill.wy * down
    right = fill.step_px + inside
    inside += fill.px * right
    below = fill.step_py + inside
    py, px, wy, wx = np.indices((fill.py + 1, fill.px + 1, fill.wy + 1, fill.wx + 1))
    origins = fill.address + py * below + px * right + wy * down + wx * across
    pixels, windows = (fill.py + 1) * (fill.px + 1), (fill.wy + 1) * (fill.wx + 1)
    flat: NDArray[np.int64] = origins.reshape(pixels, windows)
    return flat


@dataclass(frozen=True)
class _Unit:
    """A stretch of gathering: its cycles and reads, and the ring position that its last word takes.

    `commits`: the array may use it afterwards.
    """

    cycles: float
    reads: float
    position: int
    commits: bool


class GatherModel:
    """Runs ahead of the array as far as the tile allows.

    Parameters
    ----------
    pieces : parts into which each window of a pass is cut
    gap : cycles from the last request of a pass to the first one of the next
    """

    def __init__(
        self, engine: EngineConfig, passes: tuple[Pass, ...], pieces: list[int], port: Port, gap: int
    ) -> None:
        self._engine = engine
        self._passes = passes
        self._pieces = pieces
        self._port = port
        self._gap = gap
        self._gates: list[float] = []
        self._current = -1
        self._units: deque[_Unit] = deque()
        self._position = 0
        self._now = 0.0
        self._held = False
        self._loaded: list[float] = []
        self.released = Releases()
        self.ready: list[deque[float]] = [deque() for _ in passes]

    def open(self, time: float) -> None:
        """The fill section of the next pass is there from `time` on; one with `wait` needs its `release` besides."""
        self._gates.append(time)

    def release(self, time: float) -> None:
        """The next pass, which waits, may begin from `time` on. All that is before it must have been used."""
        index = self._current + 1 if not self._held else self._current
        self.advance(inf, lambda: self._current == index)
        self._now = max(self._now, time)
        self._held = False

    def params_loaded(self, index: int) -> float:
        """When the last parameter entry of pass `index` is requested, 0 where passes have none in main memory. All that
        is before it must have been used."""
        if not self._engine.param_stream:
            return 0.0
        self.advance(inf, lambda: len(self._loaded) > index)
        return self._loaded[index]

    def next_ready(self, index: int) -> float:
        """When the next piece of pass `index` is in the tile."""
        ready = self.ready[index]
        if not ready:
            self.advance(inf, lambda: bool(ready))
        return ready.popleft()

    def advance(self, until: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Gather what begins before `until` and what the releases known so far make room for."""
        while not enough():
            if not self._units:
                if self._current + 1 >= len(self._gates):
                    return
                self._begin()
                continue
            if self._held:
                return
            unit = self._units[0]
            needed = unit.position - self._engine.tile_words
            if needed > self.released.position:
                return
            start = max(self._now, self.released.time(needed))
            if start > until:
                return
            self._units.popleft()
            self._now = self._port.gather(start, unit.cycles, unit.reads)
            if unit.commits:
                self.ready[self._current].append(self._now)

    def _begin(self) -> None:
        """On to the next pass: its fill section is fetched, and then its parameters, before all that it reads."""
        self._current += 1
        one = self._passes[self._current]
        gap = self._gap if self._current else 0
        self._now = max(self._now + gap, self._gates[self._current])
        if self._engine.param_stream:
            self._now = self._port.params(self._now, one.fill.params + 1)
            self._loaded.append(self._now)
        self._held = bool(one.fill.wait)
        self._units = deque(self._split(one, self._pieces[self._current]))

    def _split(self, one: Pass, pieces: int) -> list[_Unit]:
        """Units of a pass: of every pixel group the pixels before the last at once, then the last piece by piece."""
        if one.fill.column:
            return self._split_columns(one.fill)
        cycles, reads = window_work(self._engine, one.fill)
        words = column_words(self._engine, one.fill) if one.compute.hop else one.compute.words + 1
        if not one.compute.hop:  # a window position of a compute section may be several of its fill section
            split = len(cycles), one.compute.windows + 1, -1
            cycles, reads = (work.reshape(split).sum(axis=2) for work in (cycles, reads))
        size = words * (one.compute.planes + 1)
        ends = [size * part // pieces for part in range(pieces + 1)]
        units = []
        for first in range(0, len(cycles), self._engine.p):
            last = min(first + self._engine.p, len(cycles)) - 1
            group_end = self._position + cycles.shape[1] * size
            if last > first:
                units.append(_Unit(float(cycles[first:last].sum()), float(reads[first:last].sum()), group_end, False))
            for window in range(cycles.shape[1]):
                for low, high in pairwise(ends):
                    share = (high - low) / size
                    work = share * float(cycles[last, window]), share * float(reads[last, window])
                    units.append(_Unit(*work, self._position + high, True))
                self._position += size
        return units

    def _split_columns(self, fill: Fill) -> list[_Unit]:
        """Units of a column pass: of every input column P output rows at once, the first with those above them."""
        p, planes, turn = self._engine.p, fill.planes + 1, fill.wx + 1
        rows = fill.px + 1 - fill.head
        units = []
        for _ in range(fill.py + 1):
            for first in range(0, rows, p):
                reads = (min(p, rows - first) + (0 if first else fill.head)) * turn
                self._position += planes * (fill.pair + 1)
                units.append(_Unit(float(reads * planes), float(reads), self._position, True))
        return units
