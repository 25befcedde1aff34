"""The link's transport and the driver on it, against a model of the board, with everything that a wire can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sliplib
from board_model import BoardModel, ModelLine
from hypothesis import given, settings
from hypothesis import strategies as st
from test_host_driver import FakeEngine, program

from subbyte.host.driver import Driver
from subbyte.host.errors import DriverError, LinkError, ProgramLostError
from subbyte.host.link_transport import LinkTransport
from subbyte.spec import frames, link
from subbyte.spec.frames import Space

LIMIT = bytes([link.END])
CODES = np.arange(60).reshape(3, 4, 5)


class Wire(ModelLine):
    """A line whose bytes to the board and back go through functions."""

    def __init__(self, board: BoardModel) -> None:
        super().__init__(board)
        self.there: Callable[[bytes], bytes] = lambda data: data
        self.back: Callable[[bytes], bytes] = lambda data: data

    def write(self, data: bytes) -> None:
        super().write(self.there(data))

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        return self.back(data) if data else data


def connected(**options: Any) -> tuple[FakeEngine, Wire, LinkTransport]:
    engine = FakeEngine()
    wire = Wire(BoardModel(engine))
    return engine, wire, LinkTransport(wire, **options)


def once(change: Callable[[bytes], bytes], turn: int = 0) -> Callable[[bytes], bytes]:
    """`change` for one call, the `turn`th, and nothing for the others."""
    calls = iter(range(1_000_000))
    return lambda data: change(data) if next(calls) == turn else data


def changed(body: Callable[[link.Answer], bytes]) -> Callable[[bytes], bytes]:
    """Other answers in place of those that come, well framed."""

    def change(data: bytes) -> bytes:
        answer = link.parse_answer(sliplib.decode(data.strip(LIMIT)))
        assert answer is not None
        return LIMIT + sliplib.encode(body(answer)) + LIMIT

    return change


def test_inference_without_faults() -> None:
    engine, wire, transport = connected()
    driver = Driver(transport, program())
    assert (driver.batch(np.stack([CODES, CODES + 1])) == np.stack([CODES, CODES + 1])).all()
    assert driver.identify().link == link.VERSION
    driver.reset()
    assert engine.runs == 2 and wire.now() < 0.2


@pytest.mark.parametrize("turn", range(12))
@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("change", [
    pytest.param(lambda data: b"", id="lost"),
    pytest.param(lambda data: data[: len(data) // 2], id="cut"),
    pytest.param(lambda data: data + data, id="twice"),
    pytest.param(lambda data: bytes([data[0], data[1], data[2] ^ 8]) + data[3:], id="flip"),
    pytest.param(lambda data: b"\xc0\xdbsomething\xc0" + data, id="garbage"),
])
def test_one_fault(change: Callable[[bytes], bytes], way: str, turn: int) -> None:
    """In whatever exchange it happens, the answer is right."""
    engine, wire, transport = connected()
    driver = Driver(transport, program())
    setattr(wire, way, once(change, turn))
    start = wire.now()
    for shift in range(3):
        assert (driver.infer(CODES + shift) == CODES + shift).all()
    assert wire.now() - start < 12


def test_a_dead_wire_is_told_in_time() -> None:
    engine, wire, transport = connected(timeout=0.1, attempts=3)
    driver = Driver(transport, program())
    wire.there = lambda data: b""
    start = wire.now()
    with pytest.raises(LinkError, match=r"^No valid answer to RESET: nothing came in 0\.1\d* s \(3 attempts\)$"):
        driver.infer(CODES)
    assert wire.now() - start < 3 * 3 * 0.11
    wire.there = lambda data: data
    assert (driver.infer(CODES) == CODES).all()


def test_endless_garbage_ends() -> None:
    engine, wire, transport = connected(timeout=0.1, run_timeout=1.0, attempts=2)
    wire.read = lambda seconds: (setattr(wire, "_now", wire._now + 0.01), b"\xc0ab")[1]  # type: ignore[method-assign]
    for command, message in (
        (frames.identify(), r"^No valid answer to IDENTIFY: \d+ bytes came, \d+ damaged frames \(2 attempts\)$"),
        (frames.run(), r"^No valid answer to RUN: \d+ bytes came, \d+ damaged frames$"),
    ):
        start = wire.now()
        with pytest.raises(LinkError, match=message):
            transport.send(command)
        assert wire.now() - start < 1.5


def test_a_run_is_never_sent_twice() -> None:
    """It may have overwritten its input."""
    engine, wire, transport = connected()
    driver = Driver(transport, program())
    wire.back = once(lambda data: b"")
    with pytest.raises(LinkError, match=r"^No valid answer to RUN: "):
        driver.run()
    assert engine.runs == 1


def test_refused_forever() -> None:
    engine, wire, transport = connected(attempts=2)
    wire.there = lambda data: data[:3] + bytes([data[3] ^ 1]) + data[4:]
    with pytest.raises(
        LinkError, match=r"^No valid answer to IDENTIFY: the board received a wrong checksum \(2 attempts\)$"
    ):
        Driver(transport).identify()


def test_answers_that_are_too_short() -> None:
    engine, wire, transport = connected(attempts=1)
    wire.back = changed(lambda answer: link.answer(answer.sequence, answer.status, answer.data[:-1]))
    with pytest.raises(LinkError, match=r"^No valid answer to IDENTIFY: it has 3 bytes, not 4$"):
        transport.send(frames.identify())


def test_another_version() -> None:
    engine, wire, transport = connected()

    def newer(answer: link.Answer) -> bytes:
        body = bytes([answer.sequence, 7 << link.STATUS_VERSION_BIT]) + answer.data
        return body + link.checksum(body)

    wire.back = changed(newer)
    with pytest.raises(LinkError, match=r"^Board speaks version 7 of the link, this driver 2$"):
        transport.send(frames.identify())


def test_receive_of_what_was_not_asked_for() -> None:
    engine, wire, transport = connected()
    transport.send(frames.identify())
    with pytest.raises(LinkError, match=r"^Answers have 4 bytes, not 5: too few were asked for$"):
        transport.receive(5)
    transport.send(frames.run())
    assert len(transport.receive(3)) == 3


def test_a_board_that_was_reset_is_loaded_again() -> None:
    """Between inferences, and between the commands of one; what was lost is noticed although word 0 is still right."""
    engine, wire, transport = connected()
    driver = Driver(transport, program())
    for turn in (None, 0, 1, 2, 3):
        engine.memory[Space.TABLES][:] = 9

        def reset(data: bytes) -> bytes:
            wire.board.reset()
            return data

        if turn is None:
            wire.board.reset()
        else:
            wire.there = once(reset, turn)
        assert (driver.infer(CODES) == CODES).all()
        assert (engine.memory[Space.TABLES][:32] == np.arange(32)).all(), turn


def test_a_reset_during_a_load() -> None:
    engine, wire, transport = connected()
    driver = Driver(transport)

    def reset(data: bytes) -> bytes:
        wire.board.reset()
        return data

    wire.there = once(reset, 6)
    with pytest.raises(ProgramLostError, match=r"^The board was reset, its program is lost; load it again$"):
        driver.load(program())
    with pytest.raises(DriverError, match=r"^No program is loaded"):
        driver.infer(CODES)
    driver.load(program())
    assert (driver.infer(CODES) == CODES).all()


def test_attach_after_a_reset() -> None:
    """Word 0 may outlive a reset that took the tables."""
    engine, wire, transport = connected()
    Driver(transport, program())
    Driver(transport).attach(program())
    wire.board.reset()
    assert Driver(transport).identify().program is None
    with pytest.raises(ProgramLostError, match=r"^The board was reset"):
        Driver(transport).attach(program())


def test_a_corrupted_load_is_refused() -> None:
    """A wire that damages all data of more than 100 bytes: the load fails, and no program is there."""
    engine, wire, transport = connected()
    wire.there = lambda data: data[:60] + bytes([data[60] ^ 4]) + data[61:] if len(data) > 61 else data
    message = r"^No valid answer to WRITE: the board received a wrong checksum \(4 attempts\)$"
    with pytest.raises(LinkError, match=message):
        Driver(transport, program())
    wire.there = lambda data: data
    assert Driver(transport).identify().program is None


@settings(max_examples=60)
@given(st.data())
def test_random_faults(data: st.DataObject) -> None:
    """Bytes changed, lost, doubled, invented, on both ways: the right answer or an error; then all is well again."""
    engine, wire, transport = connected(timeout=0.05, run_timeout=0.1)
    driver = Driver(transport, program())
    rate = data.draw(st.sampled_from([0.001, 0.01, 0.05]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))

    def noisy(sent: bytes) -> bytes:
        out = bytearray()
        for byte in sent:
            kind = rng.integers(0, 4) if rng.random() < rate else None
            changed = byte ^ 1 << int(rng.integers(0, 8))
            out.extend({None: [byte], 0: [changed], 1: [], 2: [byte, byte], 3: [int(rng.integers(0, 256)), byte]}[kind])
        return bytes(out)

    wire.there = wire.back = noisy
    start = wire.now()
    try:
        for shift in range(3):
            assert (driver.infer(CODES + shift) == CODES + shift).all()
    except DriverError:
        pass
    assert wire.now() - start < 20
    wire.there = wire.back = lambda sent: sent
    driver.load(program())
    assert (driver.infer(CODES) == CODES).all()

