"""Commands of the engine's byte stream and its answers.

A command is five bytes: count, address (3 bytes, little endian), op. The count is that of the bytes which are then
sent or answered, less one. Memories are addressed in bytes, but written in *units* of 16 bits, low byte first; the
top four bits of the address choose the space.

=========  ========================  =================================================================
op         then sent                 answer
=========  ========================  =================================================================
WRITE      count bytes, whole units  none
READ       nothing                   count bytes of main memory
RUN        nothing                   `COUNTER_BYTES` bytes, little endian, when the last result is
                                     written: the address plus the clock cycles that the run counted
IDENTIFY   nothing                   `identity`, `IDENTITY_BYTES` bytes
=========  ========================  =================================================================

The op is in the low two bits of its byte; bits 5:4 choose the `Counter` of RUN. A run counts one thing: who wants to
know all of them runs again, for runs of one input take the same cycles, once the weights are resident.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class Op(enum.IntEnum):
    """Low two bits of a command's last byte."""

    WRITE = 0
    READ = 1
    RUN = 2
    IDENTIFY = 3


class Counter(enum.IntEnum):
    """Clock cycles that a run counts: bits 5:4 of the last byte of RUN."""

    CYCLES = 0  #: all, from the start to the last result written
    WAIT_WEIGHTS = 1  #: those in which the array waited for weights
    WAIT_ACTIVATIONS = 2  #: for activations
    WAIT_REQUANTIZER = 3  #: for the requantizer


class Space(enum.IntEnum):
    """Memory that an address belongs to: bits 23:20. Units are 16 bits, unit u at byte 2*u."""

    MAIN = 0  #: unit u holds bits 16*(u % 4) .. of word u // 4
    PARAMS = 1  #: unit 4*entry + column, low bits first, bits beyond an entry's ignored; nothing with `param_stream`
    TABLES = 2  #: unit 32*slot + 16*odd + code
    LUTS = 3  #: unit (slot << lut_bits) + v


COUNTER_BYTES = 3
HEADER_BYTES = 5
UNIT_BYTES = 2
MAX_UNITS = 128
"""Units of one command."""
SPACE_BIT = 20
COUNTER_BIT = 4
MAGIC = 0xB
PROTOCOL_VERSION = 1
DIGEST_BYTES = 3
IDENTITY_BYTES = DIGEST_BYTES + 1


def identity(digest: str) -> bytes:
    """Answer to IDENTIFY: first three bytes of the engine's sha256 digest; MAGIC, PROTOCOL_VERSION in a nibble each."""
    return bytes.fromhex(digest)[:DIGEST_BYTES] + bytes([MAGIC << 4 | PROTOCOL_VERSION])


def _command(op: int, address: int, count: int) -> bytes:
    return bytes([count - 1]) + address.to_bytes(3, "little") + bytes([op])


def _transfer(op: Op, space: Space, address: int, units: int) -> bytes:
    """READ or WRITE of `units` units from unit `address`. ValueError when one of them does not fit."""
    if not 0 <= address < 1 << (SPACE_BIT - 1):
        raise ValueError(f"Address must be in 0..{(1 << (SPACE_BIT - 1)) - 1}, not {address}")
    if not 1 <= units <= MAX_UNITS:
        raise ValueError(f"Units must be 1..{MAX_UNITS}, not {units}")
    return _command(op, space << SPACE_BIT | UNIT_BYTES * address, UNIT_BYTES * units)


def bursts(address: int, units: int) -> Iterator[tuple[int, int]]:
    """Consecutive units, divided where the count of a command would overflow: (address, units) of each part."""
    for start in range(0, units, MAX_UNITS):
        yield address + start, min(MAX_UNITS, units - start)


def write(space: Space, address: int, units: NDArray[np.uint16]) -> bytes:
    """WRITE commands for consecutive units from unit `address`."""
    parts = []
    for start, count in bursts(address, len(units)):
        data = units[start - address :][:count].astype("<u2").tobytes()
        parts.append(_transfer(Op.WRITE, space, start, count) + data)
    return b"".join(parts)


def read(address: int, units: int) -> bytes:
    """READ command for one of the `bursts` of main memory. The engine takes the next one after its answer."""
    return _transfer(Op.READ, Space.MAIN, address, units)


def read_bytes(address: int, count: int) -> bytes:
    """READ command for `count` bytes of main memory from byte `address`, which need be no whole units.

    ValueError when one of them does not fit.
    """
    if not 0 <= address < 1 << SPACE_BIT:
        raise ValueError(f"Byte address must be in 0..{(1 << SPACE_BIT) - 1}, not {address}")
    if not 1 <= count <= UNIT_BYTES * MAX_UNITS:
        raise ValueError(f"Bytes must be 1..{UNIT_BYTES * MAX_UNITS}, not {count}")
    return _command(Op.READ, Space.MAIN << SPACE_BIT | address, count)


def run(counter: Counter = Counter.CYCLES) -> bytes:
    """RUN command that counts from 0."""
    return _command(counter << COUNTER_BIT | Op.RUN, 0, COUNTER_BYTES)


def identify() -> bytes:
    """IDENTIFY command."""
    return _command(Op.IDENTIFY, 0, IDENTITY_BYTES)


def parse_count(answer: bytes) -> int:
    """Cycles from the answer to RUN. ValueError on a wrong length."""
    if len(answer) != COUNTER_BYTES:
        raise ValueError(f"Answer to RUN must have {COUNTER_BYTES} bytes, not {len(answer)}")
    return int.from_bytes(answer, "little")
