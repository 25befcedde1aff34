"""`Board`: what Subbyte knows about a board."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.build import Platform

from subbyte.spec.engine import Family


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
    seeds : tuple of int
        Seeds for place and route, tried in turn until the clock is met.
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
    seeds: tuple[int, ...]
