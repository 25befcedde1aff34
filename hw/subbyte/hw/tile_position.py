"""Where the gather unit stands in the activation tile: word and bank."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TilePosition"]


class TilePosition(wiring.Component):
    """Word pointer and bank of the pixel that is filled. The P pixels of a group begin at the same word.

    Members
    -------
    reset : In(1), pulse: back to word 0 of bank 0
    planes : In, operand planes of a word - 1
    close : In(1), the word is complete: its planes lie behind
    pixel_ends : In(1), with close: the last word of the pixel
    last_pixel : In(1), with close: no pixel follows, its group stays incomplete
    word, following : Out, word pointer of plane 0, and of the word behind
    bank : Out(range(P))
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "reset": In(1),
            "planes": In(range(config.max_planes)),
            "close": In(1),
            "pixel_ends": In(1),
            "last_pixel": In(1),
            "word": Out(range(2 * config.tile_words)),
            "following": Out(range(2 * config.tile_words)),
            "bank": Out(range(config.p)),
        })

    def elaborate(self, platform):
        m = Module()
        group = Signal.like(self.word)
        following = self.following
        m.d.comb += following.eq(self.word + self.planes + 1)
        with m.If(self.close):
            m.d.sync += self.word.eq(following)
            if self._config.p > 1:
                with m.If(self.pixel_ends):
                    with m.If((self.bank == self._config.p - 1) | self.last_pixel):
                        m.d.sync += [self.bank.eq(0), group.eq(following)]
                    with m.Else():
                        m.d.sync += [self.bank.eq(self.bank + 1), self.word.eq(group)]
        with m.If(self.reset):
            m.d.sync += [self.word.eq(0), self.bank.eq(0), group.eq(0)]
        return m
