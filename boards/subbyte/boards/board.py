"""`Board`: what Subbyte knows about a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.build import Platform

from subbyte.spec.engine import Family

DEFAULT_SEEDS = (1, 2, 3, 4)
"""Seeds for engines of which a board knows none."""


class BoardError(ValueError):
    """A board that does not exist or does not fit the engine; one line for the user."""


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
    seeds : preset -> seeds for place and route, tried in turn until the clock is met; those that did best first
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
    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def seeds_of(self, engine: str) -> tuple[int, ...]:
        """Seeds for an engine by its name, of a preset or not."""
        return self.seeds.get(engine, DEFAULT_SEEDS)
