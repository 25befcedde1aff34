"""Step controller of engines with column passes."""

from amaranth import *

from subbyte.hw.early import early
from subbyte.hw.steps import StepController

__all__ = ["ColumnStepController"]

KERNEL_BITS = 3
"""Bits of a column pass's `words`."""


class ColumnStepController(StepController):
    """In a column pass (`hop` is not 0) the words of a result lie in the tile an input column apart.

    Pixel groups and column groups of an output column follow each other, the first word of each behind that of the one
    before, from the first words of the input columns on; these are released with the output column. A result's words
    are all there when its last one is: the lag of that behind the first is known two cycles after the section, and what
    is available is held against the first word a cycle later. So a column pass starts three cycles later than others,
    and pauses for a cycle before each output column.
    """

    def _limit(self, name):
        limit = super()._limit(name)
        if name == "windows":  # has another meaning in a column pass
            limit = limit & ~self.compute.hop.any().replicate(len(limit))
        return limit

    def _advance_word(self, m, go, last, ends, word, word_released, no_word):
        """As in other passes; in a column pass by input columns, then by the words of a group, then by `hop`.

        Groups end two cycles apart at least, because the shadow drains one before it takes the next. So what comes
        after a group is known in registers.
        """
        compute = self.compute
        kind = compute.hop.any()
        column_pass, column_last = Signal(), Signal(reset_less=True)
        first = Signal.like(word, reset_less=True)  # word of this column group
        last_first = Signal.like(word, reset_less=True)  # `first` of the output column's last group
        next_first, next_column = (Signal.like(word, name=name, reset_less=True) for name in ("behind", "hopped"))
        apart = Signal(range(2 << len(compute.windows)), reset_less=True)  # from a word of a result to the next
        following, beyond = Signal.like(word), Signal.like(word)
        column_ends = Signal()
        next_group = ends["windows"] & ~last["groups"]
        m.d.sync += [  # the section is there before its first step
            column_pass.eq(kind),
            apart.eq(Mux(kind, compute.windows, compute.planes) + 1),
            next_first.eq(first + compute.planes + 1),
            next_column.eq(word_released + compute.hop),
            column_last.eq(first == last_first),
        ]
        m.d.comb += [
            following.eq(word + apart),
            beyond.eq(word + compute.planes + 1),
            column_ends.eq(ends["windows"] & column_last),
        ]
        with m.If(go & ends["rows"]):
            m.d.sync += word.eq(following)
            with m.If(last["groups"] & ~column_pass):
                m.d.sync += word_released.eq(following)
        with m.If(column_pass):
            with m.If(go & ends["windows"]):
                m.d.sync += [word.eq(next_first), first.eq(next_first)]
            with m.If(go & column_ends):
                m.d.sync += [word.eq(next_column), first.eq(next_column), word_released.eq(next_column)]
        with m.Elif(go & next_group):
            m.d.sync += word.eq(word_released)
        with m.If(go & ends["pixel_groups"]):
            m.d.sync += [word.eq(beyond), first.eq(beyond), word_released.eq(beyond)]
        with m.If(self.start):
            m.d.sync += last_first.eq(word_released + compute.windows - compute.planes)
        with m.Elif(go & column_ends):
            m.d.sync += last_first.eq(last_first + compute.hop)
        with m.If(self.reset):
            m.d.sync += first.eq(0)

        waiting, pausing = self._lagging(m, first, apart, ends["windows"], column_ends)
        staying, going = early(Signal()), early(Signal())
        m.d.comb += [
            staying.eq(Mux(column_pass, waiting, word == self.word_available)),
            going.eq(Mux(column_pass, pausing, ~next_group & Mux(
                ends["rows"], beyond == self.word_available, word == self.word_available
            ))),
        ]
        # The section comes with `start`, in the cycle in which `column_pass` is still that of the one before.
        m.d.sync += no_word.eq(Mux(go, going, staying) | (self.start & kind))

    def _lagging(self, m, first, apart, group_ends, column_ends):
        """Whether a word of the group that begins at `first` is missing, and whether one is after this cycle's step."""
        compute = self.compute
        lag = Signal.like(first, reset_less=True)
        m.d.sync += lag.eq(sum((apart & compute.words[i].replicate(len(apart))) << i for i in range(KERNEL_BITS)))
        # Last `first` whose words are all there, that of the group before it; and whether they are known.
        reach, before = (Signal.like(first, name=name, reset_less=True) for name in ("reach", "before"))
        settling = Signal(2)
        m.d.sync += [
            settling.eq(Cat(self.start, settling)),
            reach.eq(self.word_available - lag - 1),
            before.eq(self.word_available - lag - compute.planes - 2),
        ]
        waiting, next_waiting = Signal(), Signal()
        m.d.comb += [
            waiting.eq(settling.any() | (reach - first)[len(first) - 1]),
            next_waiting.eq((before - first)[len(first) - 1]),
        ]
        return waiting, column_ends | Mux(group_ends, next_waiting, waiting)
