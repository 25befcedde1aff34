"""Main memory: 64-bit words, one access per cycle, with a port for writes two; writes by nibble."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import NO_COLLISION
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES, Family

__all__ = ["MainMemory", "SpramMemory", "TwoPortMemory", "main_memory"]


class MainMemory(wiring.Component):
    """Generic twin, inferred block RAM.

    Parameters
    ----------
    words : int, depth

    Members
    -------
    address : In(range(words))
    write : In(1), this access writes; else it reads
    mask : In(WORD_NIBBLES), nibbles to write
    write_data : In(64)
    read_data : Out(64), one cycle after a read; undefined after a write
    """

    def __init__(self, words, more=None):
        self._words = words
        super().__init__({
            "address": In(range(words)),
            "write": In(1),
            "mask": In(WORD_NIBBLES),
            "write_data": In(WORD_BITS),
            "read_data": Out(WORD_BITS),
            **(more or {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=WORD_BITS, depth=self._words, init=[])
        self._write(m, cells, self.address)
        reader = cells.read_port()
        m.d.comb += [
            reader.addr.eq(self.address),
            reader.en.eq(~self.write),
            self.read_data.eq(reader.data),
        ]
        return m

    def _write(self, m, cells, address):
        """The write port."""
        writer = cells.write_port(granularity=4)
        m.d.comb += [
            writer.addr.eq(address),
            writer.data.eq(self.write_data),
            writer.en.eq(self.mask & self.write.replicate(WORD_NIBBLES)),
        ]


class TwoPortMemory(MainMemory):
    """Block RAM, a read and a write in each cycle. What is read while it is written is undefined: nothing reads a
    tensor before it is complete.

    Members
    -------
    address : In(range(words)), of the read
    write_address : In(range(words))
    read_data : Out(64), one cycle after `address`
    """

    def __init__(self, words):
        super().__init__(words, {"write_address": In(range(words))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=WORD_BITS, depth=self._words, init=[], attrs=NO_COLLISION)
        self._write(m, cells, self.write_address)
        reader = cells.read_port()
        m.d.comb += [reader.addr.eq(self.address), self.read_data.eq(reader.data)]
        return m


class SpramMemory(MainMemory):
    """The same on SB_SPRAM256KA, four side by side for every 16384 words. Not initialised."""

    def elaborate(self, platform):
        m = Module()
        for lane in range(4):
            quad = slice(4 * lane, 4 * lane + 4)
            bits = slice(16 * lane, 16 * lane + 16)
            m.submodules[f"spram{lane}"] = Instance(
                "SB_SPRAM256KA",
                i_ADDRESS=Cat(self.address, C(0, 14))[:14],
                i_DATAIN=self.write_data[bits],
                i_MASKWREN=self.mask[quad],
                i_WREN=self.write,
                i_CHIPSELECT=1,
                i_CLOCK=ClockSignal(),
                i_STANDBY=0, i_SLEEP=0, i_POWEROFF=1,
                o_DATAOUT=self.read_data[bits],
            )
        return m


def main_memory(config):
    """The memory that suits the family."""
    if config.family is Family.ICE40:
        return SpramMemory(config.memory_words)
    return (TwoPortMemory if config.write_port else MainMemory)(config.memory_words)
