"""Step controller of engines with the `depthwise` option, whose passes may be line passes."""

from amaranth import *

from subbyte.hw.column_steps import ColumnStepController
from subbyte.hw.steps import StepController

__all__ = ["LineStepController", "step_controller"]


class LineStepController(StepController):
    """In a line pass (`hop` is not 0) pixel groups are bands of one or two output rows, groups are output columns,
    windows are column groups.

    The words of a column begin `hop` behind those of the one before: both share some. All column groups go over them.
    A row of the band has its own weight rows, the same for all columns, and goes over the band's words from the first
    one on. In the band's last row the words of a column are released up to those of the next. Nothing of the second row
    of a `short` last band is captured.
    """

    LOOPS = ("planes", "rows", "words", "windows", "groups", "lines", "pixel_groups")

    def __init__(self, config):
        super().__init__(config)
        self._hops = Signal(name="hops")  # early: the section is there before its first step

    def _window(self, m, turn):
        """A column group of a line pass has one window position."""
        m.d.sync += self._hops.eq(self.compute.hop != 0)
        return turn.first | self._hops, turn.last | self._hops

    def _results(self, m, turns, last, ends):
        missing = Signal()
        m.d.comb += missing.eq(self.compute.short & turns["lines"].count & last["pixel_groups"])
        return ends["words"] & ~missing, ends["words"] & (last["windows"] | self._hops) & ~missing

    def _advance_row(self, m, go, last, ends, row, group_row, row_released, no_row):
        """As in other passes, but a column begins with the row of the one before."""
        following = Signal.like(row)
        hops = self._hops
        whole = Signal()  # nothing is done again with this row of weights before the next band
        next_window = ends["words"] & ~last["windows"] & ~hops
        next_column = ends["windows"] & ~whole
        next_pixels = ends["lines"] & ~last["pixel_groups"]
        m.d.comb += [following.eq(row + 1), whole.eq(~hops | last["groups"])]
        with m.If(go & ends["planes"]):
            m.d.sync += row.eq(following)
            with m.If((last["windows"] | hops) & last["pixel_groups"] & whole):
                m.d.sync += row_released.eq(following)
        with m.If(go & ends["windows"] & whole):
            m.d.sync += group_row.eq(following)
        with m.If(go & (next_window | next_column)):
            m.d.sync += row.eq(group_row)
        with m.If(go & next_pixels):
            m.d.sync += [row.eq(row_released), group_row.eq(row_released)]
        rewinds = next_window | next_column | next_pixels
        self._watch(m, go, no_row, self.row_available, row, following, ends["planes"], rewinds)

    def _advance_word(self, m, go, last, ends, word, word_released, no_word):
        """Every column begins `hop` words behind the one before, column groups of ordinary passes where that one began:
        there `hop` is 0."""
        following, hopped = Signal.like(word), Signal.like(word)
        column = Signal.like(word, reset_less=True)  # first word of this column or group
        again, next_column = Signal(), Signal()
        next_line = ends["groups"] & ~last["lines"]
        m.d.comb += [
            following.eq(word + self.compute.planes + 1),
            hopped.eq(column + self.compute.hop),
            again.eq(ends["words"] & self._hops & ~last["windows"]),
            next_column.eq(ends["windows"] & ~last["groups"]),
        ]
        with m.If(go & ends["rows"]):
            m.d.sync += word.eq(following)
            with m.If(last["groups"] & last["lines"] & (last["windows"] | ~self._hops)):
                m.d.sync += word_released.eq(following)
        with m.If(go & next_column):
            m.d.sync += [word.eq(hopped), column.eq(hopped)]
            with m.If(last["lines"]):
                m.d.sync += word_released.eq(hopped)
        with m.If(go & again):
            m.d.sync += word.eq(column)
        with m.If(go & ends["groups"]):
            m.d.sync += column.eq(following)
        with m.If(go & next_line):
            m.d.sync += [word.eq(word_released), column.eq(word_released)]
        with m.If(self.reset):
            m.d.sync += column.eq(0)
        rewinds = again | (next_column & ~self.compute.apart) | next_line  # a column apart begins at `following`
        self._watch(m, go, no_word, self.word_available, word, following, ends["rows"], rewinds)


def step_controller(config):
    """The controller that suits the options."""
    if config.columns:
        return ColumnStepController(config)
    return LineStepController(config) if config.depthwise else StepController(config)
