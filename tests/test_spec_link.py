"""Bodies of the link's frames."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.spec import frames, link
from subbyte.spec.frames import Counter, Space
from subbyte.spec.link import Answer, Status

WRITE = frames.write(Space.MAIN, 3, np.array([1, 2], dtype=np.uint16))


def test_request_of_a_write() -> None:
    body = link.request(7, WRITE)
    head, data = bytes([7]) + WRITE[:5], WRITE[5:]
    assert body[:6] == head and body[10:14] == data
    assert body[6:10] == zlib.crc32(head).to_bytes(4, "little")
    assert body[14:] == zlib.crc32(head + data).to_bytes(4, "little")


def test_request_without_data() -> None:
    head = b"\x01" + frames.run()
    assert link.request(1, frames.run()) == head + zlib.crc32(head).to_bytes(4, "little")


@pytest.mark.parametrize("sequence", [-1, 256, link.END, link.ESC])
def test_wrong_sequence(sequence: int) -> None:
    with pytest.raises(ValueError, match=rf"^Sequence must be in 0\.\.255, but not 192 or 219, not {sequence}$"):
        link.request(sequence, frames.run())


def test_sequences_follow_each_other() -> None:
    seen = [0]
    while (after := link.following(seen[-1])) != 0:
        seen.append(after)
    assert seen == [n for n in range(256) if n not in (link.END, link.ESC)]


def test_reset() -> None:
    assert link.reset() == bytes([0, 0, 0, 0, 0x80])
    assert link.reset(mark=True) == bytes([0, 0, 0, 0, 0xC0])


def test_answer_bytes() -> None:
    given = [WRITE, frames.read(0, 7), frames.run(Counter.WAIT_WEIGHTS), frames.identify(), link.reset()]
    assert [link.answer_bytes(command) for command in given] == [0, 14, 3, 4, 0]


def test_commands_are_divided() -> None:
    parts = [WRITE, frames.read(0, 7), frames.run(), WRITE]
    assert link.commands(b"".join(parts)) == parts
    assert link.commands(b"") == []


@pytest.mark.parametrize(("data", "count"), [(WRITE[:-1], 9), (frames.run()[:3], 5)])
def test_half_a_command(data: bytes, count: int) -> None:
    with pytest.raises(ValueError, match=rf"^Command must have {count} bytes, not {len(data)}$"):
        link.commands(frames.run() + data)


@given(st.integers(0, 255), st.binary(max_size=256), st.sampled_from([Status(0), Status.REFUSED, Status.MARKED]))
def test_answers(sequence: int, data: bytes, status: Status) -> None:
    body = link.answer(sequence, status, data)
    assert link.parse_answer(body) == Answer(sequence, link.VERSION, status, data)


@given(st.binary(max_size=20), st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_answers(data: bytes, place: int, change: int) -> None:
    """A byte that is another one, and every length that is too short."""
    body = bytearray(link.answer(5, Status(0), data))
    assert all(link.parse_answer(bytes(body[:length])) is None for length in range(6))
    body[place % len(body)] ^= change
    assert link.parse_answer(bytes(body)) is None
