"""Where the gather unit stands in the activation tile, in column passes too."""

from amaranth import *
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import fill_layout
from subbyte.hw.tile_position import TilePosition

__all__ = ["ColumnPosition", "tile_position"]


class ColumnPosition(TilePosition):
    """The same, and column passes: a pixel has one word, but for the first `head` of a column, which have none.

    The words of P pixels lie at one place, in a bank each; a group ends with its input column. `planes` are then the
    tile words of a pixel minus one: planes, or a pair of column groups.

    Members
    -------
    column : In(1), it is a column pass; static, as is head : In
    row_last : In(1), with close: the pixel is the last one of its input column
    completes : Out(1), the current pixel has a word
    commits : Out(1), with close: all before `following` is on its way
    """

    def __init__(self, config):
        super().__init__(config, {
            "column": In(1),
            "head": In(fill_layout(config)["head"].shape),
            "row_last": In(1),
            "completes": Out(1),
            "commits": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        last_bank = self._config.p - 1
        word, group = (Signal.like(self.word, name=name, reset_less=True) for name in ("word_now", "group"))
        bank = Signal.like(self.bank, reset_less=True)
        above = Signal.like(self.head, reset_less=True)  # pixels of `head` that were there
        row_ends = self.pixel_ends & self.row_last & self.column
        group_ends = Signal()
        m.d.comb += [
            self.word.eq(word),
            self.bank.eq(bank),
            self.following.eq(word + self.planes + 1),
            self.completes.eq(above == self.head),
            group_ends.eq((bank == last_bank) | Mux(self.column, row_ends, self.last_pixel)),
            self.commits.eq(group_ends & (~self.column | (self.pixel_ends & self.completes))),
        ]
        with m.If(self.close):
            with m.If(~self.column | self.commits):
                m.d.sync += word.eq(self.following)
            with m.If(self.pixel_ends):
                with m.If(group_ends & self.completes):
                    m.d.sync += [bank.eq(0), group.eq(self.following)]
                with m.Elif(self.completes):
                    m.d.sync += bank.eq(bank + 1)
                    with m.If(~self.column):
                        m.d.sync += word.eq(group)
                with m.Else():
                    m.d.sync += above.eq(above + 1)
                with m.If(row_ends):
                    m.d.sync += above.eq(0)
        with m.If(self.reset):
            m.d.sync += [word.eq(0), bank.eq(0), group.eq(0), above.eq(0)]
        return m


def tile_position(config):
    """The position that suits the options."""
    return ColumnPosition(config) if config.columns else TilePosition(config)
