"""Frames between host and board: an engine command each way, with a sequence number and checksums.

Bodies of frames, which SLIP (RFC 1055) delimits on the wire: `END` before and behind each, `END` and `ESC` inside
replaced by two bytes. The commands inside are those of `subbyte.spec.frames`.

=========  ======================================================================================================
request    sequence, command (`HEADER_BYTES`), CRC-32 of these; behind a WRITE its data, CRC-32 of sequence,
           command and data
answer     sequence of the request, status, data that the engine answered, CRC-32 of these
=========  ======================================================================================================

CRC-32 is that of zlib, low byte first. The command reaches the engine when its own checksum is right, before the data.
The first byte behind an `END` begins a request and cancels the one before: while that one is not answered, the engine
is reset, which keeps all memories. A request with the sequence number of the one before is a copy and is ignored.

Status: `VERSION` in the upper nibble, below it `REFUSED` and `MARKED`. RESET is a command of the link: the engine is
reset, and with `MARK` the mark is set that only the board's own reset takes away: what the memories held is then lost.

SPI carries a byte each way at a time, so whoever has nothing to send sends something else: the host `END`, between
frames, the board `PAUSE`, anywhere. A pause is no SLIP and not part of a frame.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass

from subbyte.spec.frames import HEADER_BYTES, Op

END = 0xC0
ESC = 0xDB
ESC_END = 0xDC
ESC_ESC = 0xDD
PAUSE = bytes([ESC, 0x00])

VERSION = 2
"""Of the link. Version 1 were the engine's bytes alone."""
CHECK_BYTES = 4
SEQUENCES = 256
RESET_BIT = 7
MARK_BIT = 6
"""Bits of a command's last byte."""
STATUS_VERSION_BIT = 4


class Status(enum.IntFlag):
    """Low bits of an answer's status."""

    REFUSED = 1  #: a checksum is wrong: no command was given, or data were written that must be written again
    MARKED = 2  #: the board has not been reset since RESET with MARK


@dataclass(frozen=True)
class Answer:
    """Body of an answer. `sequence`: that of the request; `version`: of the link; `data`: what the engine said."""

    sequence: int
    version: int
    status: Status
    data: bytes


def reset(mark: bool = False) -> bytes:
    """RESET command, for the link. `mark`: set the mark."""
    return bytes(HEADER_BYTES - 1) + bytes([1 << RESET_BIT | mark << MARK_BIT])


def answer_bytes(command: bytes) -> int:
    """Bytes of data in the answer to a command that is not refused."""
    count, op = command[0] + 1, command[HEADER_BYTES - 1]
    return 0 if op >> RESET_BIT or op & 3 == Op.WRITE else count


def commands(data: bytes) -> list[bytes]:
    """Consecutive commands of the engine, one by one, data of WRITE included. ValueError when the last is not whole."""
    parts, start = [], 0
    while start < len(data):
        header = data[start : start + HEADER_BYTES]
        writes = len(header) == HEADER_BYTES and header[-1] & 3 == Op.WRITE
        end = start + HEADER_BYTES + (header[0] + 1 if writes else 0)
        if end > len(data):
            raise ValueError(f"Command must have {end - start} bytes, not {len(data) - start}")
        parts.append(data[start:end])
        start = end
    return parts


def checksum(data: bytes) -> bytes:
    """CRC-32 as it is sent."""
    return zlib.crc32(data).to_bytes(CHECK_BYTES, "little")


def request(sequence: int, command: bytes) -> bytes:
    """Body of a request: one command, data of WRITE included. ValueError when `sequence` would be escaped."""
    if not 0 <= sequence < SEQUENCES or sequence in (END, ESC):
        raise ValueError(f"Sequence must be in 0..{SEQUENCES - 1}, but not {END} or {ESC}, not {sequence}")
    head = bytes([sequence]) + command[:HEADER_BYTES]
    data = command[HEADER_BYTES:]
    return head + checksum(head) + (data + checksum(head + data) if data else b"")


def following(sequence: int) -> int:
    """The sequence number after `sequence`."""
    sequence = (sequence + 1) % SEQUENCES
    return following(sequence) if sequence in (END, ESC) else sequence


def answer(sequence: int, status: Status, data: bytes = b"") -> bytes:
    """Body of an answer."""
    body = bytes([sequence, VERSION << STATUS_VERSION_BIT | status]) + data
    return body + checksum(body)


def parse_answer(body: bytes) -> Answer | None:
    """Inverse of `answer`; None when the checksum is wrong."""
    if len(body) < 2 + CHECK_BYTES or checksum(body[:-CHECK_BYTES]) != body[-CHECK_BYTES:]:
        return None
    version, status = divmod(body[1], 1 << STATUS_VERSION_BIT)
    return Answer(body[0], version, Status(status), body[2:-CHECK_BYTES])
