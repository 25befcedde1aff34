"""Between the engine and its two masters: the loader until it is done, then the link."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.boards.best_class import DIGIT_BITS
from subbyte.boards.flash_loader import FlashLoader
from subbyte.boards.spi_flash import FlashPins


class Handover(wiring.Component):
    """What the link does before the loader is done waits.

    Members
    -------
    flash, loaded, digit : the loader's
    commands : Out(stream of bytes), to the engine; answers : In(stream of bytes), from it
    engine_reset : Out(1); engine_busy : In(1)
    busy : Out(1), of engine or loader
    link_commands : In(stream of bytes); link_answers : Out(stream of bytes); link_reset : In(1)
    sent : In(stream of bytes), from the link; transmitted : Out(stream of bytes), of the link or the loader's text
    """

    def __init__(self, loader: FlashLoader) -> None:
        self._loader = loader
        super().__init__({
            "flash": Out(FlashPins()),
            "loaded": Out(1),
            "digit": Out(DIGIT_BITS),
            "commands": Out(stream.Signature(8)),
            "answers": In(stream.Signature(8)),
            "engine_reset": Out(1),
            "engine_busy": In(1),
            "busy": Out(1),
            "link_commands": In(stream.Signature(8)),
            "link_answers": Out(stream.Signature(8)),
            "link_reset": In(1),
            "sent": In(stream.Signature(8)),
            "transmitted": Out(stream.Signature(8)),
        })

    def elaborate(self, platform: object) -> Module:
        """Multiplexers."""
        m = Module()
        m.submodules.loader = loader = self._loader
        connect(m, loader.pins, flipped(self.flash))
        done = loader.done
        for loaders, links, out in (
            (loader.commands, self.link_commands, self.commands), (loader.text, self.sent, self.transmitted),
        ):
            m.d.comb += [
                out.payload.eq(Mux(done, links.payload, loaders.payload)),
                out.valid.eq(Mux(done, links.valid, loaders.valid)),
                links.ready.eq(out.ready & done),
                loaders.ready.eq(out.ready & ~done),
            ]
        m.d.comb += [
            loader.answers.payload.eq(self.answers.payload),
            loader.answers.valid.eq(self.answers.valid & ~done),
            self.link_answers.payload.eq(self.answers.payload),
            self.link_answers.valid.eq(self.answers.valid & done),
            self.answers.ready.eq(self.link_answers.ready | ~done),
            self.engine_reset.eq(Mux(done, self.link_reset, loader.engine_reset)),
            loader.busy.eq(self.engine_busy),
            self.busy.eq(self.engine_busy | ~done),
            self.loaded.eq(loader.loaded),
            self.digit.eq(loader.digit),
        ]
        return m
