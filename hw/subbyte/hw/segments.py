"""Segment walker: the five nested loops of a fill section, one segment ahead of its use."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.early import early
from subbyte.hw.ports import WordArrival, fill_layout, word_view
from subbyte.hw.turn_counter import TurnCounter
from subbyte.spec.program import FILL_FIELDS

__all__ = ["SegmentWalker"]


class SegmentWalker(wiring.Component):
    """Position inside the current segment; the counters and `following` already belong to the next one.

    A segment takes two cycles at least: its counters move in the second. One that is known to be a single piece
    (`fill.single`, of engines with `depthwise`) takes one: its end is known early, so they move at once.

    Members
    -------
    first : In(WordArrival), word 0 of a section, before `start`
    start : In(1), pulse: `fill` holds the new section
    fill : In(fill_layout)
    active : Out(1), segments are left
    valid : Out(1), `address` and `left` are those of the current segment
    address : Out, nibble address of the next code
    left, room : Out, codes of the segment, and of the chunk of F nibbles in memory, behind the one at `address`
    long : Out(1), `left` has higher bits
    advance : In(1), move by `codes` + 1 codes, `nibbles` nibbles
    chunk_ends, borrows, ends : In(1), with advance: what `Piece` tells of it
    window_ends, pixel_ends, last_pixel : Out(1), the current segment is the last of its window
        position, of its pixel; belongs to the last pixel
    row_last : Out(1), it belongs to the last turn of px; only of engines with column passes
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "first": In(WordArrival()),
            "start": In(1),
            "fill": In(fill_layout(config)),
            "active": Out(1),
            "valid": Out(1),
            "address": Out(config.nibble_address_bits),
            "left": Out(range(config.fill_nibbles)),
            "long": Out(1),
            "room": Out(range(config.fill_nibbles)),
            "advance": In(1),
            "codes": In(range(config.fill_nibbles)),
            "nibbles": In(range(config.fill_nibbles + 1)),
            "chunk_ends": In(1),
            "borrows": In(1),
            "ends": In(1),
            "window_ends": Out(1),
            "pixel_ends": Out(1),
            "last_pixel": Out(1),
            **({"row_last": Out(1)} if config.columns else {}),
        })

    def elaborate(self, platform):
        m = Module()
        fill = self.fill
        loops = ["ky", "wx", "wy", "px", "py"]  # innermost first
        more = Signal()  # there is a following segment
        # The end of a segment is known late in a cycle, so the counters move in the one after it.
        loaded = Signal()
        moves = Signal() if self._config.depthwise else loaded
        last = {}
        outermost = self._outermost_step(fill)
        step = Signal(outermost.as_signed().shape())
        m.d.comb += step.eq(outermost)
        within = C(1)
        for name in loops:
            m.submodules[name] = turn = TurnCounter(len(fill[name]))
            m.d.comb += [turn.limit.eq(fill[name]), turn.start.eq(self.start), turn.advance.eq(moves & within)]
            last[name] = turn.last
            within = self._early(m, f"{name}_ends", within & turn.last)
        for name in reversed(loops[:-1]):
            with m.If(~last[name]):
                inner = fill[f"step_{name}"]
                m.d.comb += step.eq(inner.as_signed() if self._config.columns else inner)

        ends = early(Signal())
        load = Signal()
        if self._config.depthwise:
            if self._config.family.ice40_cells:
                due = self._early(m, "due", loaded | (fill.single & more & ~self.valid))
                m.d.comb += moves.eq(due | (self._early(m, "alone", fill.single & more) & self.advance))
            else:
                m.d.comb += moves.eq(loaded | (fill.single & more & (~self.valid | self.advance)))
        m.d.comb += [
            self.active.eq(more | self.valid),
            ends.eq(self.advance & self.ends),
            load.eq(more & ~loaded & (~self.valid | ends)),
        ]
        # Without reset, which would be one more thing that enables them.
        following = Signal.like(self.address, reset_less=True)
        current = {
            name: Signal.like(getattr(self, name), name=f"{name}_now", reset_less=True)
            for name in (
                "address", "left", "long", "room", "window_ends", "pixel_ends", "last_pixel",
                *(("row_last",) if self._config.columns else ()),
            )
        }
        m.d.comb += [getattr(self, name).eq(register) for name, register in current.items()]
        address, few, long, room = (current[name] for name in ("address", "left", "long", "room"))
        offset, chunk = address[: len(room)], address[len(room) :]
        many = Signal(len(fill.segment) - len(few), reset_less=True)

        def room_behind(offset):
            return Mux(fill.byte, ~offset >> 1, ~offset)

        with m.If(self.advance):
            # Upper bits move by one at most, so the size of the piece is not in their way.
            m.d.sync += [offset.eq(offset + self.nibbles), few.eq(few + ~self.codes), room.eq(room + ~self.codes)]
            with m.If(self.chunk_ends):
                m.d.sync += [chunk.eq(chunk + 1), room.eq(room_behind(C(0, len(room))))]
            with m.If(self.borrows):
                m.d.sync += [many.eq(many - 1), long.eq(many != 1)]
            with m.If(self.ends):
                m.d.sync += self.valid.eq(0)
        m.d.sync += loaded.eq(load & ~fill.single if self._config.depthwise else load)
        window_ends, last_pixel = last["ky"], last["px"] & last["py"]
        pixel_ends = window_ends & last["wx"] & last["wy"]
        with m.If(load):
            m.d.sync += [
                address.eq(following),
                Cat(few, many).eq(fill.segment),
                long.eq(fill.segment[len(few) :].any()),
                room.eq(room_behind(following[: len(room)])),
                self.valid.eq(1),
                current["window_ends"].eq(window_ends),
                current["pixel_ends"].eq(pixel_ends),
                current["last_pixel"].eq(last_pixel),
                *([current["row_last"].eq(last["px"])] if self._config.columns else []),
            ]
        with m.If(moves):
            m.d.sync += [following.eq(following + step), more.eq(~(pixel_ends & last_pixel))]
        with m.If(self.first.here):
            m.d.sync += following.eq(word_view(FILL_FIELDS[0], self.first.word).address)
        with m.If(self.start):
            m.d.sync += more.eq(1)
        return m

    def _early(self, m, name, value):
        """`value`; where there are single pieces, on iCE40 a signal of its own, so that `advance`, which is late, meets
        it last. ECP5 meets its clock without."""
        if not (self._config.depthwise and self._config.family.ice40_cells):
            return value
        signal = early(Signal(name=name))
        m.d.comb += signal.eq(value)
        return signal

    def _outermost_step(self, fill):
        """That of py, in column passes beyond its field."""
        step = fill.step_py
        if not (self._config.columns and len(fill.far)):
            return step
        return Cat(step, (fill.far + step[-1].replicate(len(fill.far)))[: len(fill.far)])
