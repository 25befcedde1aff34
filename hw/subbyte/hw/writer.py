"""Writer: collects the M codes of a pixel and writes them to their place in the output tensor."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.counter import up_counter
from subbyte.hw.places import chunk_places
from subbyte.hw.ports import WordArrival, drain_layout, word_view
from subbyte.hw.turn_counter import TurnCounter
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES, Lane
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
    column : In(1), static from `start` on: it is a column pass; only of engines that have them
    valid, codes : In, from the requantizer
    upcoming : Out(1), there will be a write in the next cycle
    enable : Out(1), a chunk's cycle
    exists : Out(1), with enable: its pixel exists, write it
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
            **({"column": In(1)} if config.columns else {}),
            "valid": In(1),
            "codes": In(8 * config.r),
            "upcoming": Out(1),
            "enable": Out(1),
            "exists": Out(1),
            "address": Out(range(config.memory_words)),
            "mask": Out(WORD_NIBBLES),
            "word": Out(WORD_BITS),
        })

    @property
    def _packs(self):
        """Whether binary codes can be packed, M to a nibble."""
        return self._config.lane is Lane.XNOR

    @property
    def _unit(self):
        """Address bits inside M nibbles."""
        return (self._config.m - 1).bit_length()

    def elaborate(self, platform):
        m = Module()
        c = self._config
        drain = self.drain
        half = 4 * c.m  # bits of M nibbles; M bytes are two halves

        # Collect: bytes shift through both halves, nibbles through each half alike, packed codes through each nibble.
        chunks = []
        for r in range(c.r):
            chunk = Signal(2 * half, name=f"chunk{r}", reset_less=True)
            code = self.codes.word_select(r, 8)
            nibbles = Cat(chunk[4:half], code[:4]) if c.m > 1 else code[:4]
            with m.If(self.valid):
                with m.If(drain.byte):
                    m.d.sync += chunk.eq(Cat(chunk[8:], code))
                if self._packs:
                    with m.Elif(drain.packed):
                        m.d.sync += chunk.eq(Cat(chunk[1:4], code[0]).replicate(2 * half // 4))
                with m.Else():
                    m.d.sync += chunk.eq(Cat(nibbles, nibbles))
            chunks.append(chunk)
        column = Signal(range(c.m))
        full = Signal()
        completes = self.valid & (column == c.m - 1)
        m.d.sync += full.eq(completes)
        with m.If(self.valid):
            m.d.sync += column.eq(column + 1)

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

        # Chunks lie at multiples of their size: M nibbles, or M bytes.
        place, store = self._places(m, self.enable)
        if c.r == 1 and c.m > 1:
            # Writes are at least M cycles apart, so their place can wait in registers: near to main memory.
            near, exists = Signal.like(place), Signal()
            m.d.sync += [near.eq(place), exists.eq(store)]
            place, store = near, exists
        if self._packs:
            nibble_place, place = place, place[self._unit :]
        inside = (WORD_NIBBLES // c.m).bit_length() - 1
        m.d.comb += [
            self.exists.eq(store),
            self.address.eq(place >> inside),
            self.word.eq(chunk.replicate(WORD_BITS // (2 * half))),
        ]
        for nibble in range(WORD_NIBBLES):
            slot = nibble // c.m
            narrow, wide = place[:inside] == slot, place[1:inside] == slot >> 1
            if self._packs:
                narrow &= ~drain.packed | (nibble_place[: self._unit] == nibble % c.m)
            m.d.comb += self.mask[nibble].eq(Mux(drain.byte, wide, narrow))
        return m

    def _places(self, m, write):
        """(place of the chunk written now in units of M nibbles, or of one where codes are packed, whether its pixel
        exists)."""
        c = self._config
        first = word_view(DRAIN_FIELDS[0], self.first.word)
        active = Signal()
        place, pixel, group_last, pixel_last = chunk_places(
            m, c, self.drain, self.first, self.start, write, self._packs, self.column if c.columns else None
        )
        m.d.comb += self.idle.eq(~active)

        # Pixels after the first: whole groups of P, and those that the last group has besides its first.
        whole = (c.p - 1).bit_length()
        m.submodules.groups = groups = up_counter(c.family, len(first.pixels) - whole)
        others = Signal(whole, reset_less=True)
        m.d.comb += [
            groups.load.eq(self.first.here),
            groups.start.eq(~first.pixels[whole:]),
            groups.step.eq(write & pixel_last & group_last),
        ]
        with m.If(self.first.here):
            m.d.sync += others.eq(first.pixels[:whole])
        with m.If(self.start):
            m.d.sync += active.eq(1)
        with m.Elif(groups.step & groups.last):
            m.d.sync += active.eq(0)
        incomplete = groups.last
        if c.columns:
            m.submodules.bands = bands = TurnCounter(len(self.drain.px) - whole)
            m.d.comb += [
                bands.limit.eq(self.drain.px[whole:]), bands.start.eq(self.start), bands.advance.eq(groups.step),
            ]
            incomplete = Mux(self.column, bands.last, groups.last)
        return place, ~incomplete | (pixel <= others)
