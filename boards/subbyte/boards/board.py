"""`Board`: what Subbyte knows about a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.build import Platform, Resource

from subbyte.boards.programmer import Programmer
from subbyte.spec.engine import DEVICES, Family


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
class Flash:
    """Where a board's SPI flash is, and a place in it behind the bitstream.

    resource : name of the platform's resource
    address : of the image that a standalone board starts from, a multiple of 64 KiB, which is erased as a whole
    """

    resource: str = "spi_flash_1x"
    address: int = 0x100000


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
    resources : what the platform lacks of `uart` and `led`, on pins of a header or of a coloured LED
    clock : resource of the oscillator; None for the platform's default clock
    pll_pad : on iCE40: whether the oscillator is at the PLL's own pad, SB_PLL40_PAD; else it is SB_PLL40_CORE
    led : whether there is a LED that is on while the engine is busy
    digit_leds : whether there are LEDs 1 to 4 beside it for a decimal digit
    spi : pins for an SPI host (`spi_pins` of wires.py); None where no connector has them
    flash : Flash
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
    resources: tuple[Resource, ...] = ()
    clock: str | None = None
    pll_pad: bool = True
    led: bool = True
    digit_leds: bool = False
    spi: Resource | None = None
    flash: Flash = Flash()

    def placement(self, engine: str) -> Placement:
        """That of an engine by its name, of a preset or not."""
        return self.placements.get(engine, DEFAULT_PLACEMENT)

    def available(self) -> dict[str, int]:
        """Memories and multipliers of the device. Those of LFE5UM and LFE5UM5G are those of LFE5U."""
        return DEVICES[self.family][self.device.rpartition("-")[2]]

    def new_platform(self) -> Platform:
        """The platform with the resources that the board adds."""
        platform = self.platform()
        platform.add_resources(self.resources)
        if self.spi is not None:
            platform.add_resources((self.spi,))
        return platform
