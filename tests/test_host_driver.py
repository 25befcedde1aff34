"""The driver against an engine in memory that speaks the frames, and the serial line on a loop."""

from __future__ import annotations

import dataclasses
import os
import pty
import tty

import numpy as np
import pytest

from subbyte.host.driver import Driver, Identity
from subbyte.host.errors import DriverError, LinkError
from subbyte.host.link_transport import LinkTransport
from subbyte.host.serial_line import SerialLine
from subbyte.spec import frames, link
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.frames import SPACE_BIT, Counter, Op, Space
from subbyte.spec.program import Program, TensorLayout
from subbyte.spec.program_digest import program_digest, word_zero

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
    assert (main[4:8] == loaded.descriptor_words().view("<u2")[4:]).all()
    assert (main[:4] == word_zero(loaded.descriptor_words()[:1].view("<u2"), program_digest(loaded))).all()
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


def test_taps_that_fail_leave_no_part_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tensors share words, parts are loaded one after the other; a part must not pass for the whole."""
    whole, codes = program(), np.zeros((3, 4, 5), dtype=np.int64)
    monkeypatch.setattr(type(whole), "prefixes", lambda one: [(dataclasses.replace(one), ["x"]), (one, ["y"])])
    driver = Driver(FakeEngine(), whole)
    assert list(driver.infer_taps(codes)) == ["x", "y"]
    assert driver.program is whole
    monkeypatch.setattr(driver, "read_tensor", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        driver.infer_taps(codes)
    with pytest.raises(DriverError, match="No program is loaded"):
        driver.infer(codes)


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


def test_identify() -> None:
    engine, loaded = FakeEngine(), program()
    assert Driver(engine).identify() == Identity(ENGINE.digest()[:6], None, None)
    Driver(engine, loaded)
    assert Driver(engine).identify().program == f"{program_digest(loaded):08x}"


def test_another_program_is_refused() -> None:
    engine = FakeEngine()
    first, second = Driver(engine, program()), Driver(engine)
    second.load(program(pinned=False))
    with pytest.raises(DriverError, match=r"^The device holds program \w{8}, not program \w{8}; load it again$"):
        first.infer(np.zeros((3, 4, 5), dtype=np.int64))
    with pytest.raises(DriverError, match=r"^The device holds program \w{8}, not program \w{8}; load it again$"):
        second.attach(program())
    second.attach(program(pinned=False))


def test_half_a_program_is_none() -> None:
    """Whatever command of a load is the last one."""
    whole = FakeEngine()
    commands: list[bytes] = []
    whole.send = lambda data: commands.extend(link.commands(data))  # type: ignore[method-assign]
    whole.answer = frames.identity(ENGINE.digest()) + bytes(8)
    Driver(whole, program())
    writes = [command for command in commands if command[-1:] and command[4] & 3 == Op.WRITE]
    for count in range(1, len(writes)):
        engine = FakeEngine()
        Driver(engine, program(pinned=False))
        engine.send(b"".join(writes[:count]))
        for one in (program(), program(pinned=False)):
            with pytest.raises(DriverError, match=r"^The device holds no whole program, not program \w{8}; load it"):
                Driver(engine).attach(one)


def test_reload_writes_what_differs() -> None:
    engine, one = FakeEngine(), program()
    driver = Driver(engine, one)
    engine.memory[Space.TABLES][0] = 12345  # not written again
    other = program(weights=one.weights + np.uint64(1))
    driver.reload(other)
    assert engine.memory[Space.TABLES][0] == 12345
    assert (engine.memory[Space.MAIN][4 * (ENGINE.memory_words - 8) :][:32].view("<u8") == np.arange(1, 9)).all()
    assert driver.program is other
    driver.infer(np.zeros((3, 4, 5), dtype=np.int64))
    with pytest.raises(DriverError, match=r"^Program must be for engine up5k, not up5k-plain$"):
        driver.reload(program(engine=PRESETS["up5k-plain"]))


def test_batch_and_counters(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 256, (3, 3, 4, 5))
    driver = Driver(FakeEngine(), program())
    assert (driver.batch(codes) == codes).all()
    assert driver.counters(codes[0]) == {
        Counter.CYCLES: 1004, Counter.WAIT_WEIGHTS: 20, Counter.WAIT_ACTIVATIONS: 30, Counter.WAIT_REQUANTIZER: 40
    }


def test_a_raw_transport_cannot_reset() -> None:
    with pytest.raises(DriverError, match=r"^This transport cannot reset the engine; use the reset of its bus$"):
        Driver(FakeEngine()).reset()


def test_serial_loop() -> None:
    with SerialLine("loop://", 1_000_000) as port:
        port.write(b"subbyte")
        assert port.read(0.1) == b"subbyte"
        assert port.read(0.01) == b""


def test_serial_port_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pty that nobody reads from, filled up."""
    monkeypatch.setattr("subbyte.host.serial_line.WRITE_SECONDS", 0.1)
    host, device = pty.openpty()
    tty.setraw(device)
    try:
        with SerialLine(os.ttyname(device), 1_000_000) as port:
            with pytest.raises(ConnectionError, match=r"^Cannot open serial port /dev/pts/\d+: another program uses"):
                SerialLine(os.ttyname(device), 1_000_000)
            with pytest.raises(ConnectionError, match=r"^Serial port /dev/pts/\d+ failed: Write timeout$"):
                port.write(bytes(1 << 20))
            os.close(host)
            with pytest.raises(ConnectionError, match=r"^Serial port /dev/pts/\d+ failed: "):
                port.read(0.1)
    finally:
        os.close(device)


def test_serial_port_that_is_not_there() -> None:
    with pytest.raises(ConnectionError, match=r"^Cannot open serial port /dev/no-such-port: it does not exist$"):
        SerialLine("/dev/no-such-port", 1_000_000)


def test_socket_without_a_port() -> None:
    with pytest.raises(ConnectionError, match=r"^Serial port socket://board must be socket://HOST:PORT$"):
        SerialLine("socket://board", 1_000_000)


def test_an_echo_is_no_board() -> None:
    with SerialLine("loop://", 1_000_000) as port:
        with pytest.raises(LinkError, match=r"^No board answers: the port sends back what it was sent$"):
            LinkTransport(port).reset()


def test_serial_port_at_a_rate_that_no_number_holds() -> None:
    host, device = pty.openpty()
    try:
        with pytest.raises(ConnectionError, match=r"^Cannot open serial port /dev/pts/\d+: "):
            SerialLine(os.ttyname(device), 10**20)
    finally:
        os.close(host)
        os.close(device)
