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

    def __init__(self, config, more=None):
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
            **(more or {}),
        })

    def elaborate(self, platform):
        m = Module()
        last_bank = self._config.p - 1
        # No reset but the pulse, which can then be that of the flip-flops.
        word, group = (Signal.like(self.word, name=name, reset_less=True) for name in ("word_now", "group"))
        bank = Signal.like(self.bank, reset_less=True)
        m.d.comb += [self.word.eq(word), self.bank.eq(bank), self.following.eq(word + self.planes + 1)]
        with m.If(self.close):
            m.d.sync += word.eq(self.following)
            if last_bank:
                with m.If(self.pixel_ends):
                    with m.If((bank == last_bank) | self.last_pixel):
                        m.d.sync += [bank.eq(0), group.eq(self.following)]
                    with m.Else():
                        m.d.sync += [bank.eq(bank + 1), word.eq(group)]
        with m.If(self.reset):
            m.d.sync += [word.eq(0), bank.eq(0), group.eq(0)]
        return m
