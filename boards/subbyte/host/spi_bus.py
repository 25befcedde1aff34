"""A Linux SPI device (/dev/spidev0.0) as `Bus`. Needs the extra `spi`."""

from __future__ import annotations

import time
from types import TracebackType

import spidev

from subbyte.host.reasons import reason

GROUP = "spi"


class SpiBus:
    """Mode 0, eight bits, most significant bit first, the device selected during each exchange.

    Parameters
    ----------
    path : str
    hz : int
        Clock; Linux takes the next lower one that the host has.

    ConnectionError when the device cannot be opened or goes away.
    """

    def __init__(self, path: str, hz: int) -> None:
        self._path = path
        self.byte_seconds = 8 / hz
        self._device = spidev.SpiDev()
        try:
            self._device.open_path(path)
            self._device.mode = 0
            self._device.bits_per_word = 8
            self._device.max_speed_hz = hz
        except OSError as error:
            self._device.close()
            raise ConnectionError(f"Cannot open SPI device {path}: {reason(error, GROUP)}") from None

    @staticmethod
    def now() -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def exchange(self, data: bytes) -> bytes:
        """Send `data`, 1 to 4096 bytes; what came meanwhile, as many bytes."""
        try:
            return bytes(self._device.xfer2(list(data)))
        except OSError as error:
            raise ConnectionError(f"SPI device {self._path} failed: {reason(error, GROUP)}") from None

    def close(self) -> None:
        """Release the device."""
        self._device.close()

    def __enter__(self) -> SpiBus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
