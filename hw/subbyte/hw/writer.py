"""Writer: collects the M codes of a pixel and writes them to their place in the output tensor."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import WordArrival, drain_layout, word_view
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES
from subbyte.spec.program import DRAIN_FIELDS

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Executes the writing half of a drain section. Never stalls: it owns main memory when it writes.

    Members
    -------
    first : In(WordArrival), word 0 of a section, before `start`
    start : In(1), pulse: `drain` holds the new section; only while `idle`, P + 2 cycles before the first code
    idle : Out(1), all results of the section are written
    drain : In(drain_layout)
    valid, codes, column_last : In, from the requantizer
    upcoming : Out(1), there will be a write in the next cycle
    enable : Out(1), write in this cycle
    address : Out(range(memory_words))
    mask : Out(WORD_NIBBLES)
    word : Out(64)
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "first": In(WordArrival()),
            "start": In(1),
            "idle": Out(1),
            "drain": In(drain_layout(config)),
            "valid": In(1),
            "codes": In(8 * config.r),
            "column_last": In(1),
            "upcoming": Out(1),
            "enable": Out(1),
            "address": Out(range(config.memory_words)),
            "mask": Out(WORD_NIBBLES),
            "word": Out(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        drain = self.drain
        half = 4 * c.m  # bits of M nibbles; M bytes are two halves

        # Collect: bytes shift through both halves, nibbles through each half alike.
        chunks = []
        for r in range(c.r):
            chunk = Signal(2 * half, name=f"chunk{r}")
            code = self.codes.word_select(r, 8)
            nibbles = Cat(chunk[4:half], code[:4]) if c.m > 1 else code[:4]
            with m.If(self.valid):
                with m.If(drain.byte):
                    m.d.sync += chunk.eq(Cat(chunk[8:], code))
                with m.Else():
                    m.d.sync += chunk.eq(Cat(nibbles, nibbles))
            chunks.append(chunk)
        full = Signal()
        completes = self.valid & self.column_last
        m.d.sync += full.eq(completes)

        # Write: pixel r of the block in the r-th cycle.
        pending = Signal(range(c.r))
        waiting = [Signal(2 * half, name=f"waiting{r}") for r in range(1, c.r)]
        chunk = Signal(2 * half)
        m.d.comb += [self.enable.eq(full), self.upcoming.eq(completes), chunk.eq(chunks[0])]
        if c.r > 1:
            m.d.comb += self.upcoming.eq(completes | full | (pending > 1))
            with m.If(full):
                m.d.sync += [pending.eq(c.r - 1), *(w.eq(x) for w, x in zip(waiting, chunks[1:], strict=True))]
            with m.Elif(pending != 0):
                m.d.comb += [self.enable.eq(1), chunk.eq(waiting[0])]
                m.d.sync += [pending.eq(pending - 1), *(a.eq(b) for a, b in zip(waiting, waiting[1:], strict=False))]

        store = Signal()
        place = self._places(m, self.enable, store)
        offset = place[:4]
        m.d.comb += [self.address.eq(place >> 4), self.word.eq(chunk.replicate(WORD_BITS // (2 * half)))]
        small, large = (c.m - 1).bit_length(), c.m.bit_length()  # log2 of the nibbles of a chunk
        for nibble in range(WORD_NIBBLES):
            wide = offset[large:] == nibble >> large
            narrow = offset[small:] == nibble >> small
            m.d.comb += self.mask[nibble].eq(store & Mux(drain.byte, wide, narrow))
        return m

    def _places(self, m, write, store):
        """Nibble address of the chunk written now; `store` tells whether its pixel exists.

        A ring of P addresses turns with every write: the pixels of a group come in the same order for
        each column group. After the last column group a pixel's place is taken by a later pixel.
        """
        c = self._config
        drain = self.drain
        bits = c.nibble_address_bits
        first = word_view(DRAIN_FIELDS[0], self.first.word)
        walk = Signal(bits)  # address of the next pixel to enter the ring
        column = Signal.like(drain.px)
        ring = [Signal(bits, name=f"place{p}") for p in range(c.p)]
        priming = Signal(range(c.p + 1))
        pixel = Signal(range(c.p))
        group = Signal.like(drain.groups)
        left = Signal(len(first.pixels))  # pixels after the first of this group
        active = Signal()
        group_last = group == drain.groups
        enter = (priming != 0) | group_last
        column_last = column == drain.px
        m.d.comb += [self.idle.eq(~active), store.eq(pixel <= left)]
        with m.If((priming != 0) | write):
            m.d.sync += [old.eq(new) for old, new in zip(ring, ring[1:], strict=False)]
            with m.If(enter):
                m.d.sync += [
                    ring[-1].eq(walk),
                    walk.eq(walk + Mux(column_last, drain.step_py, drain.step_px)),
                    column.eq(Mux(column_last, 0, column + 1)),
                ]
            with m.Else():
                m.d.sync += ring[-1].eq(ring[0] + Mux(drain.byte, 2 * c.m, c.m))
        with m.If(priming != 0):
            m.d.sync += priming.eq(priming - 1)
        with m.If(write):
            m.d.sync += pixel.eq(pixel + 1)
            with m.If(pixel == c.p - 1):
                m.d.sync += [pixel.eq(0), group.eq(Mux(group_last, 0, group + 1))]
                with m.If(group_last):
                    m.d.sync += left.eq(left - c.p)
                    with m.If(left < c.p):
                        m.d.sync += active.eq(0)
        with m.If(self.first.here):
            m.d.sync += [walk.eq(first.address), left.eq(first.pixels)]
        with m.If(self.start):
            m.d.sync += [active.eq(1), column.eq(0), priming.eq(c.p), pixel.eq(0), group.eq(0)]
        return ring[0]
