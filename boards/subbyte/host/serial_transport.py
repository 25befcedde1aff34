"""A serial port as `Transport`."""

from __future__ import annotations

from types import TracebackType

import serial


class SerialTransport:
    """Bytes over a serial port, 8N1, no flow control.

    Parameters
    ----------
    port : str
        /dev/ttyUSB1, or any URL of pyserial (loop://, socket://host:port).
    baud : int
        Bits per second, that of the board.
    timeout : float
        Seconds to wait for an answer; an inference must be over by then.

    ConnectionError when the port cannot be opened or goes away, TimeoutError when an answer stays out.
    """

    def __init__(self, port: str, baud: int, timeout: float = 10.0) -> None:
        self._port = port
        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, timeout=timeout)
        except (serial.SerialException, ValueError) as error:
            raise ConnectionError(f"Cannot open serial port {port}: {error}") from None
        self._serial.reset_input_buffer()

    def send(self, data: bytes) -> None:
        """Send all of `data`, in order."""
        try:
            self._serial.write(data)
            self._serial.flush()
        except serial.SerialException as error:
            raise ConnectionError(f"Serial port {self._port} failed: {error}") from None

    def receive(self, count: int) -> bytes:
        """Wait for exactly `count` bytes."""
        try:
            data = bytes(self._serial.read(count))
        except serial.SerialException as error:
            raise ConnectionError(f"Serial port {self._port} failed: {error}") from None
        if len(data) < count:
            raise TimeoutError(
                f"Serial port {self._port}: {len(data)} of {count} bytes came within {self._serial.timeout:g} s"
            )
        return data

    def close(self) -> None:
        """Release the port."""
        self._serial.close()

    def __enter__(self) -> SerialTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
