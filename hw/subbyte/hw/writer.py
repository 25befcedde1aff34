"""Writer: collects the M codes of a pixel and writes them to their place in the output tensor."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import drain_layout
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Executes the writing half of a drain section. Never stalls: it owns main memory when it writes.

    Members
    -------
    start : In(1), pulse: `drain` holds a new section; only while `idle`, P + 2 cycles before the first code
    idle : Out(1), all results of the section are written
    drain : In(drain_layout)
    valid, codes, column_last : In, from the requantizer
    enable : Out(1), write in this cycle
    address : Out(range(memory_words))
    mask : Out(WORD_NIBBLES)
    word : Out(64)
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "start": In(1),
            "idle": Out(1),
            "drain": In(drain_layout(config)),
            "valid": In(1),
            "codes": In(8 * config.r),
            "column_last": In(1),
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
        m.d.sync += full.eq(self.valid & self.column_last)

        # Write: pixel r of the block in the r-th cycle.
        pending = Signal(range(c.r))
        waiting = [Signal(2 * half, name=f"waiting{r}") for r in range(1, c.r)]
        chunk = Signal(2 * half)
        m.d.comb += [self.enable.eq(full), chunk.eq(chunks[0])]
        if c.r > 1:
            with m.If(full):
                m.d.sync += [pending.eq(c.r - 1), *(w.eq(x) for w, x in zip(waiting, chunks[1:]))]
            with m.Elif(pending != 0):
                m.d.comb += [self.enable.eq(1), chunk.eq(waiting[0])]
                m.d.sync += [pending.eq(pending - 1), *(a.eq(b) for a, b in zip(waiting, waiting[1:]))]

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
        """Nibble address of the chunk written now; `store` tells whether its pixel exists."""
        c = self._config
        drain = self.drain
        bits = c.nibble_address_bits
        walk = Signal(bits)
        column = Signal.like(drain.px)
        priming = Signal(range(c.p + 1))
        pixels = Array(Signal(bits, name=f"pixel{p}") for p in range(c.p))
        pixel = Signal(range(c.p))
        group = Signal.like(drain.groups)
        group_offset = Signal(bits)
        left = Signal(len(drain.pixels) + 1)
        active = Signal()

        group_last = group == drain.groups
        take = Signal()  # the next pixel's address replaces that of `slot`
        slot = Signal(range(c.p))
        m.d.comb += [
            self.idle.eq(~active),
            take.eq((priming != 0) | (write & group_last)),
            slot.eq(Mux(priming != 0, c.p - priming, pixel)),
            store.eq(pixel < left),
        ]
        with m.If(take):
            m.d.sync += [
                pixels[slot].eq(walk),
                column.eq(Mux(column == drain.px, 0, column + 1)),
                walk.eq(walk + Mux(column == drain.px, drain.step_py, drain.step_px)),
            ]
        with m.If(priming != 0):
            m.d.sync += priming.eq(priming - 1)
        with m.If(write):
            m.d.sync += pixel.eq(pixel + 1)
            with m.If(pixel == c.p - 1):
                m.d.sync += [pixel.eq(0), group.eq(group + 1)]
                m.d.sync += group_offset.eq(group_offset + Mux(drain.byte, 2 * c.m, c.m))
                with m.If(group_last):
                    m.d.sync += [group.eq(0), group_offset.eq(0), left.eq(left - c.p)]
                    with m.If(left <= c.p):
                        m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [
                active.eq(1),
                walk.eq(drain.address),
                column.eq(0),
                priming.eq(c.p),
                pixel.eq(0),
                group.eq(0),
                group_offset.eq(0),
                left.eq(drain.pixels + 1),
            ]
        place = Signal(bits)
        m.d.comb += place.eq(pixels[pixel] + group_offset)
        return place
