"""The driver against an engine in memory that speaks the frames, and the serial transport on a loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from subbyte.host.driver import Driver, DriverError
from subbyte.host.serial_transport import SerialTransport
from subbyte.spec import frames
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.frames import SPACE_BIT, Counter, Op, Space
from subbyte.spec.program import Program, TensorLayout

ENGINE = PRESETS["up5k"]
INPUT = TensorLayout(
    address=64 * 16, height=3, width=4, channels=5, pitch=6, nibbles=2, border=(1, 1, 1, 1), pad_code=9
)
OUTPUT = dataclasses.replace(INPUT, address=4096 * 16)


def program(**changes: object) -> Program:
    """A program without passes; what it would do is up to `FakeEngine`."""
    values = {
        "engine": ENGINE, "passes": (), "weights": np.arange(8, dtype=np.uint64).reshape(2, 4),
        "pinned": True, "params": np.array([[-5, 40000, 3]]), "tables": np.arange(32).reshape(1, 2, 16),
        "luts": np.arange(256).reshape(1, 256) % 16, "layouts": {"x": INPUT, "y": OUTPUT}, "input": "x", "output": "y",
    }
    return Program(**{**values, **changes})


class FakeEngine:
    """Transport and engine in one: memories as arrays, RUN copies the input tensor to the output tensor."""

    def __init__(self, engine: EngineConfig = ENGINE) -> None:
        self.memory = {space: np.zeros(1 << 18, dtype=np.uint16) for space in Space}
        self.identity = frames.identity(engine.digest())
        self.runs = 0
        self.answer = b""

    def send(self, data: bytes) -> None:
        while data:
            count, where, op, counter = data[0] + 1, int.from_bytes(data[1:4], "little"), Op(data[4] & 3), data[4] >> 4
            space, unit = Space(where >> SPACE_BIT), where % (1 << SPACE_BIT) // frames.UNIT_BYTES
            data = data[frames.HEADER_BYTES :]
            if op is Op.WRITE:
                self.memory[space][unit : unit + count // 2] = np.frombuffer(data[:count], dtype="<u2")
                data = data[count:]
            elif op is Op.READ:
                assert not data, "a UART loses what comes while the engine answers"
                self.answer += self.memory[Space.MAIN][unit : unit + count // 2].astype("<u2").tobytes()
            elif op is Op.RUN:
                self.runs += 1
                main = self.memory[Space.MAIN]
                size = 4 * INPUT.words
                main[OUTPUT.address // 4 :][:size] = main[INPUT.address // 4 :][:size]
                self.answer += ((1000 + self.runs, 20, 30, 40)[counter]).to_bytes(3, "little")
            else:
                self.answer += self.identity

    def receive(self, count: int) -> bytes:
        if len(self.answer) < count:
            raise TimeoutError("no answer")
        taken, self.answer = self.answer[:count], self.answer[count:]
        return taken


def test_load_writes_the_image() -> None:
    engine, loaded = FakeEngine(), program()
    Driver(engine, loaded)
    main = engine.memory[Space.MAIN]
    weights = 4 * (ENGINE.memory_words - 8)
    assert (main[weights : weights + 32].view("<u8") == np.arange(8)).all()
    assert (main[:8] == loaded.descriptor_words().view("<u2")).all()
    assert (engine.memory[Space.TABLES][:32] == np.arange(32)).all()
    assert (engine.memory[Space.LUTS][:256] == np.arange(256) % 16).all()
    assert main[INPUT.address // 4] == 0x0909
    assert engine.answer == b""


def test_infer(rng: np.random.Generator) -> None:
    engine = FakeEngine()
    driver = Driver(engine, program())
    for _ in range(2):
        codes = rng.integers(0, 256, (3, 4, 5))
        assert (driver.infer(codes) == codes).all()
    assert driver.cycles == 1002
    assert [driver.run(counter) for counter in Counter] == [1003, 20, 30, 40]
    assert driver.cycles == 40


def test_infer_taps(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 256, (3, 4, 5))
    taps = Driver(FakeEngine(), program()).infer_taps(codes)
    assert list(taps) == ["x", "y"]
    assert (taps["x"] == codes).all() and (taps["y"] == codes).all()


def test_long_tensors_are_read_in_pieces() -> None:
    layout = TensorLayout(address=0, height=300, width=300, channels=3, pitch=3, nibbles=1)
    assert 4 * layout.words > frames.MAX_UNITS
    engine = FakeEngine()
    driver = Driver(engine, program(layouts={"x": layout}, input="x", output="x"))
    codes = np.arange(300 * 300 * 3).reshape(300, 300, 3) % 16
    driver.write_input(codes)
    assert (driver.read_tensor("x") == codes).all()


def test_other_engine_is_refused_before_anything_is_written() -> None:
    engine = FakeEngine(PRESETS["up5k-shift"])
    with pytest.raises(DriverError, match=r"^The program is for engine up5k \(\w{6}\), the device holds another"):
        Driver(engine, program())
    assert not engine.memory[Space.MAIN].any()


def test_foreign_answers() -> None:
    engine = FakeEngine()
    engine.identity = engine.identity[:3] + b"\xf1"
    with pytest.raises(DriverError, match=r"^No Subbyte engine answers: expected magic b, got f$"):
        Driver(engine).identify()
    engine.identity = engine.identity[:3] + b"\xb7"
    with pytest.raises(DriverError, match=r"^Engine speaks protocol version 7, this driver 1$"):
        Driver(engine).identify()


def test_order_of_calls() -> None:
    driver = Driver(FakeEngine())
    with pytest.raises(DriverError, match=r"^No program is loaded; call load\(program\) first$"):
        driver.run()
    driver.load(program())
    with pytest.raises(DriverError, match=r"^Nothing has run yet$"):
        assert driver.cycles
    with pytest.raises(DriverError, match=r"^Tensor must be one of x, y, not 'z'$"):
        driver.read_tensor("z")


def test_serial_loop() -> None:
    with SerialTransport("loop://", 1_000_000, timeout=0.1) as port:
        port.send(b"subbyte")
        assert port.receive(7) == b"subbyte"
        port.send(b"abc")
        with pytest.raises(TimeoutError, match=r"^Serial port loop://: 3 of 4 bytes came within 0\.1 s$"):
            port.receive(4)


def test_serial_port_that_is_not_there() -> None:
    with pytest.raises(ConnectionError, match=r"^Cannot open serial port /dev/no-such-port: "):
        SerialTransport("/dev/no-such-port", 1_000_000)
