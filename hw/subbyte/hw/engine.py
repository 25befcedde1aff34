"""The engine: all units around one main memory. The only top of the gateware; boards and benches see its streams."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.hw.array import PeArray
from subbyte.hw.command import CommandUnit
from subbyte.hw.counter import up_counter
from subbyte.hw.delay import delayed
from subbyte.hw.early import early
from subbyte.hw.gather import Gather
from subbyte.hw.line_steps import step_controller
from subbyte.hw.main_memory import main_memory
from subbyte.hw.requantizer import Requantizer
from subbyte.hw.sequencer import Sequencer
from subbyte.hw.shadow import Shadow
from subbyte.hw.skip_reader import SkipReader
from subbyte.hw.weight_pump import WeightPump
from subbyte.hw.writer import Writer
from subbyte.spec.engine import EngineError, Lane
from subbyte.spec.frames import Counter

__all__ = ["Engine", "check_gateware"]


def check_gateware(config):
    """EngineError when `config` has what only the machine has."""
    if config.activation_records:
        raise EngineError(
            f"Engine activation_records has no gateware (docs/arithmetic.md#activation-outliers); set "
            f"activation_records of {config.name} to 0, not {config.activation_records}"
        )


class Engine(wiring.Component):
    """Commands in, results out (`subbyte.spec.frames`); docs/engine.md tells what a run does.

    Parameters
    ----------
    config : EngineConfig, see `check_gateware`

    Members
    -------
    i : In(stream of bytes)
    o : Out(stream of bytes)
    busy : Out(1), a run is under way; its falling edge serves as interrupt
    """

    def __init__(self, config):
        check_gateware(config)
        self._config = config
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        c = self._config
        m.submodules.command = command = CommandUnit(c)
        m.submodules.sequencer = sequencer = Sequencer(c)
        m.submodules.pump = pump = WeightPump(c)
        m.submodules.gather = gather = Gather(c)
        m.submodules.steps = steps = step_controller(c)
        m.submodules.array = array = PeArray(c)
        m.submodules.shadow = shadow = Shadow(c)
        m.submodules.requantizer = requantizer = Requantizer(c)
        m.submodules.writer = writer = Writer(c)
        skips = self._skips(m, sequencer, steps, shadow, writer) if c.highway else None
        connect(m, flipped(self.i), command.i)
        connect(m, flipped(self.o), command.o)
        connect(m, sequencer.first_header, pump.header)
        connect(m, sequencer.first_fill, gather.first)
        connect(m, sequencer.first_drain, writer.first)
        if c.param_stream:
            connect(m, sequencer.entry, requantizer.params)
        for written, memory in (
            (command.tables, gather.tables),
            *(() if c.param_stream else ((command.params, requantizer.params),)),
            (command.luts, requantizer.tables),
        ):
            # ECP5 has distributed RAM for some, many cells that lie far apart: a cycle to reach them.
            domain = "sync" if c.family.registered else "comb"
            m.d[domain] += [
                memory.enable.eq(written.enable),
                memory.address.eq(written.address),
                memory.data.eq(written.data),
            ]
        m.d.comb += [
            sequencer.run.eq(command.run),
            command.busy.eq(sequencer.busy),
            self.busy.eq(sequencer.busy),
        ]

        # Control.
        m.d.comb += [
            pump.stale.eq(command.main.enable & (command.main.address >> 2 == 0)),
            pump.released.eq(steps.row_released),
            gather.reset.eq(sequencer.reset),
            gather.start.eq(sequencer.start_fill),
            gather.hold.eq(sequencer.hold_fill),
            gather.fill.eq(sequencer.fill),
            gather.released.eq(steps.word_released),
            sequencer.fill_idle.eq(gather.idle),
            steps.reset.eq(sequencer.reset),
            steps.start.eq(delayed(m, sequencer.start_compute, self._head_start(array, skips))),
            steps.compute.eq(sequencer.compute),
            steps.row_available.eq(pump.available),
            steps.word_available.eq(gather.filled),
            writer.start.eq(sequencer.start_drain),
            writer.drain.eq(sequencer.drain),
            # The steps of a missing row may go on when everything is written.
            sequencer.drain_idle.eq(writer.idle & steps.idle if c.depthwise else writer.idle),
        ]

        # Data, from the buffers to the codes.
        m.d.comb += [
            pump.row.eq(steps.row),
            gather.read_word.eq(steps.read_word),
            array.weights.eq(pump.weights),
            array.operands.eq(gather.operands),
            array.step.eq(steps.step),
            array.zero.eq(sequencer.zero),
            *self._binary(array, steps, sequencer.compute),
            shadow.acc.eq(array.acc),
            shadow.done.eq(array.done),
            requantizer.valid.eq(shadow.valid),
            requantizer.accs.eq(shadow.results),
            requantizer.param.eq(self._channel(m, sequencer, shadow)),
            requantizer.lut.eq(sequencer.drain.lut),
            requantizer.lut_slot.eq(sequencer.drain.lut_slot),
            *self._offsets(requantizer, sequencer, skips),
            writer.valid.eq(requantizer.codes_valid),
            writer.codes.eq(requantizer.codes),
        ]
        if c.columns:  # the compute section is loaded before the writer's, and replaced when all is written
            m.d.sync += writer.column.eq(sequencer.compute.hop.any())
        if c.outlier_slots:
            m.d.comb += array.slots.eq(pump.slots)
        if c.exact_rounding:
            m.d.comb += requantizer.mode.eq(sequencer.drain.lut_slot)
        self._arbitrate(m, command, writer, skips, sequencer.memory, gather.memory, pump.memory)
        self._count(m, command, steps)
        return m

    def _binary(self, array, steps, compute):
        """What xnor lanes want besides. A compute section is replaced only when its results are written."""
        if self._config.lane is not Lane.XNOR:
            return []
        return [array.single.eq(steps.single), array.positional.eq(compute.radix)]

    def _skips(self, m, sequencer, steps, shadow, writer):
        """The skip reader, for engines with `highway`, connected but for its data."""
        m.submodules.skip_reader = skips = SkipReader(self._config)
        connect(m, sequencer.first_drain, skips.first)
        m.d.comb += [
            steps.skip.eq(sequencer.drain.add),
            skips.start.eq(sequencer.start_drain),
            skips.drain.eq(sequencer.drain),
            skips.block.eq(shadow.valid & (shadow.column == 0)),
            skips.blocked.eq(writer.upcoming),
        ]
        return skips

    @staticmethod
    def _head_start(array, skips):
        """Cycles by which compute sections start later, so that the skip reader is ahead of their first results.

        The reader's `start` comes in the cycle after the first step, whose results leave the shadow `latency` + 2
        cycles after it.
        """
        return max(0, skips.lead - (array.latency + 1)) if skips else 0

    @staticmethod
    def _offsets(requantizer, sequencer, skips):
        """What the requantizer adds."""
        if skips is None:
            return [requantizer.zero_point.eq(sequencer.drain.zero_point)]
        return [requantizer.offsets.eq(skips.offsets), requantizer.relu.eq(sequencer.drain.relu)]

    def _channel(self, m, sequencer, shadow):
        """Parameter entry of the channel that the shadow shows; a column group's M start at a multiple of M."""
        c = self._config
        drain = sequencer.drain
        m.submodules.channels = first = up_counter(c.family, (c.param_entries // c.m - 1).bit_length())
        block = Signal(range(c.p // c.r))
        group = Signal.like(drain.groups)
        done = shadow.valid & (shadow.column == c.m - 1)
        group_done = done & (block == c.p // c.r - 1)
        restart = sequencer.start_drain | (group_done & (group == drain.groups))
        m.d.comb += [
            first.load.eq(restart),
            first.start.eq(drain.param[(c.m - 1).bit_length() :]),
            first.step.eq(group_done),
        ]
        with m.If(done):
            m.d.sync += block.eq(block + 1)
        with m.If(restart):
            m.d.sync += group.eq(0)
        with m.Elif(group_done):
            m.d.sync += group.eq(group + 1)
        return Cat(shadow.column, first.count)

    def _arbitrate(self, m, command, writer, skips, sequencer, gather, pump):
        """One access to main memory per cycle.

        Writer, skip reader (if there is one) and sequencer book their cycle one ahead, so that the gather unit, whose
        grant moves most of its registers, knows early; it comes before the pump. Between runs no unit asks and the
        memory is the host's. A port for writes has an address of its own.
        """
        m.submodules.memory = cells = main_memory(self._config)
        host = command.main
        free, booked = Signal(), Signal()
        other = early(Signal.like(cells.address))  # of all but the gather unit, whose grant is last
        taken = writer.upcoming if skips is None else writer.upcoming | skips.upcoming
        users = [writer, *([skips] if skips else [])]
        if self._config.write_port:
            taken = skips.upcoming if skips else C(0, 1)
            users.remove(writer)
        readers = [command.read_data, sequencer.data, gather.data, pump.data, *([skips.data] if skips else [])]
        m.d.sync += [free.eq(~taken & ~sequencer.request), booked.eq(~taken & sequencer.request)]
        m.d.comb += [
            sequencer.grant.eq(sequencer.request & booked),
            gather.grant.eq(gather.request & free),
            pump.grant.eq(pump.request & free & ~gather.request),
        ]
        # ECP5, see `read_cycles`: a register before the block RAMs and one behind.
        domain = "sync" if self._config.family.registered else "comb"
        m.d[domain] += [
            *(reader.eq(cells.read_data) for reader in readers),
            cells.write_data.eq(Mux(self.busy, writer.word, host.data.replicate(4))),
            cells.write.eq(Mux(self.busy, writer.enable & writer.exists, host.enable)),
            cells.mask.eq(Mux(self.busy, writer.mask, C(0xF, len(writer.mask)) << (host.address[:2] << 2))),
            cells.address.eq(Mux(gather.grant, gather.address, other)),
        ]
        if self._config.write_port:
            m.d[domain] += cells.write_address.eq(Mux(self.busy, writer.address, host.address >> 2))
        with m.If(~self.busy):
            m.d.comb += other.eq(host.address >> 2)
        for unit in users:
            with m.Elif(unit.enable):
                m.d.comb += other.eq(unit.address)
        with m.Elif(booked):
            m.d.comb += other.eq(sequencer.address)
        with m.Else():
            m.d.comb += other.eq(pump.address)

    def _count(self, m, command, steps):
        """The cycles that the command unit counts: all, or those in which the array waited for one cause.

        A `Stall` has the number of its `Counter`. It is counted a cycle late; a run ends long after the last one.
        """
        waited = Signal()
        m.d.sync += waited.eq(Value.cast(steps.stall) == command.counter)
        m.d.comb += command.count.eq(waited | (command.counter == Counter.CYCLES))
