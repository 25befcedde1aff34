"""Code tables: what a requantized value is called in a LOG or CODEBOOK format."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import NO_COLLISION, UnitWrite

__all__ = ["CodeTable"]


class CodeTable(wiring.Component):
    """`lut_slots` tables of 2**lut_bits codes in block RAM, read by one or two lanes. Latency 1 cycle.

    The second reader has a port of the memory that is also the host's, which writes between runs: two such ports
    is what ECP5's block RAM has. That of iCE40 has one to read and one to write.

    Members
    -------
    load : In(UnitWrite), space LUTS
    slot : In(range(lut_slots)), static during use
    addresses : In(readers*lut_bits)
    entries : Out(readers*lut_code_bits), of `addresses`, one cycle later
    """

    READERS = 2
    """Most readers that one memory serves."""

    def __init__(self, config, readers):
        self._config = config
        self._readers = readers
        super().__init__({
            "load": In(UnitWrite()),
            "slot": In(range(config.lut_slots)),
            "addresses": In(readers * config.lut_bits),
            "entries": Out(readers * config.lut_code_bits),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        cells = memory.Memory(shape=c.lut_code_bits, depth=c.lut_slots << c.lut_bits, init=[], attrs=NO_COLLISION)
        m.submodules.cells = cells
        writer = cells.write_port()
        m.d.comb += [
            writer.addr.eq(self.load.address),
            writer.data.eq(self.load.data),
            writer.en.eq(self.load.enable),
        ]
        for i in range(self._readers):
            reader = cells.read_port()
            m.d.comb += [
                reader.addr.eq(Cat(self.addresses.word_select(i, c.lut_bits), self.slot)),
                self.entries.word_select(i, c.lut_code_bits).eq(reader.data),
            ]
            if i > 0:
                with m.If(self.load.enable):
                    m.d.comb += [reader.addr.eq(self.load.address), reader.en.eq(0)]
                m.d.comb += writer.addr.eq(reader.addr)  # one port, and Yosys sees that it is
        return m
