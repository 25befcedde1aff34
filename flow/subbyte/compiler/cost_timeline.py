"""Timelines that the units of the cost model share: what was released when, and when memory is busy."""

from __future__ import annotations


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


class Port:
    """Main memory as the weight pump sees it: intervals in which the gather unit takes a share of the cycles."""

    def __init__(self) -> None:
        self._busy: list[tuple[float, float, float]] = []
        self._next = 0

    def take(self, start: float, end: float, accesses: float) -> None:
        """The gather unit makes `accesses` between `start` and `end`; intervals come in order."""
        if end > start:
            self._busy.append((start, end, min(1.0, accesses / (end - start))))

    def finish(self, start: float, accesses: float) -> float:
        """When `accesses` more of the pump are done that may begin at `start`; starts must not decrease."""
        now, left = start, accesses
        while left > 0:
            while self._next < len(self._busy) and self._busy[self._next][1] <= now:
                self._next += 1
            if self._next == len(self._busy):
                return now + left
            begin, end, share = self._busy[self._next]
            if begin > now:
                free, rate = begin - now, 1.0
            else:
                free, rate = end - now, 1.0 - share
            if free * rate >= left:
                return now + left / rate
            left -= free * rate
            now += free
        return now
