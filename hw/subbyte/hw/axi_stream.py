"""AXI4-Stream: the engine's byte streams, the last byte of an answer marked."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiStream"]


class AxiStream(wiring.Component):
    """Commands pass through; answers are delayed by one cycle, in which it shows whether more follows.

    The engine is ready for a command in the cycle after the last byte of an answer, and in the cycle after
    any other byte it is not. No output depends on an input of the same cycle, but for `answers.ready`.

    Members
    -------
    s_axis_tdata : In(8), s_axis_tvalid : In(1), s_axis_tready : Out(1)
    m_axis_tdata : Out(8), m_axis_tlast : Out(1), m_axis_tvalid : Out(1), m_axis_tready : In(1)
    commands : Out(stream of bytes), to the engine; answers : In(stream of bytes), from it
    """

    CLOCK = "aclk"
    RESET = "aresetn"
    RESET_LEVEL = 0

    s_axis_tdata: In(8)
    s_axis_tvalid: In(1)
    s_axis_tready: Out(1)
    m_axis_tdata: Out(8)
    m_axis_tlast: Out(1)
    m_axis_tvalid: Out(1)
    m_axis_tready: In(1)
    commands: Out(stream.Signature(8))
    answers: In(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.commands.payload.eq(self.s_axis_tdata),
            self.commands.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(self.commands.ready),
        ]
        fresh = Signal()  # the byte came in the cycle before
        last = Signal()  # what was seen then
        taken = self.answers.valid & self.answers.ready
        m.d.comb += [
            self.answers.ready.eq(~self.m_axis_tvalid | self.m_axis_tready),
            self.m_axis_tlast.eq(Mux(fresh, self.commands.ready, last)),
        ]
        m.d.sync += [fresh.eq(taken), last.eq(self.m_axis_tlast)]
        with m.If(self.answers.ready):
            m.d.sync += [self.m_axis_tvalid.eq(self.answers.valid), self.m_axis_tdata.eq(self.answers.payload)]
        return m
