"""Wishbone B4 target: classic cycles, 32-bit data, on the registers of a mailbox."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.mailbox import ADDRESS_BITS, connect_mailbox, engine_side

__all__ = ["Wishbone"]


class Wishbone(wiring.Component):
    """Terminates every cycle with ACK_O, or ERR_O where the mailbox says error: 1, 2 or 5 cycles after STB_I.

    Both last one cycle, never come without CYC_I and STB_I, and the next cycle may follow at once. SEL_I
    matters for writes only. The low two bits of the address are ignored.

    Parameters
    ----------
    depth : int, see `Mailbox`

    Members
    -------
    wb_cyc_i, wb_stb_i, wb_we_i : In(1)
    wb_adr_i : In(12), byte address; wb_sel_i : In(4); wb_dat_i : In(32)
    wb_dat_o : Out(32), valid with wb_ack_o : Out(1); wb_err_o : Out(1)
    commands, answers, busy, irq : see `Mailbox`
    """

    CLOCK = "wb_clk_i"
    RESET = "wb_rst_i"
    RESET_LEVEL = 1

    def __init__(self, depth):
        self._depth = depth
        super().__init__({
            "wb_cyc_i": In(1),
            "wb_stb_i": In(1),
            "wb_we_i": In(1),
            "wb_adr_i": In(ADDRESS_BITS),
            "wb_sel_i": In(4),
            "wb_dat_i": In(32),
            "wb_dat_o": Out(32),
            "wb_ack_o": Out(1),
            "wb_err_o": Out(1),
            **engine_side(),
        })

    def elaborate(self, platform):
        m = Module()
        access = connect_mailbox(m, self, self._depth)
        request = self.wb_cyc_i & self.wb_stb_i
        m.d.comb += [
            access.request.eq(request),
            access.write.eq(self.wb_we_i),
            access.address.eq(self.wb_adr_i[2:]),
            access.select.eq(self.wb_sel_i),
            access.write_data.eq(self.wb_dat_i),
            self.wb_dat_o.eq(access.read_data),
            self.wb_ack_o.eq(request & access.done & ~access.error),
            self.wb_err_o.eq(request & access.done & access.error),
        ]
        return m
