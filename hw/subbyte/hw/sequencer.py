"""Sequencer: fetches header and sections from main memory and starts the units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.delay import delayed
from subbyte.hw.param_loader import ParamLoader
from subbyte.hw.ports import (
    EntryWrite,
    ReadPort,
    WordArrival,
    compute_layout,
    drain_layout,
    fill_layout,
    word_view,
)
from subbyte.spec.program import COMPUTE_FIELDS, DRAIN_FIELDS, FILL_FIELDS

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Runs the program at word 0: header, then per pass fill as soon as the gather unit is idle, compute
    and drain as soon as the writer is. A fill with `wait` starts when the writer is idle.

    Members
    -------
    run : In(1), pulse: start
    busy : Out(1), from `run` until the last result is written
    memory : Out(ReadPort)
    first_header, first_fill, first_drain : Out(WordArrival), header and first words of sections as they come
    fill, compute, drain : Out sections, static while their units work
    reset : Out(1), pulse at the start of a run
    start_fill, start_compute, start_drain : Out(1), pulses
    hold_fill : Out(1), in the next cycle the fill section still waits for results
    fill_idle, drain_idle : In(1)
    entry : Out(EntryWrite), requantizer parameters, those of a pass between its fill and its compute section; only with
        `param_stream`
    zero : Out(1), always 0, unknown to the synthesizer (bit 63 of the header word, see `registered_tree`)
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "run": In(1),
            "busy": Out(1),
            "memory": Out(ReadPort(config)),
            "first_header": Out(WordArrival()),
            "first_fill": Out(WordArrival()),
            "first_drain": Out(WordArrival()),
            "fill": Out(fill_layout(config)),
            "compute": Out(compute_layout(config)),
            "drain": Out(drain_layout(config)),
            "reset": Out(1),
            "start_fill": Out(1),
            "hold_fill": Out(1),
            "start_compute": Out(1),
            "start_drain": Out(1),
            "fill_idle": In(1),
            "drain_idle": In(1),
            "zero": Out(1),
            **({"entry": Out(EntryWrite(config))} if config.param_stream else {}),
        })

    def elaborate(self, platform):
        m = Module()
        word = Signal(range(self._config.memory_words), reset_less=True)
        m.d.comb += [self.memory.address.eq(word), self.reset.eq(self.run & ~self.busy)]
        # One state per descriptor word: its request; the word arrives `read_cycles` after the grant.
        names = [
            "header",
            *(f"fill{i}" for i in range(len(FILL_FIELDS))),
            *(("params",) if self._config.param_stream else ()),
            *(f"compute{i}" for i in range(len(COMPUTE_FIELDS))),
            *(f"drain{i}" for i in range(len(DRAIN_FIELDS))),
        ]
        granted = {name: Signal(name=f"{name}_granted") for name in names}
        arrived = {name: delayed(m, signal, self._config.read_cycles) for name, signal in granted.items()}

        loader = self._loader(m, granted["params"], arrived) if self._config.param_stream else None

        def request(name, following, when=1):
            m.d.comb += self.memory.request.eq(when)
            with m.If(self.memory.grant):
                m.d.comb += granted[name].eq(1)
                m.d.sync += word.eq(word + 1)
                m.next = following

        # What was requested behind the closing zero is loaded, but starts nothing.
        valid = Signal()
        section_valid = word_view(FILL_FIELDS[0], self.memory.data).valid
        with m.If(arrived["fill0"]):
            m.d.sync += valid.eq(section_valid)

        def finish_at_zero():
            with m.If(arrived["fill0"] & ~section_valid):
                m.next = "finish"

        with m.FSM():
            with m.State("idle"):
                with m.If(self.run):
                    m.d.sync += [self.busy.eq(1), word.eq(0)]
                    m.next = "header"
            with m.State("header"):
                request("header", "fill0")
            for i in range(len(FILL_FIELDS)):
                with m.State(f"fill{i}"):
                    ready = self.fill_idle & ~self.start_fill if i == 0 else 1
                    behind = "arrive" if self._config.param_stream else "compute0"
                    request(f"fill{i}", f"fill{i + 1}" if i + 1 < len(FILL_FIELDS) else behind, ready)
                    if 1 <= i <= self._config.read_cycles:
                        finish_at_zero()
            if loader:
                with m.State("arrive"):
                    with m.If(loader.section.here):
                        m.next = "params"
                    if len(FILL_FIELDS) <= self._config.read_cycles:
                        finish_at_zero()
                with m.State("params"):
                    request("params", "params")
                    with m.If(self.memory.grant & loader.last):
                        m.next = "compute0"
            for i in range(len(COMPUTE_FIELDS)):
                with m.State(f"compute{i}"):
                    # The writer is at work by now, or starts: four states after the last drain word was requested.
                    after = f"compute{i + 1}" if i + 1 < len(COMPUTE_FIELDS) else "drain0"
                    request(f"compute{i}", after, self.drain_idle & ~self.start_drain)
                    if len(FILL_FIELDS) + i <= self._config.read_cycles:
                        finish_at_zero()
            for i in range(len(DRAIN_FIELDS)):
                with m.State(f"drain{i}"):
                    request(f"drain{i}", f"drain{i + 1}" if i + 1 < len(DRAIN_FIELDS) else "fill0")
            with m.State("finish"):
                with m.If(self.drain_idle):
                    m.d.sync += self.busy.eq(0)
                    m.next = "idle"

        for section, layouts, unit in (
            (self.fill, FILL_FIELDS, "fill"),
            (self.compute, COMPUTE_FIELDS, "compute"),
            (self.drain, DRAIN_FIELDS, "drain"),
        ):
            registers = Signal(section.shape(), name=f"{unit}_section", reset_less=True)
            m.d.comb += section.eq(registers)
            for i, fields in enumerate(layouts):
                view = word_view(fields, self.memory.data)
                with m.If(arrived[f"{unit}{i}"]):
                    kept = [name for name in fields if name in section.shape().members]
                    m.d.sync += [registers[name].eq(view[name]) for name in kept]
        for port, name in (
            (self.first_header, "header"), (self.first_fill, "fill0"), (self.first_drain, "drain0"),
        ):
            m.d.comb += [port.here.eq(arrived[name]), port.word.eq(self.memory.data)]
        with m.If(arrived["header"]):
            m.d.sync += self.zero.eq(self.memory.data[-1])
        m.d.sync += [
            self.start_fill.eq(arrived[f"fill{len(FILL_FIELDS) - 1}"] & valid),
            self.start_compute.eq(arrived[f"compute{len(COMPUTE_FIELDS) - 1}"] & valid),
            self.start_drain.eq(arrived[f"drain{len(DRAIN_FIELDS) - 1}"]),
        ]
        # A fill waits for the results of the pass before; its own drain section is not loaded yet.
        holding = Signal()
        m.d.comb += self.hold_fill.eq(self.start_fill | (holding & self.fill.wait & ~self.drain_idle))
        m.d.sync += holding.eq(self.hold_fill)
        return m

    def _loader(self, m, granted, arrived):
        """The parameter loader, connected; the states of the sequencer ask for the words."""
        m.submodules.loader = loader = ParamLoader(self._config)
        last_fill = f"fill{len(FILL_FIELDS) - 1}"
        connect(m, loader.entry, flipped(self.entry))
        m.d.comb += [
            loader.reset.eq(self.reset),
            loader.section.here.eq(arrived[last_fill]),
            loader.section.word.eq(self.memory.data),
            loader.granted.eq(granted),
            loader.here.eq(arrived["params"]),
            loader.word.eq(self.memory.data),
        ]
        return loader
