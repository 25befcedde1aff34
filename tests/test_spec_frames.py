"""Bytes of the commands and answers."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.spec.frames import (
    MAX_UNITS,
    Counter,
    Space,
    bursts,
    identify,
    identity,
    parse_count,
    read,
    read_bytes,
    run,
    write,
)


def test_commands() -> None:
    assert run() == bytes([2, 0, 0, 0, 2])
    assert run(Counter.WAIT_REQUANTIZER) == bytes([2, 0, 0, 0, 0x32])
    assert identify() == bytes([3, 0, 0, 0, 3])
    assert read(0x12345, 7) == bytes([13, 0x8A, 0x46, 0x02, 1])


def test_identity() -> None:
    assert identity("0123456789abcdef") == bytes([0x01, 0x23, 0x45, 0xB1])


@pytest.mark.parametrize("address", [-1, 1 << 19])
def test_wrong_address(address: int) -> None:
    with pytest.raises(ValueError, match=rf"^Address must be in 0\.\.524287, not {address}$"):
        read(address, 1)


@pytest.mark.parametrize("units", [0, 129])
def test_wrong_number_of_units(units: int) -> None:
    with pytest.raises(ValueError, match=rf"^Units must be 1\.\.128, not {units}$"):
        read(0, units)


def test_read_bytes() -> None:
    assert read_bytes(0x12345, 7) == bytes([6, 0x45, 0x23, 0x01, 1])


@pytest.mark.parametrize("address", [-1, 1 << 20])
def test_wrong_byte_address(address: int) -> None:
    with pytest.raises(ValueError, match=rf"^Byte address must be in 0\.\.1048575, not {address}$"):
        read_bytes(address, 1)


@pytest.mark.parametrize("count", [0, 257])
def test_wrong_number_of_bytes(count: int) -> None:
    with pytest.raises(ValueError, match=rf"^Bytes must be 1\.\.256, not {count}$"):
        read_bytes(0, count)


def test_bursts() -> None:
    assert list(bursts(7, 2 * MAX_UNITS)) == [(7, MAX_UNITS), (7 + MAX_UNITS, MAX_UNITS)]
    assert list(bursts(7, 0)) == []


def test_write_is_little_endian() -> None:
    data = write(Space.PARAMS, 2, np.array([0x0102, 0xFF00], dtype=np.uint16))
    assert data == bytes([3, 4, 0, 0x10, 0]) + bytes([0x02, 0x01, 0x00, 0xFF])


def test_write_splits() -> None:
    units = (np.arange(MAX_UNITS + 3) * 331 % 65536).astype(np.uint16)
    data = write(Space.MAIN, 16, units)
    second = 5 + 2 * MAX_UNITS
    assert data[:5] == bytes([255, 32, 0, 0, 0])
    assert data[second : second + 5] == bytes([5, 32, 1, 0, 0])
    assert data[5:second] + data[second + 5 :] == units.astype("<u2").tobytes()


def test_write_nothing() -> None:
    assert write(Space.MAIN, 0, np.array([], dtype=np.uint16)) == b""


def test_parse_count() -> None:
    assert parse_count(bytes([1, 2, 3])) == 0x030201


def test_parse_count_wrong_length() -> None:
    with pytest.raises(ValueError, match=r"^Answer to RUN must have 3 bytes, not 4$"):
        parse_count(bytes(4))
