"""Gather unit: walks the windows of a layer's input, packs codes densely into words of operands."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.column_position import tile_position
from subbyte.hw.column_tile import ColumnTile
from subbyte.hw.decode import Decoder
from subbyte.hw.piece import Piece
from subbyte.hw.ports import ReadPort, UnitWrite, WordArrival, fill_layout
from subbyte.hw.segments import SegmentWalker
from subbyte.hw.tile import activation_tile
from subbyte.spec.engine import WORD_NIBBLES

__all__ = ["Gather"]

class Gather(wiring.Component):
    """Executes one fill section (docs/engine.md): main memory -> chunk -> rotate -> decode -> tile.

    Moves up to F nibbles per cycle and plane, never across a border of an aligned chunk of F nibbles in
    memory or of a K-word in the tile; a chunk is read once for all planes. Stages: issue, memory, chunk, decode; see
    `read_cycles` and below for ECP5's.

    Members
    -------
    reset : In(1), pulse: a run begins, the tile is empty
    first : In(WordArrival), word 0 of a section, before `start`
    start : In(1), pulse: `fill` holds the new section; only while `idle`
    hold : In(1), from `start` on: do not read in the next cycle
    idle : Out(1)
    fill : In(fill_layout)
    memory : Out(ReadPort)
    tables : In(UnitWrite)
    filled : Out, word pointer: words before it may be read from the next cycle on
    released : In, word pointer: words before it may be overwritten
    read_word, operands : see `MaskedTile`
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "reset": In(1),
            "first": In(WordArrival()),
            "start": In(1),
            "hold": In(1),
            "idle": Out(1, init=1),
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
        connect(m, flipped(self.first), walker.first)
        m.d.comb += [walker.fill.eq(fill), walker.start.eq(self.start)]
        lane = Signal(range(c.k), reset_less=True)
        plane = Signal.like(fill.planes, reset_less=True)
        offset = walker.address[:f_bits]
        m.submodules.piece = piece = Piece(c)
        ends = piece.segment_ends
        close = Signal()
        m.d.comb += [
            piece.room.eq(walker.room),
            piece.lane.eq(lane),
            piece.left.eq(walker.left),
            piece.long.eq(walker.long),
            close.eq(piece.word_ends | (ends & walker.window_ends)),
        ]
        m.submodules.reserve = reserve = tile_position(c)
        more = fill.planes | fill.pair if c.columns else fill.planes  # tile words of a K-word, or of a pair, minus one
        blocked = Signal()
        used = Signal.like(reserve.word)
        advance = Signal()
        last_plane = plane == fill.planes
        first_plane = plane == 0
        m.d.comb += [
            used.eq(reserve.word - self.released + (more << 1) + 1),
            self.memory.request.eq(walker.valid & ~blocked & first_plane),
            self.memory.address.eq(walker.address >> 4),
            advance.eq(walker.valid & ~blocked & (self.memory.grant | ~first_plane)),
            walker.advance.eq(advance & last_plane),
            walker.codes.eq(piece.count),
            walker.nibbles.eq(Mux(fill.byte, Cat(C(0, 1), piece.count) + 2, piece.count + 1)),
            walker.chunk_ends.eq(piece.chunk_ends),
            walker.borrows.eq(piece.borrows),
            walker.ends.eq(ends),
        ]
        # One cycle late, so that the tile does not sit in the path to main memory: one more word than the
        # one being filled must be free.
        m.d.sync += blocked.eq(used[-1] | self.hold)
        with m.If(advance):
            m.d.sync += plane.eq(plane + 1)
            with m.If(last_plane):
                m.d.sync += [plane.eq(0), lane.eq(Mux(close, 0, lane + piece.count + 1))]

        with m.If(self.reset):
            m.d.sync += [plane.eq(0), lane.eq(0)]

        # The stages behind: memory -> chunk -> rotate -> decode -> tile.
        issue = {
            "valid": advance,
            "new": first_plane,
            "chunk": walker.address[f_bits : (WORD_NIBBLES - 1).bit_length()],
            "rotate": (offset - Mux(fill.byte, lane << 1, lane))[:f_bits],
            "lane": lane,
            "plane": plane,
            "close": close & last_plane,
            "word_ends": close,
            "pixel_ends": ends & walker.pixel_ends & last_plane,
            "last_pixel": walker.last_pixel,
            **({"row_last": walker.row_last, "row_there": walker.pixel_ends} if c.columns else {}),
        }
        fetch, under_way = issue, []
        for cycle in range(c.read_cycles):
            fetch = self._delayed(m, f"fetch{cycle}", fetch)
            under_way.append(fetch["valid"])
        chunk = Signal(4 * c.fill_nibbles, reset_less=True)
        with m.If(fetch["valid"] & fetch["new"]):
            m.d.sync += chunk.eq(self.memory.data.word_select(fetch.pop("chunk"), len(chunk)))
        rotate = self._delayed(m, "rotate", {**fetch, "slot": (fill.slot + fetch["plane"])[: len(fill.slot)]})

        m.submodules.decoder = decoder = Decoder(c)
        connect(m, flipped(self.tables), decoder.load)
        nibbles, look = Signal.like(decoder.nibbles), rotate
        with m.Switch(rotate.pop("rotate")):
            for amount in range(c.fill_nibbles):
                with m.Case(amount):
                    m.d.comb += nibbles.eq(chunk.rotate_right(4 * amount))
        if c.family.registered:  # distributed RAM: the way through it is long on both sides of a register
            register = Signal.like(nibbles, reset_less=True)
            m.d.sync += register.eq(nibbles)
            nibbles, look = register, self._delayed(m, "look", rotate)
        m.d.comb += [decoder.nibbles.eq(nibbles), decoder.byte.eq(fill.byte), decoder.slot.eq(look["slot"])]

        # Decode: the operands reach every lane with lane % F. Those before `lane` are kept; those behind the
        # codes are written over next, or undefined.
        m.submodules.position = position = tile_position(c)
        complete = look["word_ends"]
        if c.columns:  # a word is written with the last row of its pixel, not with each
            commit = look["close"] & position.commits
            complete &= ~fill.column | (look["row_there"] & position.completes)
        else:
            commit = look["close"] & (look["last_pixel"] | (position.bank == c.p - 1))
        store = self._delayed(m, "store", {
            "valid": look["valid"],
            "bank": position.bank,
            "word": position.word + look["plane"],
            "plane": look["plane"],
            "mask": C((1 << c.k) - 1, c.k) << look["lane"],
            "close": complete,
        })
        m.submodules.tile = tile = ColumnTile(c) if c.columns else activation_tile(c)
        m.d.comb += [
            tile.enable.eq(store["valid"]),
            tile.bank.eq(store["bank"]),
            tile.word.eq(store["word"]),
            tile.plane.eq(store["plane"]),
            tile.mask.eq(store["mask"]),
            tile.data.eq(decoder.operands.replicate(c.k // c.fill_nibbles)),
            tile.close.eq(store["close"]),
            tile.read_word.eq(self.read_word),
            self.operands.eq(tile.operands),
        ]
        for user, stage in ((reserve, {**issue, "close": close & last_plane}), (position, look)):
            m.d.comb += [
                user.reset.eq(self.reset),
                user.planes.eq(more),
                user.close.eq(stage["valid"] & stage["close"]),
                user.pixel_ends.eq(stage["pixel_ends"]),
                user.last_pixel.eq(stage["last_pixel"]),
                *self._column(user, stage),
            ]
        if c.columns:
            m.d.comb += [tile.column.eq(fill.column), tile.pair.eq(fill.pair)]
        # Words to announce: those whose last bank is on its way, one cycle before they are written.
        filled = position.word
        if c.p > 1:
            filled = Signal.like(position.word)
            with m.If(look["valid"] & commit):
                m.d.sync += filled.eq(position.following)
            with m.If(self.reset):
                m.d.sync += filled.eq(0)
        for _ in range(tile.WRITE_DELAY):
            written = Signal.like(self.filled)
            m.d.sync += written.eq(filled)
            filled = written
        m.d.comb += self.filled.eq(filled)
        # A register, because the sequencer's requests come before ours in main memory's arbiter.
        m.d.sync += self.idle.eq(
            ~(self.start | walker.active | Cat(under_way, rotate["valid"], look["valid"], store["valid"]).any())
        )
        return m

    def _column(self, position, stage):
        """What a position needs besides for column passes."""
        if not self._config.columns:
            return []
        column, head = self.fill.column, self.fill.head
        return [position.column.eq(column), position.head.eq(head), position.row_last.eq(stage["row_last"])]

    @staticmethod
    def _delayed(m, name, stage):
        """Registers behind the values of a stage."""
        registers = {key: Signal(len(Value.cast(value)), name=f"{name}_{key}") for key, value in stage.items()}
        m.d.sync += [registers[key].eq(value) for key, value in stage.items()]
        return registers
