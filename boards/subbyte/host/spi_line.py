"""SPI as `Line`: the board answers only while the host sends, so the host polls."""

from __future__ import annotations

from subbyte.spec.link import END, ESC, PAUSE
from subbyte.spec.transport import Bus

POLL = bytes([END]) * 32
"""Says nothing. The shortest answer has 8 bytes."""
EXCHANGE_BYTES = 4096
"""Most that Linux takes at a time unless it is told otherwise."""


class SpiLine:
    """Bytes over a bus, without the board's pauses.

    Parameters
    ----------
    bus : Bus
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.byte_seconds = bus.byte_seconds
        self._came = b""
        self._half = b""  # of a pause, perhaps

    def now(self) -> float:
        """Seconds since some moment."""
        return self._bus.now()

    def write(self, data: bytes) -> None:
        """Send all of `data`, in order. What comes meanwhile is kept."""
        for start in range(0, len(data), EXCHANGE_BYTES):
            self._exchange(data[start : start + EXCHANGE_BYTES])

    def read(self, seconds: float) -> bytes:
        """What has come; polls until the first byte, `seconds` at most. Empty when none came."""
        end = self.now() + seconds
        while not self._came and self.now() < end:
            self._exchange(POLL)
        data, self._came = self._came, b""
        return data

    def _exchange(self, data: bytes) -> None:
        came = self._half + self._bus.exchange(data)
        self._half = came[-1:] if came.endswith(bytes([ESC])) else b""
        # In SLIP no `ESC` is followed by a zero, so this takes away nothing else.
        self._came += came.removesuffix(self._half).replace(PAUSE, b"")
