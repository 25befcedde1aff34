"""The array: M x P columns of K lanes and their accumulators."""

from operator import lshift

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.accumulator import accumulator, at_level
from subbyte.hw.add_accumulator import add_accumulator
from subbyte.hw.delay import delayed
from subbyte.hw.digit_column import DigitColumn
from subbyte.hw.fine_accumulator import FINE_LEVELS, fine_accumulator
from subbyte.hw.log_column import LogColumn
from subbyte.hw.outlier_path import OutlierPath
from subbyte.hw.phase_accumulator import phase_accumulator
from subbyte.hw.phase_scaler import PhaseLevel, phase_scaling
from subbyte.hw.shift_column import ShiftColumn
from subbyte.hw.xnor_column import XnorColumn
from subbyte.spec.engine import Lane

__all__ = ["FineStepControl", "PeArray", "StepControl", "step_control"]


class StepControl(data.Struct):
    """What a step does to the accumulators and, at the end of a window position, to the shadow."""

    enable: 1
    first: 1  # starts a new sum
    level: 2  # weighs 16**level
    last: 1  # ends a window position
    window_first: 1
    window_last: 1


class FineStepControl(data.Struct):
    """The same of xnor lanes."""

    enable: 1
    first: 1
    level: FINE_LEVELS  # weighs 2**level
    last: 1
    window_first: 1
    window_last: 1


class PhaseStepControl(data.Struct):
    """The same of engines with two phases."""

    enable: 1
    first: 1
    level: PhaseLevel
    last: 1
    window_first: 1
    window_last: 1


def step_control(config):
    """The step control of the lane kind."""
    if config.two_phase:
        return PhaseStepControl
    return FineStepControl if config.lane is Lane.XNOR else StepControl


class PeArray(wiring.Component):
    """K*M*P multiply-accumulates per step. Never stalls; `latency` cycles from a step to its accumulators.

    Members
    -------
    weights : In(4*K*M), code of lane k, column m at bits 4(mK + k)
    operands : In(P*K*operand_bits), pixel-major
    step : In(step_control), in the same cycle as weights and operands
    zero : In(1), see `registered_tree`
    slots : In(S*slot_bits), outlier slots of the row, with its weights; only of an engine that has some
    acc : Out(acc_bits*P*M), accumulator p*M + m. Flat, as everywhere here: the names that an ArrayLayout
        gives its elements (`acc[0]`) collide with bit names in abc9 of Yosys 0.70, which then fails
    done : Out(step_control), `step` when its accumulators are in `acc`
    single : In(K), in the same cycle as weights and operands; positional : In(1), static while steps are under way.
        Of xnor lanes only, see `XnorColumn`
    """

    def __init__(self, config):
        self._config = config
        c = config
        super().__init__({
            "weights": In(4 * c.k * c.m),
            "operands": In(c.p * c.k * c.operand_bits),
            "step": In(step_control(c)),
            "zero": In(1),
            "acc": Out(c.acc_bits * c.p * c.m),
            "done": Out(step_control(c)),
            **({"slots": In(c.outlier_slots * c.slot_bits)} if c.outlier_slots else {}),
            **({"single": In(c.k), "positional": In(1)} if c.lane is Lane.XNOR else {}),
        })

    @property
    def latency(self):
        """Cycles from `step` to `done`."""
        c = self._config
        return self._registered + self._sum_latency + c.outlier_slots + c.scale_cycles + 1

    @property
    def _sum_latency(self):
        return self._column.latency(self._config.k, self._config.family)

    @property
    def _registered(self):
        """Whether inputs are: ECP5's block RAM takes more than half a cycle to show a word."""
        return self._config.family.registered

    @property
    def _column(self):
        return {
            Lane.DIGIT: DigitColumn, Lane.SHIFT: ShiftColumn, Lane.XNOR: XnorColumn, Lane.LOG: LogColumn,
        }[self._config.lane]

    def elaborate(self, platform):
        m = Module()
        c = self._config
        stages = [self.step]
        for _ in range(self.latency):
            stages.append(Signal(self.step.shape()))
            m.d.sync += stages[-1].eq(stages[-2])
        scaling, ready = stages[-2 - c.scale_cycles], stages[-2]
        m.d.comb += self.done.eq(stages[-1])
        weights, operands = self.weights, self.operands
        if self._registered:
            weights, operands = (Signal.like(port, reset_less=True) for port in (weights, operands))
            m.d.sync += [weights.eq(self.weights), operands.eq(self.operands)]
        scaled, new_accumulator = self._weighing(m)
        outliers = None
        if c.lane is Lane.XNOR:
            single = delayed(m, self.single, int(self._registered))
        for p in range(c.p):
            for column in range(c.m):
                m.submodules[f"column{p}_{column}"] = lanes = self._column(c.k, c.operand_bits, c.family)
                term, level = lanes.sum, ready.level
                if c.outlier_slots:
                    outliers = outliers or self._outlier_path(m, operands, term.shape())
                    width, index = outliers.shape.width, p * c.m + column
                    m.d.comb += outliers.sums.word_select(index, len(lanes.sum)).eq(lanes.sum)
                    term = outliers.joined.word_select(index, width).as_signed()
                if c.scale_cycles:
                    unscaled, term, level = term, Signal(signed(c.acc_bits), reset_less=True), 0
                    m.d.sync += term.eq(scaled(unscaled, scaling.level))
                if c.lane is Lane.XNOR:
                    m.d.comb += [lanes.single.eq(single), lanes.positional.eq(self.positional)]
                m.submodules[f"acc{p}_{column}"] = acc = new_accumulator(c.family, term.shape(), c.acc_bits)
                m.d.comb += [
                    lanes.weights.eq(weights.word_select(column, 4 * c.k)),
                    lanes.operands.eq(operands.word_select(p, c.k * c.operand_bits)),
                    lanes.zero.eq(self.zero),
                    acc.term.eq(term),
                    acc.enable.eq(ready.enable),
                    acc.first.eq(ready.first),
                    acc.level.eq(level),
                    self.acc.word_select(p * c.m + column, c.acc_bits).eq(acc.acc),
                ]
        return m

    def _weighing(self, m):
        """(what a sum becomes by its level if there is a register behind, what makes an accumulator)."""
        c = self._config
        if c.lane is Lane.XNOR:
            return lshift, fine_accumulator
        accumulators = add_accumulator if c.lane is Lane.LOG else accumulator
        if not c.two_phase:
            return at_level, accumulators
        return phase_scaling(m, c.acc_bits), accumulators if c.scale_cycles else phase_accumulator

    def _outlier_path(self, m, operands, sum_shape):
        """The side path, reading the same operands as the columns and slots as late."""
        m.submodules.outliers = path = OutlierPath(self._config, sum_shape, self._sum_latency)
        slots = delayed(m, self.slots, int(self._registered))
        m.d.comb += [path.operands.eq(operands), path.slots.eq(slots)]
        return path
