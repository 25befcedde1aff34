"""Decode tables: codes to lane operands, looked up once per activation."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import NO_COLLISION, UnitWrite

__all__ = ["Decoder"]

SLOT_UNITS = 32
"""Host units of a slot: 16 of even nibbles, 16 of odd ones."""


class Decoder(wiring.Component):
    """F nibbles to F operands (nibble codes) or F/2 operands, each twice (byte codes). Latency 1 cycle.

    Nibble mode: operand j = table[slot][j % 2][nibble j]. Byte mode: operands j and j + F/2 are
    table[slot][0][nibble 2j] | table[slot][1][nibble 2j + 1].

    Members
    -------
    load : In(UnitWrite), space TABLES
    slot : In(range(table_slots))
    byte : In(1), static during use
    nibbles : In(4*F)
    operands : Out(F*operand_bits)
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "load": In(UnitWrite()),
            "slot": In(range(config.table_slots)),
            "byte": In(1),
            "nibbles": In(4 * config.fill_nibbles),
            "operands": Out(config.fill_nibbles * config.operand_bits),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        # ECP5: distributed RAM, block RAM is the scarcer resource there.
        attrs = NO_COLLISION if c.family.ice40_cells else NO_COLLISION | {"ram_style": "distributed"}
        single = []
        for j in range(c.fill_nibbles):
            table = memory.Memory(shape=c.operand_bits, depth=16 * c.table_slots, init=[], attrs=attrs)
            m.submodules[f"table{j}"] = table
            writer = table.write_port()
            reader = table.read_port()
            address = self.load.address
            m.d.comb += [
                writer.addr.eq(Cat(address[:4], address[5:])),
                writer.data.eq(self.load.data),
                writer.en.eq(self.load.enable & (address[4] == j % 2)),
                reader.addr.eq(Cat(self.nibbles.word_select(j, 4), self.slot)),
            ]
            single.append(reader.data)
        half = c.fill_nibbles // 2
        double = [low | high for low, high in zip(single[0::2], single[1::2], strict=True)]
        for j in range(c.fill_nibbles):
            chosen = Mux(self.byte, double[j % half], single[j])
            m.d.comb += self.operands.word_select(j, c.operand_bits).eq(chosen)
        return m
