"""Step controller: the loops of a compute section, one array step per cycle."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.array import step_control
from subbyte.hw.early import early
from subbyte.hw.phase_scaler import phase_level
from subbyte.hw.ports import compute_layout
from subbyte.hw.turn_counter import TurnCounter
from subbyte.spec.engine import Lane

__all__ = ["Stall", "StepController"]


class Stall(enum.Enum, shape=2):
    """Why no step was made in a cycle."""

    NONE = 0
    WEIGHTS = 1
    ACTIVATIONS = 2
    REQUANTIZER = 3


class StepController(wiring.Component):
    """For every pixel group, column group, window position, word, weight row and plane: one step.

    A step is made one cycle after its row and word are announced, or later. The first window position of a
    column group ends only when the shadow has been drained of the one before, `drain_cycles` after that one's
    last step; with `highway` where a skip is added, `spacing`.

    `LOOPS`: innermost first.

    Members
    -------
    reset : In(1), pulse: a run begins
    start : In(1), pulse: `compute` holds a new section; only while `idle`
    idle : Out(1)
    compute : In(compute_layout)
    row, row_available, row_released : row pointers of the weight buffer. What lies before `available` may
        be addressed in the next cycle, what lies before `released` may be overwritten
    word_available, word_released : word pointers of the tile, alike
    read_word : Out, tile address of this step
    step : Out(step_control), one cycle after `row` and `read_word`, together with the data
    stall : Out(Stall)
    single : Out(K), together with `step`, of xnor lanes only: what `XnorColumn` wants
    skip : In(1), only with `highway`: a skip is added; from the first step of the section on
    """

    LOOPS = ("planes", "rows", "words", "windows", "groups", "pixel_groups")

    def __init__(self, config):
        self._config = config
        rows = range(2 * config.ring_rows)
        words = range(2 * config.tile_words)
        super().__init__({
            **({"single": Out(config.k)} if config.lane is Lane.XNOR else {}),
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
            "step": Out(step_control(config)),
            "stall": Out(Stall),
            **({"skip": In(1)} if config.highway else {}),
        })

    @property
    def drain_cycles(self):
        """Cycles that the shadow needs to drain a column group."""
        return self._config.m * self._config.p // self._config.r

    @property
    def spacing(self):
        """Cycles from the end of a column group to that of the next, if each adds a skip."""
        return max(self.drain_cycles, self._config.skip_cycles) if self._config.highway else self.drain_cycles

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        go = early(Signal())
        turns, last, ends = self._loops(m, go)
        window_first, window_last = self._window(m, turns["windows"])
        window_ends, drains = self._results(m, turns, last, ends)
        # Pointers have no reset but the pulse, which can then be that of the flip-flops.
        row, row_released, group_row = (Signal.like(self.row, name=name, reset_less=True)
                                        for name in ("row_now", "row_free", "group_row"))
        word, word_released = (Signal.like(self.word_released, name=name, reset_less=True)
                               for name in ("word_now", "word_free"))
        cooling = Signal(range(self.spacing + 1), reset_less=True)
        draining = Signal(reset_less=True)  # the shadow, for two cycles or more
        no_row, no_word, no_shadow = Signal(), Signal(), Signal()
        m.d.comb += [
            self.idle.eq(~active),
            self.row.eq(row),
            self.row_released.eq(row_released),
            self.word_released.eq(word_released),
            no_shadow.eq(window_ends & window_first & draining),
            go.eq(active & ~no_row & ~no_word & ~no_shadow),
            self.read_word.eq(word + turns["planes"].count),
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
            self.step.first.eq(turns["planes"].first & turns["rows"].first & turns["words"].first),
            self.step.level.eq(self._level(turns)),
            self.step.last.eq(go & window_ends),
            self.step.window_first.eq(window_first),
            self.step.window_last.eq(window_last),
        ]
        if self._config.lane is Lane.XNOR:
            m.d.sync += self.single.eq(self._single(last["words"]))
        m.d.sync += draining.eq(cooling > self._drained())
        with m.If(cooling != 0):
            m.d.sync += cooling.eq(cooling - 1)
        self._advance_row(m, go, last, ends, row, group_row, row_released, no_row)
        self._advance_word(m, go, last, ends, word, word_released, no_word)
        with m.If(go & drains):
            m.d.sync += [cooling.eq(self.spacing), draining.eq(self.spacing > 1)]
        with m.If(go & ends["pixel_groups"]):
            m.d.sync += active.eq(0)

        with m.If(self.start):
            m.d.sync += active.eq(1)
        with m.If(self.reset):
            m.d.sync += [
                row.eq(0), group_row.eq(0), row_released.eq(0),
                word.eq(0), word_released.eq(0),
            ]
        return m

    def _level(self, turns):
        if self._config.two_phase:
            return phase_level(turns["rows"].count if self._config.row_bits else 0, self.compute, turns["planes"].count)
        if not self._config.row_bits:
            return C(0, 1)
        row, plane = turns["rows"].count, (turns["planes"].count & self.compute.radix)
        return row + (plane << 2) if self._config.lane is Lane.XNOR else row + plane

    def _single(self, last_word):
        """Lanes that hold one code or none, not four: all of a positional layer, else the unused ones."""
        k, compute = self._config.k, self.compute
        unused = Cat(compute.unused > k - 1 - lane for lane in range(k))
        return compute.radix.replicate(k) | (unused & last_word.replicate(k))

    def _drained(self):
        """What is left of `cooling` in the cycle before the last one in which no window may end."""
        added = self.spacing - self.drain_cycles
        return Mux(self.skip, 2, 2 + added) if added else 2

    def _limit(self, name):
        """Turns of a loop minus one."""
        limit = self.compute[name]
        return Cat(limit, self.compute.upper_rows) if name == "rows" and self._config.digit_rows else limit

    def _loops(self, m, go):
        """The loops, innermost first: name -> turn counter, name -> its last turn,
        name -> this step is the last of a turn of the loop around."""
        turns, last, ends = {}, {}, {}
        inner, outer = C(1), C(1)  # all that are last, in two parts: the chain is shorter
        within = C(1)
        for name in self.LOOPS:
            limit = self._limit(name)
            m.submodules[name] = turns[name] = turn = TurnCounter(len(limit))
            last[name] = turn.last
            m.d.comb += [turn.limit.eq(limit), turn.start.eq(self.start), turn.advance.eq(go & within)]
            if name in ("planes", "rows", "words"):
                inner = inner & turn.last
            else:
                outer = outer & turn.last
            within = inner & outer
            ends[name] = Signal(name=f"{name}_ends")
            m.d.comb += ends[name].eq(within)
            if name not in ("planes", "rows"):  # they are in all the others, and would be a chain before them
                within = early(ends[name])
        return turns, last, ends

    def _window(self, m, turn):
        """(first, last) window position of a result, from the loop's `turn`."""
        return turn.first, turn.last

    def _results(self, m, turns, last, ends):
        """(this step ends a window position, and what the shadow has to drain)."""
        return ends["words"], ends["windows"]

    def _advance_row(self, m, go, last, ends, row, group_row, row_released, no_row):
        """Next weight row: rewinds for windows and pixel groups; freed when nothing rewinds to it any more.

        Until the last pixel group frees rows, the first row of the pass is the first one held.
        """
        following = Signal.like(row)
        next_window = ends["words"] & ~last["windows"]
        next_pixels = ends["groups"] & ~last["pixel_groups"]
        m.d.comb += following.eq(row + 1)
        with m.If(go & ends["planes"]):
            m.d.sync += row.eq(following)
            with m.If(last["windows"] & last["pixel_groups"]):
                m.d.sync += row_released.eq(following)
        with m.If(go & ends["windows"]):
            m.d.sync += group_row.eq(following)
        with m.If(go & next_window):
            m.d.sync += row.eq(group_row)
        with m.If(go & next_pixels):
            m.d.sync += [row.eq(row_released), group_row.eq(row_released)]
        self._watch(m, go, no_row, self.row_available, row, following, ends["planes"], next_window | next_pixels)

    def _advance_word(self, m, go, last, ends, word, word_released, no_word):
        """Next tile word: rewinds for column groups; freed in the last of them.

        Until the last column group frees words, the first word of the pixels is the first one held.
        """
        following = Signal.like(word)
        next_group = ends["windows"] & ~last["groups"]
        m.d.comb += following.eq(word + self.compute.planes + 1)
        with m.If(go & ends["rows"]):
            m.d.sync += word.eq(following)
            with m.If(last["groups"]):
                m.d.sync += word_released.eq(following)
        with m.If(go & next_group):
            m.d.sync += word.eq(word_released)
        self._watch(m, go, no_word, self.word_available, word, following, ends["rows"], next_group)

    @staticmethod
    def _watch(m, go, missing, available, pointer, following, advances, rewinds):
        """`missing`: what `pointer` points to was not there in the cycle before.

        A register, because it decides about `go`. What a pointer is rewound to has been there before and is held.
        """
        staying, going = early(Signal()), early(Signal())
        m.d.comb += [
            staying.eq(pointer == available),
            going.eq(~rewinds & Mux(advances, following == available, staying)),
        ]
        m.d.sync += missing.eq(Mux(go, going, staying))
