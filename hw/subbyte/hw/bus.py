"""Tops of the gateware: the engine alone, or behind a bus."""

import enum

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from subbyte.hw.axi_lite import AxiLite
from subbyte.hw.axi_stream import AxiStream
from subbyte.hw.engine import Engine
from subbyte.hw.wishbone import Wishbone
from subbyte.spec.engine import Family

__all__ = ["Bus", "BusTop", "engine_top"]

MAILBOX_BYTES = {Family.ICE40: 4, Family.ICE40_HX: 4, Family.ECP5: 16, Family.ASIC: 16}
"""Registers on iCE40, which has no other memory that answers at once; distributed RAM on ECP5, 16 rows deep; an ASIC
has any."""
INSIDE = ("commands", "answers", "busy")
"""Members of a wrapper that the engine meets; all others are ports."""


class Bus(enum.Enum):
    """What the engine's streams are connected to."""

    NONE = "none"  #: nothing, they are the ports
    WISHBONE = "wishbone"
    AXI_LITE = "axi-lite"
    AXI_STREAM = "axi-stream"


def _wrapper(config, bus):
    """The component between bus and engine."""
    if bus is Bus.AXI_STREAM:
        return AxiStream()
    return {Bus.WISHBONE: Wishbone, Bus.AXI_LITE: AxiLite}[bus](MAILBOX_BYTES[config.family])


class BusTop(wiring.Component):
    """Engine and bus wrapper, in a clock domain whose clock and reset have the names that the bus gives them.

    Parameters
    ----------
    config : EngineConfig
    bus : Bus, not NONE

    Members
    -------
    wb_clk_i and wb_rst_i (active high), s_axi_aclk and s_axi_aresetn, or aclk and aresetn (both active low) : In(1);
    resets are synchronous
    those of `Wishbone`, `AxiLite` or `AxiStream`
    busy : Out(1), of the engine
    """

    def __init__(self, config, bus):
        self._config = config
        self._wrapper = wrapper = _wrapper(config, bus)
        self._ports = {name: member for name, member in wrapper.signature.members.items() if name not in INSIDE}
        super().__init__({wrapper.CLOCK: In(1), wrapper.RESET: In(1), **self._ports, "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.submodules.engine = engine = Engine(self._config)
        m.submodules.bus = wrapper = self._wrapper
        reset = getattr(self, wrapper.RESET)
        m.d.comb += [
            domain.clk.eq(getattr(self, wrapper.CLOCK)),
            domain.rst.eq(reset if wrapper.RESET_LEVEL else ~reset),
            self.busy.eq(engine.busy),
        ]
        if "busy" in wrapper.signature.members:
            m.d.comb += wrapper.busy.eq(engine.busy)
        connect(m, wrapper.commands, engine.i)
        connect(m, engine.o, wrapper.answers)
        for name, member in self._ports.items():
            inside, outside = getattr(wrapper, name), getattr(self, name)
            m.d.comb += inside.eq(outside) if member.flow is In else outside.eq(inside)
        return m


def engine_top(config, bus):
    """The top: `Engine` itself without a bus."""
    return Engine(config) if bus is Bus.NONE else BusTop(config, bus)
