"""Shadow registers: keep the largest accumulators of a pooling window, then drain R results per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.array import StepControl

__all__ = ["Shadow"]


class Shadow(wiring.Component):
    """Captures `acc` when `done.last`: overwrites in the first window position, keeps the maximum after.

    After the last position the results leave in M*P/R consecutive cycles: for each block of R pixels,
    for each column, one result of each pixel of the block. The first leaves one cycle after the capture.

    Members
    -------
    acc : In(acc_bits*P*M), accumulator p*M + m
    done : In(StepControl)
    valid : Out(1)
    results : Out(acc_bits*R)
    column_last : Out(1), these are the results of column M - 1
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "acc": In(config.acc_bits * config.p * config.m),
            "done": In(StepControl),
            "valid": Out(1),
            "results": Out(config.acc_bits * config.r),
            "column_last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        depth = c.p * c.m // c.r
        left = Signal(range(depth + 1))
        capture = Signal()
        m.d.comb += [
            capture.eq(self.done.enable & self.done.last),
            self.valid.eq(left != 0),
            self.column_last.eq((left - 1)[: (c.m - 1).bit_length()] == 0),
        ]
        with m.If(capture & self.done.window_last):
            m.d.sync += left.eq(depth)
        with m.Elif(self.valid):
            m.d.sync += left.eq(left - 1)
        # The registers hold complements: an iCE40 carry chain has no inverters, a difference would cost
        # one more cell per bit.
        for lane in range(c.r):
            chain = [Signal(signed(c.acc_bits), name=f"shadow{lane}_{i}") for i in range(depth)]
            m.d.comb += self.results.word_select(lane, c.acc_bits).eq(~chain[0])
            for i, held in enumerate(chain):
                pixel = (i // c.m) * c.r + lane
                acc = self.acc.word_select(pixel * c.m + i % c.m, c.acc_bits).as_signed()
                # acc + ~held = acc - held - 1 is negative when acc <= held.
                margin = Signal(signed(c.acc_bits + 1), name=f"margin{lane}_{i}")
                m.d.comb += margin.eq(acc + held)
                with m.If(capture & (self.done.window_first | ~margin[-1])):
                    m.d.sync += held.eq(~acc)
                with m.Elif(self.valid):
                    m.d.sync += held.eq(chain[min(i + 1, depth - 1)])
        return m
