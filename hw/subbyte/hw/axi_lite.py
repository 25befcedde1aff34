"""AXI4-Lite subordinate: 32-bit data, on the registers of a mailbox."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.mailbox import ADDRESS_BITS, connect_mailbox, engine_side

__all__ = ["AxiLite"]

SLVERR = 0b10


class AxiLite(wiring.Component):
    """Reads and writes in turn, one at a time; a response is OKAY, or SLVERR where the mailbox says error.

    Address and data of a write may come in any order; both are taken in one cycle, 1 to 7 cycles after the later one
    when nothing else is under way, and the response follows in the next. A read likewise. No output depends
    on an input of the same cycle. AWPROT, ARPROT and the low two bits of the addresses are ignored.

    Parameters
    ----------
    depth : int, see `Mailbox`

    Members
    -------
    s_axi_awaddr, s_axi_araddr : In(12), byte addresses; s_axi_awprot, s_axi_arprot : In(3)
    s_axi_wdata : In(32), s_axi_wstrb : In(4), s_axi_bresp : Out(2), s_axi_rdata : Out(32), s_axi_rresp : Out(2)
    s_axi_awvalid, s_axi_wvalid, s_axi_arvalid, s_axi_bready, s_axi_rready : In(1)
    s_axi_awready, s_axi_wready, s_axi_arready, s_axi_bvalid, s_axi_rvalid : Out(1)
    commands, answers, busy, irq : see `Mailbox`
    """

    CLOCK = "s_axi_aclk"
    RESET = "s_axi_aresetn"
    RESET_LEVEL = 0

    def __init__(self, depth):
        self._depth = depth
        super().__init__({
            "s_axi_awaddr": In(ADDRESS_BITS),
            "s_axi_awprot": In(3),
            "s_axi_awvalid": In(1),
            "s_axi_awready": Out(1),
            "s_axi_wdata": In(32),
            "s_axi_wstrb": In(4),
            "s_axi_wvalid": In(1),
            "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2),
            "s_axi_bvalid": Out(1),
            "s_axi_bready": In(1),
            "s_axi_araddr": In(ADDRESS_BITS),
            "s_axi_arprot": In(3),
            "s_axi_arvalid": In(1),
            "s_axi_arready": Out(1),
            "s_axi_rdata": Out(32),
            "s_axi_rresp": Out(2),
            "s_axi_rvalid": Out(1),
            "s_axi_rready": In(1),
            **engine_side(),
        })

    def elaborate(self, platform):
        m = Module()
        access = connect_mailbox(m, self, self._depth)
        writes = Signal()  # whose turn it is
        complete = Mux(
            writes,
            self.s_axi_awvalid & self.s_axi_wvalid & ~self.s_axi_bvalid,
            self.s_axi_arvalid & ~self.s_axi_rvalid,
        )
        with m.If(access.done | ~complete):
            m.d.sync += writes.eq(~writes)
        m.d.comb += [
            access.request.eq(complete),
            access.write.eq(writes),
            access.address.eq(Mux(writes, self.s_axi_awaddr, self.s_axi_araddr)[2:]),
            access.select.eq(self.s_axi_wstrb),
            access.write_data.eq(self.s_axi_wdata),
            self.s_axi_awready.eq(access.done & writes),
            self.s_axi_wready.eq(access.done & writes),
            self.s_axi_arready.eq(access.done & ~writes),
            self.s_axi_rdata.eq(access.read_data),
        ]
        channels = [
            (writes, self.s_axi_bvalid, self.s_axi_bready, self.s_axi_bresp),
            (~writes, self.s_axi_rvalid, self.s_axi_rready, self.s_axi_rresp),
        ]
        for turn, valid, ready, response in channels:
            with m.If(ready):
                m.d.sync += valid.eq(0)
            with m.If(access.done & turn):
                m.d.sync += [valid.eq(1), response.eq(Mux(access.error, SLVERR, 0))]
        return m
