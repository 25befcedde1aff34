"""Requantizer: accumulator -> code, R lanes wide, one result per lane and cycle."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.multiplier import Multiplier, multiplier
from subbyte.hw.ports import NO_COLLISION, UnitWrite, param_layout
from subbyte.hw.shifter import Shifter, shifter
from subbyte.spec.engine import PARAM_BITS, Family

__all__ = ["Requantizer", "RequantizerLane"]


class RequantizerLane(wiring.Component):
    """One lane. x = acc + bias; t = (x * multiplier) >> (16 + shift), clamped; then code or table.

    Latency `LATENCY` cycles from acc and param to code, fully pipelined, no stalls.

    Members
    -------
    acc : In(signed(28))
    param : In(param_layout)
    lut : In(1); lut_slot : In; zero_point : In(8), 0 with `lut`: static during use
    table : In(UnitWrite), space LUTS
    code : Out(8)
    """

    LATENCY = Multiplier.LATENCY + Shifter.LATENCY + 1

    def __init__(self, config):
        self._config = config
        super().__init__({
            "acc": In(signed(config.acc_bits)),
            "param": In(param_layout()),
            "lut": In(1),
            "lut_slot": In(range(config.lut_slots)),
            "zero_point": In(8),
            "table": In(UnitWrite()),
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

        m.submodules.shifter = shifted = shifter(c.family, c.lut_bits)
        m.d.comb += [
            shifted.product.eq(mul.product),
            shifted.shift.eq(shift),
            shifted.lut.eq(self.lut),
            shifted.zero_point.eq(self.zero_point),
        ]

        attrs = NO_COLLISION if c.family is Family.ICE40 else NO_COLLISION | {"ram_style": "distributed"}
        cells = memory.Memory(shape=4, depth=c.lut_slots << c.lut_bits, init=[], attrs=attrs)
        m.submodules.cells = cells
        writer, reader = cells.write_port(), cells.read_port()
        linear = Signal(8)  # 0 where the table answers
        with m.If(self.lut):
            m.d.sync += linear.eq(0)
        with m.Else():
            m.d.sync += linear.eq(shifted.result)
        m.d.comb += [
            writer.addr.eq(self.table.address),
            writer.data.eq(self.table.data),
            writer.en.eq(self.table.enable),
            reader.addr.eq(Cat(shifted.result[: c.lut_bits], self.lut_slot)),
            self.code.eq(linear | Mux(self.lut, reader.data, 0)),
        ]
        return m


class Requantizer(wiring.Component):
    """R lanes that share the parameter of one channel per cycle, and the parameter memory.

    Members
    -------
    valid, accs : In, results from the shadow
    param : In(range(param_entries)), entry of these results' channel
    lut, lut_slot, zero_point : In, static while results are under way
    params, tables : In(UnitWrite), spaces PARAMS and LUTS
    codes_valid, codes : Out, `LATENCY` cycles later
    """

    LATENCY = 1 + RequantizerLane.LATENCY

    def __init__(self, config):
        self._config = config
        super().__init__({
            "valid": In(1),
            "accs": In(config.acc_bits * config.r),
            "param": In(range(config.param_entries)),
            "lut": In(1),
            "lut_slot": In(range(config.lut_slots)),
            "zero_point": In(8),
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
        for r in range(c.r):
            m.submodules[f"lane{r}"] = lane = RequantizerLane(c)
            m.d.sync += lane.acc.eq(self.accs.word_select(r, c.acc_bits))
            m.d.comb += [
                lane.param.eq(reader.data),
                lane.lut.eq(self.lut),
                lane.lut_slot.eq(self.lut_slot),
                lane.zero_point.eq(self.zero_point),
                lane.table.enable.eq(self.tables.enable),
                lane.table.address.eq(self.tables.address),
                lane.table.data.eq(self.tables.data),
                self.codes.word_select(r, 8).eq(lane.code),
            ]
        under_way = Signal(self.LATENCY)
        m.d.sync += under_way.eq(Cat(self.valid, under_way))
        m.d.comb += self.codes_valid.eq(under_way[-1])
        return m
