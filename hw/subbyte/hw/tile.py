"""Activation tile: one bank of K-operand words per pixel, written a few lanes at a time, read whole."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import NO_COLLISION

__all__ = ["AssembledTile", "MaskedTile", "activation_tile"]


class MaskedTile(wiring.Component):
    """Writes lanes through the memory's bit mask (iCE40).

    Members
    -------
    enable : In(1), write this cycle
    bank : In(range(P))
    word : In(range(tile_words)), tile address to write
    plane : In(3), operand plane of the word
    mask : In(K), lanes to write
    data : In(K*operand_bits)
    close : In(1), with enable: the last write to this word
    read_word : In(range(tile_words))
    operands : Out(P*K*operand_bits), of `read_word`, one cycle later
    """

    WRITE_DELAY = 0
    """Cycles from the last write to a word to the one in which the memory takes it."""

    def __init__(self, config, more=None):
        self._config = config
        bits = config.k * config.operand_bits
        super().__init__({
            "enable": In(1),
            "bank": In(range(config.p)),
            "word": In(range(config.tile_words)),
            "plane": In(3),
            "mask": In(config.k),
            "data": In(bits),
            "close": In(1),
            "read_word": In(range(config.tile_words)),
            "operands": Out(config.p * bits),
            **(more or {}),
        })

    def _banks(self, m, granularity):
        """Memories of all banks, their read ports wired; returns the write ports."""
        c = self._config
        bits = c.k * c.operand_bits
        writers = []
        for p in range(c.p):
            m.submodules[f"bank{p}"] = bank = memory.Memory(shape=bits, depth=c.tile_words, init=[], attrs=NO_COLLISION)
            reader = bank.read_port()
            writers.append(bank.write_port(granularity=granularity))
            m.d.comb += [reader.addr.eq(self.read_word), self.operands.word_select(p, bits).eq(reader.data)]
        return writers

    def elaborate(self, platform):
        m = Module()
        for p, writer in enumerate(self._banks(m, self._config.operand_bits)):
            chosen = self.enable & (self.bank == p)
            m.d.comb += [
                writer.addr.eq(self.word),
                writer.data.eq(self.data),
                writer.en.eq(self.mask & chosen.replicate(len(self.mask))),
            ]
        return m


class AssembledTile(MaskedTile):
    """Collects a word in registers, one set per plane, and writes it whole (ECP5: fewer block RAMs).

    Lanes that were not written hold what an earlier word left.
    """

    WRITE_DELAY = 1

    def elaborate(self, platform):
        m = Module()
        c = self._config
        planes = c.max_planes
        words = Array(Signal(c.k * c.operand_bits, name=f"plane{i}") for i in range(planes))
        for plane in range(planes):
            for lane in range(c.k):
                with m.If(self.enable & (self.plane == plane) & self.mask[lane]):
                    m.d.sync += words[plane].word_select(lane, c.operand_bits).eq(
                        self.data.word_select(lane, c.operand_bits)
                    )
        write = Signal()
        bank = Signal.like(self.bank)
        word = Signal.like(self.word)
        plane = Signal(range(planes))
        m.d.sync += [
            write.eq(self.enable & self.close),
            bank.eq(self.bank),
            word.eq(self.word),
            plane.eq(self.plane),
        ]
        for p, writer in enumerate(self._banks(m, None)):
            m.d.comb += [
                writer.addr.eq(word),
                writer.data.eq(words[plane]),
                writer.en.eq(write & (bank == p)),
            ]
        return m


def activation_tile(config):
    """The tile that suits the family."""
    return MaskedTile(config) if config.family.ice40_cells else AssembledTile(config)
