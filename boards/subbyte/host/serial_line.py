"""A serial port as `Line`."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from types import TracebackType

import serial

from subbyte.host.reasons import reason

BITS_PER_BYTE = 10
WRITE_SECONDS = 10.0
"""After which a port that takes no bytes has failed."""
GROUP = "dialout"


class SerialLine:
    """Bytes over a serial port, 8N1, no flow control.

    Parameters
    ----------
    port : str
        /dev/ttyUSB1, or any URL of pyserial (loop://, socket://host:port).
    baud : int
        Bits per second, that of the board.

    ConnectionError when the port cannot be opened or goes away.
    """

    def __init__(self, port: str, baud: int) -> None:
        self._port = port
        self.byte_seconds = BITS_PER_BYTE / baud
        if port.startswith("socket://") and not re.search(r":\d+$", port):
            raise ConnectionError(f"Serial port {port} must be socket://HOST:PORT")
        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, write_timeout=WRITE_SECONDS, exclusive=True)
            self._serial.reset_input_buffer()
        except (OSError, ValueError, OverflowError) as error:  # SerialException is an OSError
            raise ConnectionError(f"Cannot open serial port {port}: {reason(error, GROUP)}") from None
        with suppress(AttributeError, OSError, ValueError):  # not every port has it
            # An FTDI adapter keeps what came for 16 ms otherwise, in each exchange.
            self._serial.set_low_latency_mode(True)

    @staticmethod
    def now() -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def write(self, data: bytes) -> None:
        """Send all of `data`, in order."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise ConnectionError(f"Serial port {self._port} failed: {reason(error, GROUP)}") from None

    def read(self, seconds: float) -> bytes:
        """What has come; waits for the first byte, `seconds` at most. Empty when none came."""
        try:
            self._serial.timeout = seconds
            first = bytes(self._serial.read(1))
            return first + bytes(self._serial.read(self._serial.in_waiting)) if first else b""
        except OSError as error:
            raise ConnectionError(f"Serial port {self._port} failed: {reason(error, GROUP)}") from None

    def close(self) -> None:
        """Release the port."""
        self._serial.close()

    def __enter__(self) -> SerialLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
