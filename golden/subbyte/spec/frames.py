"""Commands of the engine's byte stream and its answers.

A command is six bytes: op, address (3 bytes, little endian), count (2 bytes, little endian). Memories
are addressed in units of 16 bits; the top four bits of the address choose the space. Data bytes of a
unit come low byte first.

=========  ==========================================  =================================
op         then sent                                   answer
=========  ==========================================  =================================
WRITE      count units                                 none
READ       nothing                                     count units of main memory
RUN        nothing (address, count unused)             `COUNTERS` when the last result is written
IDENTIFY   nothing                                     `IDENTITY_BYTES` bytes
=========  ==========================================  =================================
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray


class Op(enum.IntEnum):
    """First byte of a command."""

    WRITE = 1
    READ = 2
    RUN = 3
    IDENTIFY = 4


class Space(enum.IntEnum):
    """Memory that an address belongs to: bits 23:20."""

    MAIN = 0  #: unit u holds bits 16*(u % 4) .. of word u // 4
    PARAMS = 1  #: unit 4*entry + column, columns 0..2 low bits first, column 3 ignored
    TABLES = 2  #: unit 32*slot + 16*odd + code
    LUTS = 3  #: unit (slot << lut_bits) + v


COUNTERS = ("cycles", "wait_weights", "wait_activations", "wait_requantizer")
"""Answer to RUN: each counter in 3 bytes, little endian, in clock cycles."""

COUNTER_BYTES = 3
HEADER_BYTES = 6
MAX_UNITS = 0xFFFF
MAGIC = b"SB"
PROTOCOL_VERSION = 1
IDENTITY_BYTES = 8
"""Answer to IDENTIFY: MAGIC, protocol version, 0, first four bytes of the engine's sha256 digest."""


def header(op: Op, space: Space = Space.MAIN, address: int = 0, count: int = 0) -> bytes:
    """Six bytes of a command. ValueError when address (20 bits) or count (16 bits) does not fit."""
    if not 0 <= address < 1 << 20:
        raise ValueError(f"Address must be in 0..{(1 << 20) - 1}, not {address}")
    if not 0 <= count <= MAX_UNITS:
        raise ValueError(f"Count must be in 0..{MAX_UNITS}, not {count}")
    return bytes([op]) + ((space << 20) | address).to_bytes(3, "little") + count.to_bytes(2, "little")


def write(space: Space, address: int, units: NDArray[np.uint16]) -> bytes:
    """WRITE commands for consecutive units, split where the count would overflow."""
    parts = []
    for start in range(0, len(units), MAX_UNITS):
        chunk = units[start : start + MAX_UNITS]
        parts.append(header(Op.WRITE, space, address + start, len(chunk)) + chunk.astype("<u2").tobytes())
    return b"".join(parts)


def read(address: int, count: int) -> bytes:
    """READ command for `count` units of main memory."""
    return header(Op.READ, Space.MAIN, address, count)


def parse_counters(answer: bytes) -> dict[str, int]:
    """Counters from the answer to RUN. ValueError on a wrong length."""
    if len(answer) != COUNTER_BYTES * len(COUNTERS):
        raise ValueError(f"Answer to RUN must have {COUNTER_BYTES * len(COUNTERS)} bytes, not {len(answer)}")
    return {
        name: int.from_bytes(answer[COUNTER_BYTES * i : COUNTER_BYTES * (i + 1)], "little")
        for i, name in enumerate(COUNTERS)
    }
