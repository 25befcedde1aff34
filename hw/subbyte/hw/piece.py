"""Piece: the codes that the gather unit moves in one cycle, cut by chunk in memory, word in the tile and segment."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Piece"]


def less_equal(a, b):
    """a <= b for short unsigned values of one width, in plain logic: a carry chain would be slower."""
    result = C(1, 1)
    for low, high in zip(a, b, strict=True):
        result = (~low & high) | (~(low ^ high) & result)
    return result


class Piece(wiring.Component):
    """As many codes as the rest of the chunk, of the word and of the segment have all. Combinational.

    What enables registers elsewhere is compared for itself rather than made from `count`: it is the longest
    way of the engine. All numbers of codes are one less than they say, which makes complements of differences.

    Members
    -------
    room : In, codes that the rest of the chunk holds
    lane : In(range(K)), lane of the first code
    left : In, codes that the rest of the segment holds, low bits
    long : In(1), `left` has higher bits: it goes beyond any piece
    count : Out, codes of the piece
    chunk_ends, word_ends, segment_ends : Out(1), it reaches the end of that
    borrows : Out(1), left - count - 1 takes one from the bits above those of `count`
    """

    def __init__(self, config):
        self._config = config
        f_bits = (config.fill_nibbles - 1).bit_length()
        super().__init__({
            "room": In(f_bits),
            "lane": In(range(config.k)),
            "left": In(f_bits),
            "long": In(1),
            "count": Out(f_bits),
            "chunk_ends": Out(1),
            "word_ends": Out(1),
            "segment_ends": Out(1),
            "borrows": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f_bits = len(self.room)
        chunk, segment, long = self.room, self.left, self.long
        word = ~self.lane[:f_bits]
        wide = ~self.lane[f_bits:].all()  # the word has room for any piece
        m.d.comb += [
            self.chunk_ends.eq((wide | less_equal(chunk, word)) & (long | less_equal(chunk, segment))),
            self.word_ends.eq(~wide & less_equal(word, chunk) & (long | less_equal(word, segment))),
            self.borrows.eq(less_equal(segment, chunk) & (wide | less_equal(segment, word))),
            self.segment_ends.eq(~long & self.borrows),
            self.count.eq(Mux(self.segment_ends, segment, Mux(self.word_ends, word, chunk))),
        ]
        return m
