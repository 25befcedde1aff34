"""Parameter loader: the entries of each pass, on their way from main memory into the requantizer's memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.counter import up_counter
from subbyte.hw.ports import EntryWrite, WordArrival, word_view
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.program import FILL_FIELDS

__all__ = ["ParamLoader"]


class ParamLoader(wiring.Component):
    """Counts the entries of a pass when they are granted, and gives them consecutive places when they come.

    The memory is a ring of two passes at least: what is written is behind the entries of the pass at work.

    Members
    -------
    reset : In(1), pulse: a run begins, with entry 0
    section : In(WordArrival), last word of a fill section, before its first entry
    granted : In(1), one more entry is on its way
    last : Out(1), with `granted`: it is the last of the pass; not valid with `section`
    here : In(1), `word` is an entry
    word : In(64)
    entry : Out(EntryWrite), combinational
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "reset": In(1),
            "section": In(WordArrival()),
            "granted": In(1),
            "last": Out(1),
            "here": In(1),
            "word": In(WORD_BITS),
            "entry": Out(EntryWrite(config)),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        m.submodules.left = left = up_counter(c.family, (c.pass_params - 1).bit_length())
        place = Signal(range(c.param_entries), reset_less=True)
        with m.If(self.reset):
            m.d.sync += place.eq(0)
        with m.Elif(self.here):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            left.load.eq(self.section.here),
            left.start.eq(~word_view(FILL_FIELDS[-1], self.section.word).params),
            left.step.eq(self.granted),
            self.last.eq(left.last),
            self.entry.enable.eq(self.here),
            self.entry.address.eq(place),
            self.entry.data.eq(self.word),
        ]
        return m
