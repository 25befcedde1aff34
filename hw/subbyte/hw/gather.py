"""Gather unit: walks the windows of a layer's input, packs codes densely into words of operands."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.decode import Decoder
from subbyte.hw.ports import ReadPort, UnitWrite, fill_layout
from subbyte.hw.segments import SegmentWalker
from subbyte.hw.tile import activation_tile
from subbyte.spec.engine import WORD_NIBBLES

__all__ = ["Gather"]


class Gather(wiring.Component):
    """Executes one fill section (docs/engine.md): main memory -> chunk -> rotate -> decode -> tile.

    Moves up to F nibbles per cycle and plane, never across a border of an aligned chunk of F nibbles in
    memory or of a K-word in the tile. Four stages: issue, memory, hold, decode; three cycles from a
    grant to the tile.

    Members
    -------
    reset : In(1), pulse: a run begins, the tile is empty
    start : In(1), pulse: `fill` holds a new section; only while `idle`
    idle : Out(1)
    fill : In(fill_layout)
    memory : Out(ReadPort)
    tables : In(UnitWrite)
    filled : Out, word pointer: words before it may be read
    released : In, word pointer: words before it may be overwritten
    read_word, operands : see `MaskedTile`
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "reset": In(1),
            "start": In(1),
            "idle": Out(1),
            "fill": In(fill_layout(config)),
            "memory": Out(ReadPort(config)),
            "tables": In(UnitWrite()),
            "filled": Out(range(2 * config.tile_words)),
            "released": In(range(2 * config.tile_words)),
            "read_word": In(range(config.tile_words)),
            "operands": Out(config.p * config.k * config.operand_bits),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        fill = self.fill
        f_bits = (c.fill_nibbles - 1).bit_length()

        # Issue: how many codes move this cycle, and to which lanes.
        m.submodules.walker = walker = SegmentWalker(c)
        m.d.comb += [walker.fill.eq(fill), walker.start.eq(self.start)]
        lane = Signal(range(c.k))
        plane = Signal(3)
        base = Signal(range(2 * c.tile_words))
        group = Signal.like(base)
        bank = Signal(range(c.p))
        need = Signal(init=1)

        offset = walker.address[:f_bits]
        in_chunk = Signal(range(c.fill_nibbles + 1))
        room = Signal(range(c.k + 1))
        most = Signal.like(in_chunk)
        count = Signal.like(in_chunk)
        ends = Signal()
        m.d.comb += [
            in_chunk.eq(Mux(fill.byte, (c.fill_nibbles - offset) >> 1, c.fill_nibbles - offset)),
            room.eq(c.k - lane),
            most.eq(Mux(room < in_chunk, room, in_chunk)),
            ends.eq(walker.left <= most),
            count.eq(Mux(ends, walker.left, most)),
        ]
        nibbles = Signal(range(c.fill_nibbles + 1))
        m.d.comb += nibbles.eq(Mux(fill.byte, count << 1, count))

        used = Signal.like(base)
        blocked = Signal()
        advance = Signal()
        last_plane = Signal()
        m.d.comb += [
            used.eq(base - self.released + fill.planes),
            blocked.eq(used[-1]),
            self.memory.request.eq(walker.valid & ~blocked & need),
            self.memory.address.eq(walker.address >> 4),
            advance.eq(walker.valid & ~blocked & (self.memory.grant | ~need)),
            last_plane.eq(plane == fill.planes),
            walker.advance.eq(advance & last_plane),
            walker.codes.eq(count),
            walker.nibbles.eq(nibbles),
            walker.ends.eq(ends),
        ]
        lane_next = Signal(range(2 * c.k))
        close = Signal()
        m.d.comb += [
            lane_next.eq(lane + count),
            close.eq(lane_next[-1] | (ends & walker.window_ends)),
        ]
        word_position = walker.address[: (WORD_NIBBLES - 1).bit_length()]
        with m.If(advance):
            m.d.sync += [plane.eq(plane + 1), need.eq(0)]
            with m.If(last_plane):
                closed = Signal.like(base)
                m.d.comb += closed.eq(Mux(close, base + fill.planes + 1, base))
                m.d.sync += [
                    plane.eq(0),
                    need.eq(ends | (word_position + nibbles >= WORD_NIBBLES)),
                    lane.eq(Mux(close, 0, lane_next)),
                    base.eq(closed),
                ]
                if c.p > 1:
                    with m.If(ends & walker.pixel_ends):
                        with m.If((bank == c.p - 1) | walker.last_pixel):
                            m.d.sync += [bank.eq(0), group.eq(closed)]
                        with m.Else():
                            m.d.sync += [bank.eq(bank + 1), base.eq(group)]

        # Memory and hold: the word is kept for the chunks and planes that follow.
        hold = Signal(4 * WORD_NIBBLES)
        chunk = Signal(range(WORD_NIBBLES // c.fill_nibbles))
        issue = {
            "valid": advance,
            "new": need,
            "chunk": walker.address[f_bits : len(word_position)],
            "rotate": (offset - Mux(fill.byte, lane << 1, lane))[:f_bits],
            "lane": lane,
            "count": count,
            "word": (base + plane)[: len(base) - 1],
            "plane": plane,
            "bank": bank,
            "close": close,
            "commit": close & last_plane & ((bank == c.p - 1) | walker.last_pixel),
        }
        def delayed(stage, names, stage_name):
            registers = {}
            for name in names:
                value = stage[name]
                registers[name] = Signal(len(Value.cast(value)), name=f"{stage_name}_{name}")
                m.d.sync += registers[name].eq(value)
            return registers

        later = ["valid", "lane", "count", "word", "plane", "bank", "close", "commit"]
        fetch = delayed(issue, issue, "fetch")
        with m.If(fetch["valid"] & fetch["new"]):
            m.d.sync += hold.eq(self.memory.data)
        rotate = delayed(fetch, [*later, "chunk", "rotate"], "rotate")

        m.submodules.decoder = decoder = Decoder(c)
        connect(m, flipped(self.tables), decoder.load)
        width = 4 * c.fill_nibbles
        source = Signal(width)
        m.d.comb += [chunk.eq(rotate["chunk"]), source.eq(hold.word_select(chunk, width))]
        with m.Switch(rotate["rotate"]):
            for amount in range(c.fill_nibbles):
                with m.Case(amount):
                    m.d.comb += decoder.nibbles.eq(source.rotate_right(4 * amount))
        m.d.comb += [decoder.byte.eq(fill.byte), decoder.slot.eq(fill.slot + rotate["plane"])]

        # Decode: the operands reach every lane with lane % F, a mask chooses `count` of them.
        store = delayed(rotate, later, "store")
        m.submodules.tile = tile = activation_tile(c)
        mask = Signal(c.k)
        below = Signal(2 * c.k)
        m.d.comb += [
            below.eq(((1 << store["count"]) - 1) << store["lane"]),
            mask.eq(below),
            tile.enable.eq(store["valid"]),
            tile.bank.eq(store["bank"]),
            tile.word.eq(store["word"]),
            tile.plane.eq(store["plane"]),
            tile.mask.eq(mask),
            tile.data.eq(decoder.operands.replicate(c.k // c.fill_nibbles)),
            tile.close.eq(store["close"]),
            tile.commit.eq(store["commit"]),
            tile.read_word.eq(self.read_word),
            self.operands.eq(tile.operands),
        ]
        with m.If(tile.committed):
            m.d.sync += self.filled.eq(self.filled + fill.planes + 1)
        settled = Signal()
        m.d.sync += settled.eq(store["valid"])
        m.d.comb += self.idle.eq(
            ~(walker.active | fetch["valid"] | rotate["valid"] | store["valid"] | settled)
        )

        with m.If(self.reset):
            m.d.sync += [base.eq(0), group.eq(0), self.filled.eq(0)]
        with m.If(self.start):
            m.d.sync += [lane.eq(0), plane.eq(0), bank.eq(0), need.eq(1)]
        return m
