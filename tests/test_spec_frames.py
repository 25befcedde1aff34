"""Bytes of the commands and answers."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.spec.frames import MAX_UNITS, Op, Space, header, parse_counters, read, write


def test_header() -> None:
    assert header(Op.RUN) == bytes([3, 0, 0, 0, 0, 0])
    assert header(Op.WRITE, Space.LUTS, 0x12345, 0xABCD) == bytes([1, 0x45, 0x23, 0x31, 0xCD, 0xAB])


@pytest.mark.parametrize("address", [-1, 1 << 20])
def test_header_wrong_address(address: int) -> None:
    with pytest.raises(ValueError, match=rf"^Address must be in 0\.\.1048575, not {address}$"):
        header(Op.READ, Space.MAIN, address, 1)


@pytest.mark.parametrize("count", [-1, 1 << 16])
def test_header_wrong_count(count: int) -> None:
    with pytest.raises(ValueError, match=rf"^Count must be in 0\.\.65535, not {count}$"):
        header(Op.READ, Space.MAIN, 0, count)


def test_read() -> None:
    assert read(5, 7) == header(Op.READ, Space.MAIN, 5, 7)


def test_write_is_little_endian() -> None:
    data = write(Space.PARAMS, 2, np.array([0x0102, 0xFF00], dtype=np.uint16))
    assert data == header(Op.WRITE, Space.PARAMS, 2, 2) + bytes([0x02, 0x01, 0x00, 0xFF])


def test_write_splits() -> None:
    units = (np.arange(MAX_UNITS + 3) % 65536).astype(np.uint16)
    data = write(Space.MAIN, 16, units)
    second = 6 + 2 * MAX_UNITS
    assert data[:6] == header(Op.WRITE, Space.MAIN, 16, MAX_UNITS)
    assert data[second : second + 6] == header(Op.WRITE, Space.MAIN, 16 + MAX_UNITS, 3)
    assert data[6:second] + data[second + 6 :] == units.astype("<u2").tobytes()


def test_write_nothing() -> None:
    assert write(Space.MAIN, 0, np.array([], dtype=np.uint16)) == b""


def test_parse_counters() -> None:
    assert parse_counters(bytes([1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6])) == {
        "cycles": 0x030201, "wait_weights": 4, "wait_activations": 0x000500, "wait_requantizer": 0x060000,
    }


def test_parse_counters_wrong_length() -> None:
    with pytest.raises(ValueError, match=r"^Answer to RUN must have 12 bytes, not 11$"):
        parse_counters(bytes(11))
