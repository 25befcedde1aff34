"""Requantizer: accumulator -> code, R lanes wide, one result per lane and cycle."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.code_table import CodeTable
from subbyte.hw.multiplier import Multiplier, multiplier
from subbyte.hw.ports import NO_COLLISION, UnitWrite, param_layout
from subbyte.hw.shifter import OFFSET_BITS, Shifter, shifter
from subbyte.spec.engine import PARAM_BITS

__all__ = ["Requantizer", "RequantizerLane"]


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
    entry : In(4), of `address`, one cycle later
    code : Out(8)
    """

    LATENCY = Multiplier.LATENCY + Shifter.LATENCY + 1
    OFFSET_DELAY = Multiplier.LATENCY + 1

    def __init__(self, config):
        self._config = config
        super().__init__({
            "acc": In(signed(config.acc_bits)),
            "param": In(param_layout()),
            "lut": In(1),
            **({"offset": In(signed(OFFSET_BITS)), "relu": In(1)} if config.highway else {"zero_point": In(8)}),
            "address": Out(config.lut_bits),
            "entry": In(4),
            "code": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        m.submodules.multiplier = mul = multiplier(c.family)
        m.d.comb += [
            mul.x.eq(self.acc + self.param.bias.as_signed()),
            mul.factor.eq(Cat(self.param.fraction, C(1, 1))),
        ]
        shift = self.param.shift
        for stage in range(Multiplier.LATENCY):
            register = Signal(5, name=f"shift{stage}")
            m.d.sync += register.eq(shift)
            shift = register

        m.submodules.shifter = shifted = shifter(c.family, c.lut_bits, c.highway)
        linear = Signal(8)  # 0 where the table answers
        with m.If(self.lut):
            m.d.sync += linear.eq(0)
        with m.Else():
            m.d.sync += linear.eq(shifted.result)
        m.d.comb += [
            shifted.product.eq(mul.product),
            shifted.shift.eq(shift),
            shifted.lut.eq(self.lut),
            shifted.zero_point.eq(self.offset if c.highway else self.zero_point),
            self.address.eq(shifted.result),
            self.code.eq(linear | Mux(self.lut, self.entry, 0)),
        ]
        if c.highway:
            m.d.comb += shifted.relu.eq(self.relu)
        return m


class Requantizer(wiring.Component):
    """R lanes that share the parameter of one channel per cycle, and the parameter memory.

    Members
    -------
    valid, accs : In, results from the shadow
    param : In(range(param_entries)), entry of these results' channel
    lut, lut_slot, zero_point : In, static while results are under way. With `highway` instead of the latter relu, and
        offsets : In(OFFSET_BITS * R), `OFFSET_DELAY` cycles after accs
    params, tables : In(UnitWrite), spaces PARAMS and LUTS
    codes_valid, codes : Out, `LATENCY` cycles later
    """

    LATENCY = 1 + RequantizerLane.LATENCY
    OFFSET_DELAY = 1 + RequantizerLane.OFFSET_DELAY

    def __init__(self, config):
        self._config = config
        super().__init__({
            "valid": In(1),
            "accs": In(config.acc_bits * config.r),
            "param": In(range(config.param_entries)),
            "lut": In(1),
            "lut_slot": In(range(config.lut_slots)),
            **({"offsets": In(OFFSET_BITS * config.r), "relu": In(1)} if config.highway else {"zero_point": In(8)}),
            "params": In(UnitWrite()),
            "tables": In(UnitWrite()),
            "codes_valid": Out(1),
            "codes": Out(8 * config.r),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        params = memory.Memory(shape=PARAM_BITS, depth=c.param_entries, init=[], attrs=NO_COLLISION)
        m.submodules.params = params
        writer, reader = params.write_port(granularity=16), params.read_port()
        m.d.comb += [
            writer.addr.eq(self.params.address[2:]),
            writer.data.eq(self.params.data.replicate(3)),
            writer.en.eq(self.params.enable << self.params.address[:2]),
            reader.addr.eq(self.param),
        ]
        per_table = min(c.r, CodeTable.READERS)
        for r in range(c.r):
            if r % per_table == 0:
                m.submodules[f"table{r}"] = table = CodeTable(c, per_table)
                connect(m, flipped(self.tables), table.load)
                m.d.comb += table.slot.eq(self.lut_slot)
            m.submodules[f"lane{r}"] = lane = RequantizerLane(c)
            m.d.sync += lane.acc.eq(self.accs.word_select(r, c.acc_bits))
            m.d.comb += [
                lane.param.eq(reader.data),
                lane.lut.eq(self.lut),
                *self._offset(lane, r),
                table.addresses.word_select(r % per_table, c.lut_bits).eq(lane.address),
                lane.entry.eq(table.entries.word_select(r % per_table, 4)),
                self.codes.word_select(r, 8).eq(lane.code),
            ]
        under_way = Signal(self.LATENCY)
        m.d.sync += under_way.eq(Cat(self.valid, under_way))
        m.d.comb += self.codes_valid.eq(under_way[-1])
        return m

    def _offset(self, lane, r):
        """Connections of what lane r adds."""
        if not self._config.highway:
            return [lane.zero_point.eq(self.zero_point)]
        return [lane.offset.eq(self.offsets.word_select(r, OFFSET_BITS)), lane.relu.eq(self.relu)]
