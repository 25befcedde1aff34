"""Step controller: the loops of a compute section, one array step per cycle."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.array import StepControl
from subbyte.hw.ports import compute_layout

__all__ = ["Stall", "StepController"]


class Stall(enum.Enum, shape=2):
    """Why no step was made in a cycle."""

    NONE = 0
    WEIGHTS = 1
    ACTIVATIONS = 2
    REQUANTIZER = 3


class StepController(wiring.Component):
    """For every pixel group, column group, window position, word, weight row and plane: one step.

    The first window position of a column group ends only when the shadow has been drained of the one
    before, `drain_cycles` after that one's last step.

    Members
    -------
    reset : In(1), pulse: a run begins
    start : In(1), pulse: `compute` holds a new section; only while `idle`
    idle : Out(1)
    compute : In(compute_layout)
    row, row_available, row_released : row pointers of the weight buffer
    word, word_available, word_released : word pointers of the tile
    read_word : Out, tile address of this step
    step : Out(StepControl), one cycle after `row` and `read_word`, together with the data
    stall : Out(Stall)
    """

    def __init__(self, config):
        self._config = config
        rows = range(2 * config.ring_rows)
        words = range(2 * config.tile_words)
        super().__init__({
            "reset": In(1),
            "start": In(1),
            "idle": Out(1),
            "compute": In(compute_layout(config)),
            "row": Out(rows),
            "row_available": In(rows),
            "row_released": Out(rows),
            "word_available": In(words),
            "word_released": Out(words),
            "read_word": Out(range(config.tile_words)),
            "step": Out(StepControl),
            "stall": Out(Stall),
        })

    @property
    def drain_cycles(self):
        """Cycles that the shadow needs to drain a column group."""
        return self._config.m * self._config.p // self._config.r

    def elaborate(self, platform):
        m = Module()
        compute = self.compute
        active = Signal()
        loops = ["planes", "rows", "words", "windows", "groups", "pixel_groups"]  # innermost first
        counters = {name: Signal.like(compute[name], name=name) for name in loops}
        last = {name: Signal(name=f"{name}_last") for name in loops}
        for name in loops:
            m.d.comb += last[name].eq(counters[name] == compute[name])
        ends = {}  # name -> this step is the last of a turn of the loop around `name`
        inner = C(1)
        for name in loops:
            inner = inner & last[name]
            ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += ends[name].eq(inner)

        row = self.row
        group_row = Signal.like(row)
        word = Signal(range(2 * self._config.tile_words))
        cooling = Signal(range(self.drain_cycles + 1))
        no_row, no_word, no_shadow = Signal(), Signal(), Signal()
        go = Signal()
        first_step = (counters["planes"] == 0) & (counters["rows"] == 0) & (counters["words"] == 0)
        m.d.comb += [
            self.idle.eq(~active),
            no_row.eq(row == self.row_available),
            no_word.eq(word == self.word_available),
            no_shadow.eq(ends["words"] & (counters["windows"] == 0) & (cooling > 1)),
            go.eq(active & ~no_row & ~no_word & ~no_shadow),
            self.read_word.eq(word + counters["planes"]),
        ]
        with m.If(active):
            with m.If(no_word):
                m.d.comb += self.stall.eq(Stall.ACTIVATIONS)
            with m.Elif(no_row):
                m.d.comb += self.stall.eq(Stall.WEIGHTS)
            with m.Elif(no_shadow):
                m.d.comb += self.stall.eq(Stall.REQUANTIZER)

        m.d.sync += [
            self.step.enable.eq(go),
            self.step.first.eq(first_step),
            self.step.level.eq(counters["rows"] + (counters["planes"] & compute.radix)),
            self.step.last.eq(go & ends["words"]),
            self.step.window_first.eq(counters["windows"] == 0),
            self.step.window_last.eq(last["windows"]),
        ]
        with m.If(cooling != 0):
            m.d.sync += cooling.eq(cooling - 1)
        with m.If(go):
            inner_ends = C(1)
            for name in loops:
                with m.If(inner_ends):
                    m.d.sync += counters[name].eq(Mux(last[name], 0, counters[name] + 1))
                inner_ends = ends[name]
            self._advance_row(m, last, ends, row, group_row)
            self._advance_word(m, last, ends, word)
            with m.If(ends["windows"]):
                m.d.sync += cooling.eq(self.drain_cycles)
            with m.If(ends["pixel_groups"]):
                m.d.sync += active.eq(0)

        with m.If(self.start):
            m.d.sync += active.eq(1)
        with m.If(self.reset):
            m.d.sync += [
                row.eq(0), group_row.eq(0), self.row_released.eq(0),
                word.eq(0), self.word_released.eq(0),
            ]
        return m

    def _advance_row(self, m, last, ends, row, group_row):
        """Next weight row: rewinds for windows and pixel groups; freed when nothing rewinds to it any more.

        Until the last pixel group frees rows, the first row of the pass is the first one held.
        """
        following = Signal.like(row)
        m.d.comb += following.eq(row + 1)
        with m.If(ends["planes"]):
            m.d.sync += row.eq(following)
            with m.If(last["windows"] & last["pixel_groups"]):
                m.d.sync += self.row_released.eq(following)
        with m.If(ends["words"]):
            with m.If(~last["windows"]):
                m.d.sync += row.eq(group_row)
            with m.Elif(~last["groups"]):
                m.d.sync += group_row.eq(following)
            with m.Elif(~last["pixel_groups"]):
                m.d.sync += [row.eq(self.row_released), group_row.eq(self.row_released)]
            with m.Else():
                m.d.sync += group_row.eq(following)

    def _advance_word(self, m, last, ends, word):
        """Next tile word: rewinds for column groups; freed in the last of them.

        Until the last column group frees words, the first word of the pixels is the first one held.
        """
        following = Signal.like(word)
        m.d.comb += following.eq(word + self.compute.planes + 1)
        with m.If(ends["rows"]):
            m.d.sync += word.eq(following)
            with m.If(last["groups"]):
                m.d.sync += self.word_released.eq(following)
        with m.If(ends["windows"] & ~last["groups"]):
            m.d.sync += word.eq(self.word_released)
