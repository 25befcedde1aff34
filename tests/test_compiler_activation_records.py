# amaranth: UnusedElaboratable=no
"""Records on engines: what a schedule refuses, what hosts read, what the command line says of them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from networks import random_codes
from record_networks import RECORDS, RecordBuilder, wide

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.cost import estimate
from subbyte.compiler.known_answers import digest
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.device import Device
from subbyte.golden.reference import run
from subbyte.host.driver import Driver
from subbyte.hw.bus import Bus
from subbyte.hw.engine import Engine
from subbyte.hw.export import engine_verilog
from subbyte.spec import frames
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import accumulator, linear
from subbyte.spec.frames import SPACE_BIT, Op, Space
from subbyte.spec.network import Network, Requantize
from subbyte.spec.rounding import Rounding
from subbyte.spec.weights import WeightFormat, WeightSet

REFUSED = (
    r"^Engine activation_records has no gateware \(docs/arithmetic\.md#activation-outliers\); set activation_records "
    r"of records to 0, not 8$"
)


def two(rng: np.random.Generator, records: int = 2, engine: EngineConfig = RECORDS) -> Network:
    builder = RecordBuilder(rng, engine, (5, 5, 4), linear(4)).conv(6, (3, 3), wide(4, records))
    return builder.conv(3, (2, 2), linear(8)).network()


@pytest.mark.parametrize(("engine", "records"), [(PRESETS["up5k-plain"], 1), (RECORDS, 9)])
def test_too_many_records(engine: EngineConfig, records: int, rng: np.random.Generator) -> None:
    network = RecordBuilder(rng, engine, (5, 5, 4), linear(4)).conv(9, (3, 3), wide(4, records))
    message = (
        rf"^Layer conv0_requantize: output conv0\.codes has up to {records} records a pixel, {engine.name} has "
        rf"{engine.activation_records} \(activation_records\)$"
    )
    with pytest.raises(ScheduleError, match=message):
        schedule(network.conv(3, (1, 1), linear(8)).network(), engine)


def test_rounding(rng: np.random.Generator) -> None:
    network = two(rng)
    layers = [
        dataclasses.replace(layer, rounding=Rounding.FLOOR) if isinstance(layer, Requantize) else layer
        for layer in network.layers
    ]
    with pytest.raises(ScheduleError, match=r"^Layer conv0_requantize: rounding must be half_up, .* not floor; "):
        schedule(dataclasses.replace(network, layers=tuple(layers)), RECORDS)


def test_memory_for_blocks_is_counted(rng: np.random.Generator) -> None:
    """Each of 49 pixels takes four words."""
    builder = RecordBuilder(rng, RECORDS, (7, 7, 4), linear(4))
    builder.conv(8, (1, 1), wide(4, 8)).conv(3, (1, 1), linear(8))
    program = schedule(builder.network(), RECORDS)
    (block,) = program.records.values()
    assert block.words == 1 + 49 * 4
    engine = dataclasses.replace(RECORDS, memory_words=256)
    with pytest.raises(ScheduleError, match=r"main memory: \d+ words needed, records has 256"):
        schedule(builder.network(), engine)


def test_accumulators_that_the_engine_lacks(rng: np.random.Generator) -> None:
    """A network of wider accumulators is valid; the engine's 28 bits are too few for its records."""
    network = two(rng, 6)
    tensors, acc = dict(network.tensors), network.layers[2].output
    tensors[acc] = dataclasses.replace(tensors[acc], format=accumulator(32))

    def weighing(value: int) -> Network:
        weight = np.full((3, 2, 2, 6), value)
        heavy = dataclasses.replace(
            network.layers[2], weight=weight, weight_format=WeightFormat(WeightSet.DIGIT4, 8)  # type: ignore[call-arg]
        )
        layers = (*network.layers[:2], heavy, *network.layers[3:])
        return dataclasses.replace(network, layers=layers, tensors=tensors)

    schedule(weighing(85), RECORDS)
    with pytest.raises(ScheduleError, match=r"accumulator of channel \d must stay in -134217728\.\.134217727, it may"):
        schedule(weighing(86), RECORDS)


def test_no_line_passes(rng: np.random.Generator) -> None:
    """Neither reader nor writer of records; a layer between plain tensors still is one."""
    engine = dataclasses.replace(PRESETS["up5k"], name="records", activation_records=4)
    builder = RecordBuilder(rng, engine, (6, 6, 8), linear(4))
    for form in (linear(4), wide(4, 2), linear(8)):
        builder.conv(8, (3, 3), form, padding=(1, 1, 1, 1), groups=8)
    hops = {one.tensor: one.compute.hop for one in schedule(builder.network(), engine).passes}
    assert [bool(hop) for hop in hops.values()] == [True, False, False]


def test_cost_has_room_for_all_records(rng: np.random.Generator) -> None:
    """4 output pixels of 2 x 2 positions, each one word: a read and two products; one column group."""
    program = schedule(two(rng), RECORDS)
    without = dataclasses.replace(program, passes=tuple(
        dataclasses.replace(one, records=None) for one in program.passes
    ))
    more = [a.cycles - b.cycles for a, b in zip(estimate(program).passes, estimate(without).passes, strict=True)]
    assert more[0] == 0 and 0 < more[1] <= 4 * 4 * (1 + 2)


class DeviceTransport:
    """Transport to a golden device of any engine."""

    def __init__(self, engine: EngineConfig) -> None:
        self.device, self.answer = Device(engine), b""

    def send(self, data: bytes) -> None:
        while data:
            count, where, op = data[0] + 1, int.from_bytes(data[1:4], "little"), Op(data[4] & 3)
            space, unit, data = Space(where >> SPACE_BIT), where % (1 << SPACE_BIT) // 2, data[frames.HEADER_BYTES :]
            if op is Op.WRITE:
                self.device.write(space, unit, np.frombuffer(data[:count], dtype="<u2"))
                data = data[count:]
            elif op is Op.READ:
                self.answer += self.device.read(unit, count // 2).astype("<u2").tobytes()
            elif op is Op.RUN:
                self.device.run_program()
                self.answer += bytes(frames.COUNTER_BYTES)
            else:
                self.answer += frames.identity(self.device.engine.digest())

    def receive(self, count: int) -> bytes:
        taken, self.answer = self.answer[:count], self.answer[count:]
        return taken


def test_a_host_reads_whole_values(rng: np.random.Generator) -> None:
    """One input after the other in the same memory: nothing of the one before is left."""
    network = two(rng)
    driver = Driver(DeviceTransport(RECORDS), schedule(network, RECORDS))
    for codes in random_codes(rng, network, 3):
        expected = run(network, codes[None], taps=True)
        for name, values in driver.infer_taps(codes).items():
            assert np.array_equal(values, expected[name][0]), name


def test_digests_tell_wide_values_apart() -> None:
    """300 and 44 have one low byte."""
    assert len({digest(np.full((1, 1, 1, 2), value)) for value in (300, 44, 300 + 65536 // 2)}) == 3


def test_gateware_refuses() -> None:
    for make in (Engine, engine_verilog, lambda config: engine_verilog(config, Bus.WISHBONE)):
        with pytest.raises(ValueError, match=REFUSED):
            make(RECORDS)


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiled and run by the machine; what needs gateware is refused in one line, with nothing written."""
    monkeypatch.chdir(tmp_path)
    engine = {"family": "ice40", "lane": "digit", "activation_records": 8}
    Path("records.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in engine.items()))
    calib = ["--calib", str(digits_data()), "--input-scale", "1/16"]
    assert main(["compile", str(digits_model()), "-o", "out", "--engine", "records.toml", *calib, "-q"]) == 0
    assert main(["verify", "out", "--levels", "machine", "--limit", "2", "-q"]) == 0
    capsys.readouterr()
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ["verilog", "--engine", "records.toml", "-o", "e.v"],
        ["build", "--engine", "records.toml", "--board", "icebreaker"], ["build", "out", "--board", "icebreaker"],
        ["verify", "out", "--levels", "rtl"], ["verify", "out"],
        ["eval", "out", "--data", str(digits_data()), "--level", "rtl", "--limit", "1"],
    ):
        assert main([*command, "-q"]) == 2
        told = capsys.readouterr()
        assert not told.out and told.err.count("\n") == 1
        assert re.match(REFUSED.replace("^", "^subbyte: "), told.err.strip())
        assert sorted(tmp_path.rglob("*")) == before
