"""`Transport`: the byte pipe that a driver talks through; serial port and simulation implement it."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Ordered bytes both ways, nothing lost, nothing framed."""

    def send(self, data: bytes) -> None:
        """Send all of `data`, in order."""

    def receive(self, count: int) -> bytes:
        """Wait for exactly `count` bytes. TimeoutError when they do not come."""
        ...
