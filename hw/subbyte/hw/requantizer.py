"""Requantizer: accumulator -> code, R lanes wide, one result per lane and cycle."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.multiplier import Multiplier, multiplier
from subbyte.hw.ports import NO_COLLISION, UnitWrite, param_layout
from subbyte.spec.engine import PARAM_BITS, Family

__all__ = ["Requantizer", "RequantizerLane"]



class RequantizerLane(wiring.Component):
    """One lane. x = acc + bias; t = (x * multiplier) >> (16 + shift), clamped; then code or table.

    Latency `LATENCY` cycles from acc and param to code, fully pipelined, no stalls.

    Members
    -------
    acc : In(signed(28))
    param : In(param_layout)
    lut : In(1); lut_slot : In; zero_point : In(8): static during use
    table : In(UnitWrite), space LUTS
    code : Out(8)
    """

    LATENCY = 4 + Multiplier.LATENCY

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
        # t may be clamped to the addresses of a table and to the distances of 8-bit codes; a value of
        # more than 7 bits above that is beyond it after any fine shift (0..7) and may be clamped before.
        t_bits = max(10, c.lut_bits) + 1
        coarse_bits = t_bits + 7
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

        coarse = Signal(signed(c.acc_bits))
        narrow = Signal(signed(coarse_bits))
        fine = Signal(3)
        with m.Switch(shift[3:]):
            for eighths in range(4):
                with m.Case(eighths):
                    m.d.comb += coarse.eq(mul.product >> (8 * eighths))
        upper = coarse[coarse_bits - 1 :]
        fits = ~upper.any() | upper.all()
        limit = Cat((~coarse[-1]).replicate(coarse_bits - 1), coarse[-1])
        m.d.sync += [narrow.eq(Mux(fits, coarse[:coarse_bits], limit).as_signed()), fine.eq(shift)]

        t = Signal(signed(t_bits))
        shifted = Signal(signed(coarse_bits))
        m.d.comb += shifted.eq(narrow >> fine)
        t_upper = shifted[t_bits - 1 :]
        t_fits = ~t_upper.any() | t_upper.all()
        t_limit = Cat((~shifted[-1]).replicate(t_bits - 1), shifted[-1])
        m.d.sync += t.eq(Mux(t_fits, shifted[:t_bits], t_limit).as_signed())

        # Linear: ((t + 1) >> 1) + zero_point in one adder. Table: t itself is the address.
        rounded = Signal(signed(t_bits + 1))
        value = Signal(signed(t_bits + 1))
        result = Signal(max(8, c.lut_bits))
        top = (1 << c.lut_bits) - 1
        m.d.comb += [
            rounded.eq(t + Cat(C(1, 1), self.zero_point, C(0, 1)).as_signed()),
            value.eq(Mux(self.lut, t, rounded >> 1)),
        ]
        m.d.sync += result.eq(
            Mux(value[-1], 0, Mux(value > Mux(self.lut, top, 255), Mux(self.lut, top, 255), value[: len(result)]))
        )

        attrs = NO_COLLISION if c.family is Family.ICE40 else NO_COLLISION | {"ram_style": "distributed"}
        cells = memory.Memory(shape=4, depth=c.lut_slots << c.lut_bits, init=[], attrs=attrs)
        m.submodules.cells = cells
        writer, reader = cells.write_port(), cells.read_port()
        linear = Signal(8)
        m.d.sync += linear.eq(result)
        m.d.comb += [
            writer.addr.eq(self.table.address),
            writer.data.eq(self.table.data),
            writer.en.eq(self.table.enable),
            reader.addr.eq(Cat(result[: c.lut_bits], self.lut_slot)),
            self.code.eq(Mux(self.lut, reader.data, linear)),
        ]
        return m


class Requantizer(wiring.Component):
    """R lanes that share the parameter of one channel per cycle, and the parameter memory.

    Members
    -------
    valid, accs, column_last : In, results from the shadow
    param : In(range(param_entries)), entry of these results' channel
    lut, lut_slot, zero_point : In, static while results are under way
    params, tables : In(UnitWrite), spaces PARAMS and LUTS
    codes_valid, codes, codes_last : Out, `LATENCY` cycles later
    """

    LATENCY = 1 + RequantizerLane.LATENCY

    def __init__(self, config):
        self._config = config
        super().__init__({
            "valid": In(1),
            "accs": In(config.acc_bits * config.r),
            "column_last": In(1),
            "param": In(range(config.param_entries)),
            "lut": In(1),
            "lut_slot": In(range(config.lut_slots)),
            "zero_point": In(8),
            "params": In(UnitWrite()),
            "tables": In(UnitWrite()),
            "codes_valid": Out(1),
            "codes": Out(8 * config.r),
            "codes_last": Out(1),
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
        flags = Cat(self.valid, self.column_last)
        for stage in range(self.LATENCY):
            register = Signal(2, name=f"flags{stage}")
            m.d.sync += register.eq(flags)
            flags = register
        m.d.comb += Cat(self.codes_valid, self.codes_last).eq(flags)
        return m
