"""A board without gateware behind SPI: as `Bus`, and as the module spidev."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from board_model import BoardModel

from subbyte.spec.link import PAUSE

DEVICE = "/dev/spidev0.0"
"""The only one of `fake_spidev`."""


class ModelBus:
    """A `Bus` to a board in memory. `there` and `back` are what happens to the bytes of an exchange."""

    byte_seconds = 8e-6

    def __init__(self, board: BoardModel) -> None:
        self.board = board
        self.there: Callable[[bytes], bytes] = lambda data: data
        self.back: Callable[[bytes], bytes] = lambda data: data
        self.lengths: list[int] = []
        self._now = 0.0
        self._pause = b""  # the rest of one

    def now(self) -> float:
        return self._now

    def exchange(self, data: bytes) -> bytes:
        came = bytearray()
        for byte in self.there(data):
            came.append(self._next())
            self.board.receive(bytes([byte]))
        self.lengths.append(len(data))
        self._now += len(data) * self.byte_seconds
        return self.back(bytes(came))

    def _next(self) -> int:
        """The byte that is ready when the host's comes."""
        if not self._pause and self.board.sent:
            return self.board.sent.pop(0)
        pause = self._pause or PAUSE
        self._pause = pause[1:]
        return pause[0]


def fake_spidev(monkeypatch: pytest.MonkeyPatch, bus: ModelBus) -> ModuleType:
    """The module, with one device at `DEVICE`; its `devices` are those that were made."""

    class SpiDev:
        """What the tests need of spidev 3.8, with its checks."""

        def __init__(self) -> None:
            self.path, self.mode, self.bits_per_word, self.max_speed_hz = "", 3, 0, 0
            module.devices.append(self)

        def open_path(self, path: str) -> None:
            if path != DEVICE:
                raise OSError(2, "No such file or directory")
            self.path = path

        def xfer2(self, values: list[int]) -> list[int]:
            assert isinstance(values, list) and 0 < len(values) <= 4096
            assert (self.path, self.mode, self.bits_per_word) == (DEVICE, 0, 8)
            return list(bus.exchange(bytes(values)))

        def close(self) -> None:
            self.path = ""

    module = ModuleType("spidev")
    module.__spec__ = ModuleSpec("spidev", None)
    module.SpiDev, module.devices = SpiDev, []
    monkeypatch.setitem(sys.modules, "spidev", module)
    monkeypatch.delitem(sys.modules, "subbyte.host.spi_bus", raising=False)
    return module
