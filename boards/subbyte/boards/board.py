"""`Board`: what Subbyte knows about a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.build import Platform

from subbyte.boards.programmer import Programmer
from subbyte.spec.engine import Family


class BoardError(ValueError):
    """A board that does not exist or does not fit the engine; one line for the user."""


@dataclass(frozen=True)
class Placement:
    """How an engine is placed and routed.

    seeds : tried in turn until the clock is met
    goal_hz : clock that the router goes on for once everything is routed, on iCE40; None for none. It may go on for
        ever (see `SEED_SECONDS`), so only for what is known to reach it
    """

    seeds: tuple[int, ...] = (1, 2, 3, 4)
    goal_hz: int | None = None


DEFAULT_PLACEMENT = Placement()
"""Of engines of which a board knows nothing."""


@dataclass(frozen=True)
class Board:
    """One board.

    Parameters
    ----------
    name : str
    description : str
    family : Family
    device, package : str
        Options of nextpnr: `up5k` and `sg48`, `25k` and `CABGA381`.
    platform : type
        Platform class of amaranth_boards.
    engine : str
        Preset that is built when none is named.
    clock_hz : int
        Clock of the engine, made by the PLL from the platform's default clock.
    baud : int
        Bits per second of the UART link.
    bitstream : str
        Suffix of the bitstream file, with its dot.
    placements : preset -> what did best for it; those are measured (benchmarks/engines.py)
    programmers : tools that write its bitstream, those to be tried first in front
    """

    name: str
    description: str
    family: Family
    device: str
    package: str
    platform: type[Platform]
    engine: str
    clock_hz: int
    baud: int
    bitstream: str
    placements: Mapping[str, Placement] = field(default_factory=dict)
    programmers: tuple[Programmer, ...] = ()

    def placement(self, engine: str) -> Placement:
        """That of an engine by its name, of a preset or not."""
        return self.placements.get(engine, DEFAULT_PLACEMENT)
