"""Requantizer: accumulator -> code, R lanes wide, one result per lane and cycle."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.code_table import CodeTable
from subbyte.hw.delay import delayed
from subbyte.hw.exact_multiplier import ExactMultiplier, exact_multiplier
from subbyte.hw.exact_shifter import ExactShifter
from subbyte.hw.multiplier import Multiplier, multiplier
from subbyte.hw.ports import NO_COLLISION, EntryWrite, UnitWrite, param_layout
from subbyte.hw.shifter import OFFSET_BITS, Shifter, shifter
from subbyte.spec.requant_fields import DOUBLE_BIT, STICKY_BIT

__all__ = ["ExactLane", "Requantizer", "RequantizerLane"]


class RequantizerLane(wiring.Component):
    """One lane. x = acc + bias; t = (x * multiplier) >> (16 + shift), clamped; then code or table entry.

    Latency `LATENCY` cycles from acc and param to code, one of them in the table; fully pipelined, no stalls.

    Members
    -------
    acc : In(signed(28))
    param : In(param_layout)
    lut : In(1); zero_point : In(8): static during use. With `highway` instead of the latter relu : In(1), static,
        and offset : In(signed(OFFSET_BITS)), `OFFSET_DELAY` cycles after acc
    address : Out(lut_bits), t + 2 * zero_point as address of a table
    entry : In(lut_code_bits), of `address`, one cycle later
    code : Out(8)
    """

    LATENCY = Multiplier.LATENCY + Shifter.LATENCY + 1
    OFFSET_DELAY = Multiplier.LATENCY + 1

    def __init__(self, config):
        self._config = config
        super().__init__({
            "acc": In(signed(config.acc_bits)),
            "param": In(param_layout(config)),
            "lut": In(1),
            **({"mode": In(STICKY_BIT + 1)} if config.exact_rounding else {}),
            **({"offset": In(signed(OFFSET_BITS)), "relu": In(1)} if config.highway else {"zero_point": In(8)}),
            "address": Out(config.lut_bits),
            "entry": In(config.lut_code_bits),
            "code": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        m.submodules.multiplier = mul = self._multiplier()
        m.d.comb += [
            mul.x.eq(self.acc + self.param.bias.as_signed()),
            mul.factor.eq(Cat(self.param.fraction, C(1, 1))),
        ]
        shift = self.param.shift
        for stage in range(mul.LATENCY):
            register = Signal.like(self.param.shift, name=f"shift{stage}")
            m.d.sync += register.eq(shift)
            shift = register

        m.submodules.shifter = shifted = self._shifter()
        linear = Signal(8)  # 0 where the table answers
        with m.If(self.lut):
            m.d.sync += linear.eq(0)
        with m.Else():
            m.d.sync += linear.eq(shifted.result)
        m.d.comb += [
            shifted.product.eq(mul.product),
            shifted.shift.eq(shift),
            shifted.lut.eq(self.lut),
            shifted.zero_point.eq(self._offset(m) if c.highway else self.zero_point),
            self.address.eq(shifted.result),
            self.code.eq(linear | Mux(self.lut, self.entry, 0)),
        ]
        if c.highway:
            m.d.comb += shifted.relu.eq(self.relu)
        self._connect_modes(m, mul, shifted)
        return m

    def _multiplier(self):
        return multiplier(self._config.family)

    def _shifter(self):
        return shifter(self._config.family, self._config.lut_bits, self._config.highway)

    def _offset(self, m):
        """The offset when the shifter wants it."""
        return self.offset

    def _connect_modes(self, m, mul, shifted):
        """What the multiplier and the shifter of other lanes have besides."""


class ExactLane(RequantizerLane):
    """The same of engines with `exact_rounding`: any rounding, multipliers of 31 bits.

    Members
    -------
    mode : In(4), static during use: `lut_slot` of the drain section
    and those of `RequantizerLane`
    """

    LATENCY = ExactMultiplier.LATENCY + ExactShifter.LATENCY + 1

    def _multiplier(self):
        return exact_multiplier(self._config.family)

    def _shifter(self):
        return ExactShifter(self._config.family, self._config.lut_bits, self._config.highway)

    def _offset(self, m):
        return delayed(m, self.offset, ExactMultiplier.LATENCY + ExactShifter.OFFSET_DELAY - self.OFFSET_DELAY)

    def _connect_modes(self, m, mul, shifted):
        m.d.comb += [
            mul.double.eq(~self.lut & self.mode[DOUBLE_BIT]),
            shifted.sticky.eq(mul.sticky),
            shifted.mode.eq(self.mode),
        ]


class Requantizer(wiring.Component):
    """R lanes that share the parameter of one channel per cycle, and the parameter memory.

    Members
    -------
    valid, accs : In, results from the shadow
    param : In(range(param_entries)), entry of these results' channel
    lut, lut_slot, zero_point : In, static while results are under way. With `highway` instead of the latter relu, and
        offsets : In(OFFSET_BITS * R), `OFFSET_DELAY` cycles after accs
    params, tables : In(UnitWrite), spaces PARAMS and LUTS; with `param_stream` the former In(EntryWrite)
    mode : In(4), only with `exact_rounding`, static alike: `lut_slot` of the drain section, of which the other is part
    codes_valid, codes : Out, `latency` cycles later
    """

    OFFSET_DELAY = 1 + RequantizerLane.OFFSET_DELAY

    def __init__(self, config):
        self._config = config
        self._lane = ExactLane if config.exact_rounding else RequantizerLane
        super().__init__({
            "valid": In(1),
            "accs": In(config.acc_bits * config.r),
            "param": In(range(config.param_entries)),
            "lut": In(1),
            "lut_slot": In(range(config.lut_slots)),
            **({"mode": In(STICKY_BIT + 1)} if config.exact_rounding else {}),
            **({"offsets": In(OFFSET_BITS * config.r), "relu": In(1)} if config.highway else {"zero_point": In(8)}),
            "params": In(EntryWrite(config) if config.param_stream else UnitWrite()),
            "tables": In(UnitWrite()),
            "codes_valid": Out(1),
            "codes": Out(8 * config.r),
        })

    @property
    def latency(self):
        """Cycles from accumulators to codes."""
        return 1 + self._lane.LATENCY

    def elaborate(self, platform):
        m = Module()
        c = self._config
        params = memory.Memory(shape=c.params.bits, depth=c.param_entries, init=[], attrs=NO_COLLISION)
        m.submodules.params = params
        writer, reader = params.write_port(granularity=None if c.param_stream else 16), params.read_port()
        m.d.comb += [*self._written(writer), reader.addr.eq(self.param)]
        per_table = min(c.r, CodeTable.READERS)
        for r in range(c.r):
            if r % per_table == 0:
                m.submodules[f"table{r}"] = table = CodeTable(c, per_table)
                connect(m, flipped(self.tables), table.load)
                m.d.comb += table.slot.eq(self.lut_slot)
            m.submodules[f"lane{r}"] = lane = self._lane(c)
            m.d.sync += lane.acc.eq(self.accs.word_select(r, c.acc_bits))
            m.d.comb += [
                lane.param.eq(reader.data),
                lane.lut.eq(self.lut),
                *self._offset(lane, r),
                table.addresses.word_select(r % per_table, c.lut_bits).eq(lane.address),
                lane.entry.eq(table.entries.word_select(r % per_table, c.lut_code_bits)),
                self.codes.word_select(r, 8).eq(lane.code),
            ]
            if c.exact_rounding:
                m.d.comb += lane.mode.eq(self.mode)
        under_way = Signal(self.latency)
        m.d.sync += under_way.eq(Cat(self.valid, under_way))
        m.d.comb += self.codes_valid.eq(under_way[-1])
        return m

    def _written(self, writer):
        """Connections of the write port of the parameter memory."""
        if self._config.param_stream:
            entry = self.params
            return [writer.addr.eq(entry.address), writer.data.eq(entry.data), writer.en.eq(entry.enable)]
        return [
            writer.addr.eq(self.params.address[2:]),
            writer.data.eq(self.params.data.replicate(self._config.params.bits // 16)),
            writer.en.eq(self.params.enable << self.params.address[:2]),
        ]

    def _offset(self, lane, r):
        """Connections of what lane r adds."""
        if not self._config.highway:
            return [lane.zero_point.eq(self.zero_point)]
        return [lane.offset.eq(self.offsets.word_select(r, OFFSET_BITS)), lane.relu.eq(self.relu)]
