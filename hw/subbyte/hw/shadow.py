"""Shadow registers: keep the largest accumulators of a pooling window, then drain R results per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.array import step_control
from subbyte.hw.largest import largest
from subbyte.hw.selector import selector

__all__ = ["Shadow"]


class Shadow(wiring.Component):
    """Captures `acc` when `done.last`: overwrites in the first window position, keeps the maximum after.

    After the last position the results leave in M*P/R consecutive cycles: for each block of R pixels,
    for each column, one result of each pixel of the block. The first leaves one cycle after the capture.

    Members
    -------
    acc : In(acc_bits*P*M), accumulator p*M + m
    done : In(step_control)
    valid : Out(1)
    results : Out(acc_bits*R)
    column : Out(range(M)), of these results
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "acc": In(config.acc_bits * config.p * config.m),
            "done": In(step_control(config)),
            "valid": Out(1),
            "results": Out(config.acc_bits * config.r),
            "column": Out(range(config.m)),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        depth = c.p * c.m // c.r
        turn = Signal(range(2 * depth))  # depth + i while result i leaves, else 0
        capture = Signal()
        m.d.comb += [
            capture.eq(self.done.enable & self.done.last),
            self.valid.eq(turn[-1]),
            self.column.eq(turn),
        ]
        with m.If(capture & self.done.window_last):
            m.d.sync += turn.eq(depth)
        with m.Elif(self.valid):
            m.d.sync += turn.eq(turn + 1)
        for lane in range(c.r):
            m.submodules[f"drain{lane}"] = drain = selector(c.family, c.acc_bits, depth, invert=True)
            m.d.comb += [drain.index.eq(turn[:-1]), self.results.word_select(lane, c.acc_bits).eq(drain.chosen)]
            for i in range(depth):
                pixel = (i // c.m) * c.r + lane
                m.submodules[f"shadow{lane}_{i}"] = shadow = largest(c.family, c.acc_bits)
                m.d.comb += [
                    shadow.value.eq(self.acc.word_select(pixel * c.m + i % c.m, c.acc_bits)),
                    shadow.capture.eq(capture),
                    shadow.overwrite.eq(self.done.window_first),
                    drain.words.word_select(i, c.acc_bits).eq(shadow.complement),
                ]
        return m
