"""Skip reader: fetches the codes that the requantizer adds, one block of R pixels ahead of their use."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.places import chunk_places
from subbyte.hw.ports import WordArrival, drain_layout
from subbyte.hw.shifter import OFFSET_BITS
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES

__all__ = ["SkipReader"]


class SkipReader(wiring.Component):
    """Executes the `add` of a drain section: for each block of R pixels R reads, one for the M codes of a pixel.

    The reads of the first block follow `start`, those of a later one the moment in which the block before it leaves
    the shadow. They have main memory before all but the writer, which takes R of any 2R cycles. So nothing waits
    for them: a block's codes are there when it needs them if blocks are `EngineConfig.skip_cycles` apart and the
    first one, before which nothing is written, comes `lead` cycles after `start` or later. The reads that follow the
    last block bring nothing.

    Members
    -------
    first : In(WordArrival), word 0 of a section, before `start`
    start : In(1), pulse: `drain` holds the new section; only after the last block of the one before
    drain : In(drain_layout)
    block : In(1), pulse: the first results of a block leave the shadow
    blocked : In(1), the writer has the memory in the next cycle
    upcoming : Out(1), there will be a read in the next cycle
    enable : Out(1), a read
    address : Out(range(memory_words)), of it
    data : In(64), `read_cycles` later
    offsets : Out(OFFSET_BITS * R), signed: zero point and skip code of column i `LATENCY` + i cycles after `block`
    """

    LATENCY = 5

    def __init__(self, config):
        self._config = config
        super().__init__({
            "first": In(WordArrival()),
            "start": In(1),
            "drain": In(drain_layout(config)),
            "block": In(1),
            "blocked": In(1),
            "upcoming": Out(1),
            "enable": Out(1),
            "address": Out(range(config.memory_words)),
            "data": In(WORD_BITS),
            "offsets": Out(OFFSET_BITS * config.r),
        })

    @property
    def lead(self):
        """Least cycles from `start` to the first block: places, reads, and the latter's answers."""
        c = self._config
        return c.p + c.r + c.read_cycles - self.LATENCY + 3

    def elaborate(self, platform):
        m = Module()
        c = self._config
        drain = self.drain
        primed = delayed(m, self.start, c.p - 1)
        left = Signal(range(c.r + 1))
        m.d.comb += self.upcoming.eq((left != 0) & ~self.blocked)
        with m.If((primed | self.block) & drain.add):
            m.d.sync += left.eq(c.r)
        with m.Elif(self.upcoming):
            m.d.sync += left.eq(left - 1)

        place, pixel, *_ = chunk_places(m, c, drain, self.first, self.start, self.upcoming)
        with m.If(self.start):
            m.d.sync += pixel.eq(0)  # the reads behind the last block have moved it
        inside = (WORD_NIBBLES // c.m).bit_length() - 1
        # Codes are bytes: the place of M of them in a word is even.
        part = Signal(max(0, inside - 1), reset_less=True)
        m.d.sync += [
            self.enable.eq(self.upcoming),
            self.address.eq((place >> inside) + drain.skip),
            part.eq(place[1:inside]),
        ]
        chunk = self.data.word_select(delayed(m, part, c.read_cycles), 8 * c.m)
        held = [Signal(8 * c.m, name=f"held{r}", reset_less=True) for r in range(c.r)]
        with m.If(delayed(m, self.enable, c.read_cycles)):
            m.d.sync += [old.eq(new) for old, new in zip(held, [*held[1:], chunk], strict=True)]

        # Zeros follow the codes, so that sections without `add` have none.
        take = delayed(m, self.block & drain.add, self.LATENCY - 2)
        zero_point = Cat(drain.zero_point, drain.below).as_signed()
        for r in range(c.r):
            codes = Signal(8 * c.m, name=f"codes{r}", reset_less=True)
            offset = Signal(signed(OFFSET_BITS), name=f"offset{r}", reset_less=True)
            m.d.sync += [
                codes.eq(Mux(take, held[r], codes[8:])),
                offset.eq(codes[:8] + zero_point),
            ]
            m.d.comb += self.offsets.word_select(r, OFFSET_BITS).eq(offset)
        return m
