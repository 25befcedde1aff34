"""Timelines that the units of the cost model share: what was released when, and when memory is busy."""

from __future__ import annotations

import heapq
from dataclasses import dataclass


class Releases:
    """How much of a ring has been given back over time, linear between the points that are added."""

    def __init__(self) -> None:
        self._points: list[tuple[int, float, float]] = []  # position reached, from when, to when
        self._next = 0
        self.position = 0

    def add(self, position: int, start: float, end: float) -> None:
        """The ring is released up to `position` between `start` and `end`, evenly."""
        self._points.append((position, start, end))
        self.position = position

    def time(self, position: int) -> float:
        """When `position` is released. Positions asked for must not decrease and must have been added."""
        if position <= 0:
            return 0.0
        while self._points[self._next][0] < position:
            self._next += 1
        before = self._points[self._next - 1][0] if self._next else 0
        reached, start, end = self._points[self._next]
        return start + (end - start) * (position - before) / (reached - before)


@dataclass(frozen=True)
class _Write:
    """The writer has main memory for `count` cycles; `joined`: and had it in the cycle before."""

    start: float
    count: int
    joined: bool

    def delay(self, now: float, spacing: float) -> float:
        """Mean wait of a unit, active since `now`, that wants memory every `spacing` cycles.

        It comes at any phase with the same chance; after joined writes it is waiting already.
        """
        count = min(self.count, self.start + self.count - now)
        if count <= 0 or self.joined:
            return max(0.0, count)
        return count - (spacing - 1) / 2 if count >= spacing else count * (count + 1) / (2 * spacing)


class _Writes:
    """The writes, as one of the other units meets them."""

    def __init__(self, writes: list[_Write]) -> None:
        self._writes = writes
        self._next = 0

    def delayed(self, start: float, end: float, spacing: float) -> float:
        """The later end of an activity that wants memory every `spacing` cycles. Starts must not decrease."""
        while self._next < len(self._writes) and self._writes[self._next].start < end:
            end += self._writes[self._next].delay(start, spacing)
            self._next += 1
        return end


class Port:
    """Main memory: the writer first, then parameters, the gather unit, the weight pump takes what is left."""

    def __init__(self) -> None:
        self._reads: list[tuple[float, float, float]] = []
        self._next = 0
        self._gather_since = 0.0
        self._writes: list[_Write] = []
        self._before_gather = _Writes(self._writes)
        self._before_pump = _Writes(self._writes)
        self._before_params = _Writes(self._writes)

    def write(self, start: float, count: int) -> None:
        """The writer takes `count` cycles from `start` on; starts must not decrease."""
        last = self._writes[-1] if self._writes else None
        joined = last is not None and start <= last.start + last.count
        self._writes.append(_Write(start, count, joined))

    def gather(self, start: float, cycles: float, accesses: float) -> float:
        """When the gather unit is done with `accesses` spread over `cycles`; starts must not decrease."""
        if not self._reads or start > self._reads[-1][1]:
            self._gather_since = start
        # Writes that were not known when the stretch before this one was made count now.
        end = self._before_gather.delayed(self._gather_since, start + cycles, cycles / accesses)
        self._reads.append((start, end, accesses / (end - start)))
        return end

    def params(self, start: float, count: int) -> float:
        """When `count` parameters, which come before gather unit and pump, are read; a stretch between those of the
        gather unit."""
        end = self._before_params.delayed(start, start + count, 1.0)
        self._reads.append((start, end, 1.0))
        self._gather_since = end
        return end

    def pump(self, start: float, accesses: float) -> float:
        """When the pump is done with `accesses` that may begin at `start`; starts must not decrease."""
        return self._before_pump.delayed(start, self._beside_gather(start, accesses), 1.0)

    def _beside_gather(self, now: float, left: float) -> float:
        while left > 0:
            while self._next < len(self._reads) and self._reads[self._next][1] <= now:
                self._next += 1
            if self._next == len(self._reads):
                return now + left
            begin, end, share = self._reads[self._next]
            if begin > now:
                free, rate = begin - now, 1.0
            else:
                free, rate = end - now, 1.0 - share
            if free * rate >= left:
                return now + left / rate
            left -= free * rate
            now += free
        return now


class Accesses:
    """Accesses of writer and skip reader, both before all others, on their way to `port` in the order of time."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._waiting: list[tuple[float, int]] = []

    def add(self, start: float, count: int) -> None:
        """`count` accesses from `start` on."""
        heapq.heappush(self._waiting, (start, count))

    def tell(self, until: float) -> None:
        """Those that start up to `until`: all that are added later must not start before."""
        while self._waiting and self._waiting[0][0] <= until:
            self._port.write(*heapq.heappop(self._waiting))
