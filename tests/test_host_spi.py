"""SPI from the host: the driver on a polled line, with what can go wrong on the wires, and the Linux device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from board_model import BoardModel
from spi_model import DEVICE, ModelBus, fake_spidev
from test_host_driver import FakeEngine, program
from test_host_link import CODES, once

from subbyte.host import spi_line
from subbyte.host.driver import Driver
from subbyte.host.errors import LinkError
from subbyte.host.link_transport import LinkTransport
from subbyte.host.spi_line import EXCHANGE_BYTES, SpiLine
from subbyte.spec import frames, link
from subbyte.spec.frames import Space


def connected(**options: Any) -> tuple[FakeEngine, ModelBus, LinkTransport]:
    engine = FakeEngine()
    bus = ModelBus(BoardModel(engine))
    return engine, bus, LinkTransport(SpiLine(bus), **options)


@pytest.mark.parametrize("poll", [1, 3, 32])
def test_inference(poll: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the exchanges are, and wherever they break the pauses."""
    monkeypatch.setattr(spi_line, "POLL", bytes([link.END]) * poll)
    engine, bus, transport = connected()
    driver = Driver(transport, program())
    for _ in range(4):
        codes = rng.integers(0, 256, (3, 4, 5))
        assert (driver.infer(codes) == codes).all()
    assert engine.runs == 4 and bus.now() < 0.2


@pytest.mark.parametrize("turn", range(12))
@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("change", [
    pytest.param(lambda data: bytes(len(data)), id="zeros"),
    pytest.param(lambda data: b"\xff" * len(data), id="ones"),
    pytest.param(lambda data: (int.from_bytes(data) >> 1).to_bytes(len(data)), id="a bit late"),
    pytest.param(lambda data: data[: len(data) // 2] + bytes(-(-len(data) // 2)), id="cut"),
    pytest.param(lambda data: bytes([data[0] ^ 8]) + data[1:], id="flip"),
])
def test_one_fault(change: Callable[[bytes], bytes], way: str, turn: int) -> None:
    """In whatever exchange it happens, the answer is right."""
    engine, bus, transport = connected()
    driver = Driver(transport, program())
    setattr(bus, way, once(change, turn))
    start = bus.now()
    for shift in range(3):
        assert (driver.infer(CODES + shift) == CODES + shift).all()
    assert bus.now() - start < 12


def test_a_board_that_was_reset_is_loaded_again() -> None:
    engine, bus, transport = connected()
    driver = Driver(transport, program())
    bus.board.reset()
    engine.memory[Space.TABLES][:] = 9
    assert (driver.infer(CODES) == CODES).all()
    assert (engine.memory[Space.TABLES][:32] == np.arange(32)).all()


def test_a_board_that_only_pauses() -> None:
    engine, bus, transport = connected(timeout=0.1, attempts=2)
    bus.there = lambda data: bytes([link.END]) * len(data)
    with pytest.raises(LinkError, match=r"^No valid answer to IDENTIFY: nothing came in 0\.1\d* s \(2 attempts\)$"):
        Driver(transport).identify()
    assert bus.now() < 0.25


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_no_board(level: int) -> None:
    """Whatever the open wire reads as."""
    engine, bus, transport = connected(timeout=0.05, attempts=2)
    bus.back = lambda data: bytes([level]) * len(data)
    message = r"^No valid answer to IDENTIFY: \d+ bytes came, 0 damaged frames \(2 attempts\)$"
    with pytest.raises(LinkError, match=message):
        transport.send(frames.identify())
    assert bus.now() < 0.15


def test_what_comes_while_the_host_writes() -> None:
    """Is there without a poll. What is longer than an exchange takes several."""
    board = BoardModel(FakeEngine())
    bus = ModelBus(board)
    line = SpiLine(bus)
    board.sent += bytes(range(200))
    line.write(bytes([link.END]) * (EXCHANGE_BYTES + 1))
    assert bus.lengths == [EXCHANGE_BYTES, 1]
    assert line.read(1.0) == bytes(range(200))
    assert len(bus.lengths) == 2
    assert line.read(1e-3) == b"" and bus.now() < (EXCHANGE_BYTES + 1) * bus.byte_seconds + 1.5e-3


def test_the_linux_device(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    module = fake_spidev(monkeypatch, ModelBus(BoardModel(engine)))
    from subbyte.host.spi_bus import SpiBus

    with SpiBus(DEVICE, 5_000_000) as bus:
        assert bus.byte_seconds == 8 / 5_000_000
        assert (Driver(LinkTransport(SpiLine(bus)), program()).infer(CODES) == CODES).all()
        (device,) = module.devices
        assert device.max_speed_hz == 5_000_000
        monkeypatch.setattr(device, "xfer2", lambda values: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(ConnectionError, match=rf"^SPI device {DEVICE} failed: Input/output error$"):
            bus.exchange(b"\xc0")
    assert device.path == ""
    with pytest.raises(ConnectionError, match=r"^Cannot open SPI device /dev/spidev9.0: it does not exist$"):
        SpiBus("/dev/spidev9.0", 1_000_000)
    monkeypatch.setattr(module.SpiDev, "open_path", lambda *_: (_ for _ in ()).throw(OSError(13, "Permission denied")))
    with pytest.raises(ConnectionError, match=r"permission denied; the user must be in its group, often spi, or have"):
        SpiBus(DEVICE, 1_000_000)
