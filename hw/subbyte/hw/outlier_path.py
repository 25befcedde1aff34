"""Outlier side path: S full-precision multiply-accumulates of each pixel beside the lanes."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.outlier_multiplier import outlier_multiplier
from subbyte.hw.ports import word_view
from subbyte.spec.engine import OUTLIER_BITS, Lane
from subbyte.spec.outlier_slots import slot_fields

__all__ = ["OutlierPath"]


class OutlierPath(wiring.Component):
    """Adds to the sums of a step's columns: value * operand of its lane, for each slot and pixel. Never stalls.

    A slot's operand is picked and registered, multiplied in time for the sums, and added in a cycle per slot.

    Parameters
    ----------
    config : EngineConfig with outlier slots
    sum_shape : Shape of a column's sum
    latency : int >= 2, cycles from slots and operands to `sums`

    Members
    -------
    slots : In(S*slot_bits), slot 0 lowest
    operands : In(P*K*operand_bits), pixel-major
    sums : In(width of sum_shape * P*M), sum p*M + m
    joined : Out(width of `shape` * P*M), S cycles after `sums`
    """

    def __init__(self, config, sum_shape, latency):
        if not config.outlier_slots:
            raise ValueError(f"Engine of an OutlierPath must have outlier slots, {config.name} has none")
        if latency < 2:
            raise ValueError(f"Latency of an OutlierPath must be at least 2, not {latency!r}")
        self._config = config
        self._sum_shape = Shape.cast(sum_shape)
        self._latency = latency
        columns = config.p * config.m
        super().__init__({
            "slots": In(config.outlier_slots * config.slot_bits),
            "operands": In(config.p * config.k * config.operand_bits),
            "sums": In(self._sum_shape.width * columns),
            "joined": Out(self.shape.width * columns),
        })

    @property
    def shape(self):
        """Shape of a joined sum: its own range and that of the slots."""
        sums = self._sum_shape
        low = -(1 << (sums.width - 1)) if sums.signed else 0
        high = (1 << (sums.width - sums.signed)) - 1
        largest = self._config.outlier_slots * self._config.largest_operand
        half = 1 << (OUTLIER_BITS - 1)
        return Shape.cast(range(low - half * largest, high + (half - 1) * largest + 1))

    def elaborate(self, platform):
        m = Module()
        c = self._config
        terms = self._terms(m)
        for p in range(c.p):
            for column in range(c.m):
                total = self.sums.word_select(p * c.m + column, self._sum_shape.width)
                if self._sum_shape.signed:
                    total = total.as_signed()
                for number, (chosen, products) in enumerate(terms):
                    joined = Signal(self.shape, name=f"joined{p}_{column}_{number}", reset_less=True)
                    m.d.sync += joined.eq(Mux(chosen[column], total + products[p], total))
                    total = joined
                m.d.comb += self.joined.word_select(p * c.m + column, self.shape.width).eq(total)
        return m

    def _terms(self, m):
        """(columns chosen, products of all pixels) of each slot, slot i `latency` + i cycles behind."""
        c = self._config
        terms = []
        for number in range(c.outlier_slots):
            slot = word_view(slot_fields(c), self.slots.word_select(number, c.slot_bits))
            value = Signal(signed(OUTLIER_BITS), name=f"value{number}")
            m.d.sync += value.eq(slot.value)
            products = []
            for p in range(c.p):
                operand = Signal(c.operand_bits, name=f"operand{number}_{p}")
                lanes = self.operands.word_select(p, c.k * c.operand_bits)
                m.d.sync += operand.eq(lanes.word_select(slot.lane, c.operand_bits))
                x = self._number(operand)
                product = outlier_multiplier(c.family, len(x), self._latency + number - 1)
                m.submodules[f"product{number}_{p}"] = product
                m.d.comb += [product.x.eq(x), product.value.eq(value)]
                products.append(product.product)
            column = delayed(m, slot.column, self._latency + number - 1)
            chosen = Signal(c.m, name=f"chosen{number}")
            m.d.sync += chosen.eq(1 << column)
            terms.append((chosen, products))
        return terms

    def _number(self, operand):
        """The unsigned number that an operand stands for."""
        if self._config.lane is Lane.DIGIT:
            return operand
        exponent, nonzero = operand[:-1], operand[-1]
        powers = 1 << len(exponent)
        return Cat(nonzero & (exponent == e) for e in range(powers))
