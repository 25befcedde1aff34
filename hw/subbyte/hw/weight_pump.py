"""Weight pump: streams the program's weight rows from main memory into the weight buffer, ahead of use."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.ports import NO_COLLISION, ReadPort, WordArrival, word_view
from subbyte.hw.weight_blocks import WeightBlocks
from subbyte.hw.weight_tables import WeightTables
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.program import HEADER_FIELDS

__all__ = ["WeightPump"]


class WeightPump(wiring.Component):
    """Ring of weight rows with one writer (main memory) and one reader (the array).

    The weights are what lies from the header's `weight_word` to the end of main memory. Row pointers count
    modulo 2 * ring_rows. Rows `released` .. `available` - 1 are held. With `weight_tables` the weights are blocks
    (`WeightBlocks`), whose heads take `read_cycles` cycles besides the accesses.

    Members
    -------
    header : In(WordArrival), a run begins; loads all rows anew unless they are pinned and still there
    stale : In(1), pulse: the header was written, pinned rows must be loaded again
    memory : Out(ReadPort)
    row : In(range(ring_rows)), row to read
    weights : Out(4*K*M), of `row`, one cycle later
    slots : Out(S*slot_bits), its outlier slots, alike; only of an engine that has some
    available : Out, row pointer; what lies before it may be read from the next cycle on. Not valid in the first
        `pump_cycles` cycles after the header
    released : In, row pointer
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "header": In(WordArrival()),
            "stale": In(1),
            "memory": Out(ReadPort(config)),
            "row": In(range(config.ring_rows)),
            "weights": Out(4 * config.k * config.m),
            "available": Out(range(2 * config.ring_rows)),
            "released": In(range(2 * config.ring_rows)),
            **({"slots": Out(config.outlier_slots * config.slot_bits)} if config.outlier_slots else {}),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        part = c.ring_part_bits
        ring = memory.Memory(shape=part * c.code_words, depth=c.ring_rows, init=[], attrs=NO_COLLISION)
        m.submodules.ring = ring
        writer = ring.write_port(granularity=part)
        reader = ring.read_port()

        word = Signal(range(c.memory_words), reset_less=True)
        segment = Signal(range(c.row_words), reset_less=True)
        loaded = Signal()
        available = Signal.like(self.available, name="rows", reset_less=True)
        following = Signal.like(available)
        more, full = Signal(), Signal()  # registers, because a grant moves many others
        blocks = WeightBlocks(c) if c.weight_tables else None
        completes = blocks.completes if blocks else self.memory.grant & (segment == c.row_words - 1)
        m.d.comb += [
            self.available.eq(delayed(m, available, c.pump_cycles - 1)),
            following.eq(available + 1),
            self.memory.request.eq(more & ~full & blocks.asks if blocks else more & ~full),
            self.memory.address.eq(word),
        ]
        end = self.released ^ c.ring_rows  # row pointer of the row that does not fit
        m.d.sync += full.eq(Mux(completes, following == end, available == end))

        last = word.all() if c.memory_words == c.address_words else word == c.memory_words - 1
        with m.If(self.memory.grant):
            step, parts = (blocks.step, blocks.parts) if blocks else (1, 1)
            m.d.sync += [word.eq(word + step), segment.eq(segment + parts)]  # a power of two of segments
            with m.If(last & ~blocks.again if blocks else last):  # the weights end with the memory
                m.d.sync += more.eq(0)
        with m.If(completes):
            m.d.sync += available.eq(following)

        address = delayed(m, available[:-1], c.pump_cycles)
        weights = reader.data
        if blocks:
            data, enable = self._through_tables(m, blocks, segment)
        else:
            data = self.memory.data.replicate(c.code_words)
            enable = delayed(m, self.memory.grant, c.read_cycles) << delayed(m, segment, c.read_cycles)
        if c.outlier_slots:
            with m.If(completes):
                m.d.sync += segment.eq(0)  # not a power of two of them
            data, enable = self._with_slots(m, enable)
            weights, shares = self._apart(reader.data)
            m.d.comb += self.slots.eq(shares)
        m.d.comb += [
            writer.addr.eq(address),
            writer.data.eq(data),
            writer.en.eq(enable),
            reader.addr.eq(self.row),
            self.weights.eq(weights),
        ]
        with m.If(self.stale):
            m.d.sync += loaded.eq(0)
        header = word_view(HEADER_FIELDS, self.header.word)
        begin = self.header.here & ~(header.pinned & loaded)
        if blocks:
            m.d.comb += blocks.restart.eq(begin)
        with m.If(begin):
            m.d.sync += [
                available.eq(0),
                segment.eq(0),
                word.eq(header.weight_word),
                more.eq(1),
                loaded.eq(1),
            ]
        return m

    def _through_tables(self, m, blocks, segment):
        """(data of all parts, their enables): what the tables make of the words of rows."""
        m.submodules.blocks = blocks
        m.submodules.tables = tables = WeightTables(self._config.family)
        m.d.comb += [
            blocks.grant.eq(self.memory.grant),
            blocks.data.eq(self.memory.data),
            blocks.segment.eq(segment),
            tables.data.eq(self.memory.data),
            tables.load.eq(blocks.load),
            tables.plain.eq(blocks.plain),
            tables.swap.eq(blocks.swap),
            tables.half.eq(blocks.half),
        ]
        return Cat(tables.even, tables.odd).replicate(self._config.code_words // 2), blocks.enable

    def _with_slots(self, m, enable):
        """(data of all parts, their enables): the slots come first, wait, and go into the ring with the codes.

        So every block RAM of the ring is written once a row, and its spare bits can hold slots.
        """
        share = self._config.ring_part_bits - WORD_BITS
        held = Signal(share * self._config.code_words, reset_less=True)
        with m.If(enable[0]):
            m.d.sync += held.eq(self.memory.data)
        parts = [Cat(self.memory.data, held.word_select(i, share)) for i in range(self._config.code_words)]
        return Cat(*parts), enable[1:]

    def _apart(self, row):
        """(codes, slots) of a row of the ring."""
        parts = [row.word_select(i, self._config.ring_part_bits) for i in range(self._config.code_words)]
        return Cat(*(part[:WORD_BITS] for part in parts)), Cat(*(part[WORD_BITS:] for part in parts))
