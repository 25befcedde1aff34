"""What a driver talks through.

`Transport` carries commands and answers, `Line` is the wire under a framed one, `Bus` what a polled line is made of.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Transport(Protocol):
    """Ordered bytes both ways, nothing lost, nothing framed."""

    def send(self, data: bytes) -> None:
        """Send all of `data`, whole commands, in order."""

    def receive(self, count: int) -> bytes:
        """Wait for exactly `count` bytes. TimeoutError when they do not come."""
        ...


@runtime_checkable
class ResettingTransport(Transport, Protocol):
    """A transport that can reset the engine, and knows when somebody else did."""

    def reset(self, mark: bool = False) -> None:
        """Reset the engine; all memories stay. `mark`: set the mark."""

    @property
    def marked(self) -> bool:
        """At the last answer: the board had not been reset since the mark was set."""
        ...

    @property
    def version(self) -> int:
        """Of the protocol that both sides speak."""
        ...


class Line(Protocol):
    """Bytes both ways that may be lost, changed or invented. Its time is its own: a simulation has another than we."""

    @property
    def byte_seconds(self) -> float:
        """Time that a byte takes."""
        ...

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`, in order."""

    def read(self, seconds: float) -> bytes:
        """What has come; waits for the first byte, `seconds` at most. Empty when none came."""
        ...


class Bus(Protocol):
    """Bytes that are exchanged: the other side sends one with each that it is sent."""

    @property
    def byte_seconds(self) -> float:
        """Time that a byte takes."""
        ...

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def exchange(self, data: bytes) -> bytes:
        """Send `data`, one byte at least; what came meanwhile, as many bytes."""
        ...
