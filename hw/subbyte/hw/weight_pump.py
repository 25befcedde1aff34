"""Weight pump: streams the program's weight rows from main memory into the weight buffer, ahead of use."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.ports import NO_COLLISION, ReadPort, WordArrival, word_view
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.program import HEADER_FIELDS

__all__ = ["WeightPump"]


class WeightPump(wiring.Component):
    """Ring of weight rows with one writer (main memory) and one reader (the array).

    The weights are what lies from the header's `weight_word` to the end of main memory. Row pointers count
    modulo 2 * ring_rows. Rows `released` .. `available` - 1 are held.

    Members
    -------
    header : In(WordArrival), a run begins; loads all rows anew unless they are pinned and still there
    stale : In(1), pulse: the header was written, pinned rows must be loaded again
    memory : Out(ReadPort)
    row : In(range(ring_rows)), row to read
    weights : Out(4*K*M), of `row`, one cycle later
    available : Out, row pointer; what lies before it may be read from the next cycle on. Not valid in the first
        `read_cycles` cycles after the header
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
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        ring = memory.Memory(shape=WORD_BITS * c.row_words, depth=c.ring_rows, init=[], attrs=NO_COLLISION)
        m.submodules.ring = ring
        writer = ring.write_port(granularity=WORD_BITS)
        reader = ring.read_port()

        word = Signal(range(c.memory_words), reset_less=True)
        segment = Signal(range(c.row_words), reset_less=True)
        loaded = Signal()
        available = Signal.like(self.available, name="rows", reset_less=True)
        following = Signal.like(available)
        more, full = Signal(), Signal()  # registers, because a grant moves many others
        completes = self.memory.grant & (segment == c.row_words - 1)
        m.d.comb += [
            self.available.eq(delayed(m, available, c.read_cycles - 1)),
            following.eq(available + 1),
            self.memory.request.eq(more & ~full),
            self.memory.address.eq(word),
        ]
        end = self.released ^ c.ring_rows  # row pointer of the row that does not fit
        m.d.sync += full.eq(Mux(completes, following == end, available == end))

        with m.If(self.memory.grant):
            m.d.sync += [word.eq(word + 1), segment.eq(segment + 1)]  # a power of two of segments
            with m.If(word.all()):  # the weights end with the memory
                m.d.sync += more.eq(0)
        with m.If(completes):
            m.d.sync += available.eq(following)

        m.d.comb += [
            writer.addr.eq(delayed(m, available[:-1], c.read_cycles)),
            writer.data.eq(self.memory.data.replicate(c.row_words)),
            writer.en.eq(delayed(m, self.memory.grant, c.read_cycles) << delayed(m, segment, c.read_cycles)),
            reader.addr.eq(self.row),
            self.weights.eq(reader.data),
        ]
        with m.If(self.stale):
            m.d.sync += loaded.eq(0)
        header = word_view(HEADER_FIELDS, self.header.word)
        with m.If(self.header.here & ~(header.pinned & loaded)):
            m.d.sync += [
                available.eq(0),
                segment.eq(0),
                word.eq(header.weight_word),
                more.eq(1),
                loaded.eq(1),
            ]
        return m
