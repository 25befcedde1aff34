"""Number formats: their operands, and every check of the constructor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.spec.formats import (
    BinaryPad,
    Kind,
    TensorFormat,
    accumulator,
    binary,
    half_octave_table,
    linear,
    log2_table,
)
from subbyte.spec.two_phase import two_phase_table

TABLE = log2_table(4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "lin"}, TypeError, r"^Format kind must be a Kind, not 'lin'$"),
        ({"bits": 4.0}, TypeError, r"^Bits of a LIN format must be an integer, not 4\.0$"),
        ({"bits": True}, TypeError, r"^Bits of a LIN format must be an integer, not True$"),
        ({"bits": 0}, ValueError, r"^Bits of a LIN format must be in 1\.\.8, not 0$"),
        ({"bits": 9}, ValueError, r"^Bits of a LIN format must be in 1\.\.8, not 9$"),
        ({"kind": Kind.LOG, "bits": 5}, ValueError, r"^Bits of a LOG format must be in 1\.\.4, not 5$"),
        ({"kind": Kind.ACC, "bits": 7}, ValueError, r"^Bits of a ACC format must be in 8\.\.64, not 7$"),
        ({"scale": 0.0}, ValueError, r"^Format scale must be a finite number above 0, not 0\.0$"),
        ({"scale": float("nan")}, ValueError, r"^Format scale must be a finite number above 0, not nan$"),
        ({"scale": "1"}, ValueError, r"^Format scale must be a finite number above 0, not '1'$"),
        ({"zero_point": 16}, ValueError, r"^Zero point must be in 0\.\.15, not 16$"),
        ({"kind": Kind.LOG, "table": TABLE, "zero_point": 1}, ValueError, r"^Zero point must be in 0\.\.0, not 1$"),
        ({"pad_code": 16}, ValueError, r"^Pad code must be in 0\.\.15, not 16$"),
        ({"pad_code": -1}, ValueError, r"^Pad code must be in 0\.\.15, not -1$"),
        ({"kind": Kind.BIN, "bits": 2}, ValueError, r"^Bits of a BIN format must be in 1\.\.1, not 2$"),
        ({"kind": Kind.BIN, "bits": 1, "zero_point": 1}, ValueError, r"^Zero point must be in 0\.\.0, not 1$"),
        ({"kind": Kind.BIN, "bits": 1, "pad_code": 3}, ValueError, r"^Pad code must be in 0\.\.2, not 3$"),
        ({"kind": Kind.BIN, "bits": 1, "table": (0, 1)}, ValueError, r"^A BIN format has no table, not \(0, 1\)$"),
        ({"signed": True}, ValueError, r"^Only a LOG format of 2 bits or more can be signed, not LIN of 4$"),
        (
            {"kind": Kind.LOG, "bits": 1, "table": (0,), "signed": True}, ValueError,
            r"^Only a LOG format of 2 bits or more can be signed, not LOG of 1$",
        ),
        (
            {"kind": Kind.LOG, "table": TABLE, "signed": True}, ValueError,
            r"^A 3-bit table must have 8 entries, not 16$",
        ),
        ({"table": TABLE}, ValueError, r"^A LIN format has no table, not \(0, 1, 2, "),
        ({"kind": Kind.CODEBOOK, "table": (0, 1)}, ValueError, r"^A 4-bit table must have 16 entries, not 2$"),
        ({"kind": Kind.LOG, "bits": 1, "table": (0, 1 << 16)}, ValueError, r"^Table entry must be in 0\.\.65535, not"),
        ({"kind": Kind.LOG, "bits": 1, "table": (0, 1.5)}, TypeError, r"^Table entry must be an integer, not 1\.5$"),
        ({"kind": Kind.LOG, "bits": 1, "table": (1, 2)}, ValueError, r"^A table must start at 0 and not decrease, not"),
        (
            {"kind": Kind.LOG, "bits": 2, "table": (0, 2, 1, 3)},
            ValueError,
            r"^A table must start at 0 and not decrease, not \(0, 2, 1, 3\)$",
        ),
    ],
)
def test_init_wrong(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TensorFormat(**{"kind": Kind.LIN, "bits": 4, **arguments})


@pytest.mark.parametrize("bits", range(1, 9))
def test_linear_operands(bits: int) -> None:
    top = (1 << bits) - 1
    for zero in range(top + 1):
        fmt = linear(bits, 0.5, zero)
        assert fmt.operands().tolist() == [code - zero for code in range(top + 1)]
        assert fmt.bounds() == (-zero, top - zero)
        assert fmt.operands()[fmt.pad_code] == 0
    assert linear(bits).nibbles == (1 if bits <= 4 else 2)


def test_table_operands() -> None:
    fmt = TensorFormat(Kind.LOG, 4, 1.0, 0, TABLE)
    assert fmt.operands().dtype == np.int64
    assert fmt.operands().tolist() == list(TABLE)
    assert fmt.bounds() == (0, 1 << 14)


def test_binary() -> None:
    form = binary()
    assert form.operands().tolist() == [-1, 1] and form.bounds() == (-1, 1) and form.nibbles == 1
    operands = {pad: binary(pad).pad_operand for pad in BinaryPad}
    assert operands == {BinaryPad.PAD_NEG: -1, BinaryPad.PAD_POS: 1, BinaryPad.PAD_ZERO: 0}


def test_pad_operand() -> None:
    assert linear(8, 1.0, 128).pad_operand == 0
    assert TensorFormat(Kind.LIN, 4, 1.0, 3, (), 1).pad_operand == -2
    assert TensorFormat(Kind.LOG, 4, 1.0, 0, TABLE, 5).pad_operand == 16


def test_signed_log() -> None:
    """Sign and magnitude: minus zero, the sign alone, is 0."""
    form = TensorFormat(Kind.LOG, 3, 1.0, 0, log2_table(2), 0, True)
    assert form.operands().tolist() == [0, 1, 2, 4, 0, -1, -2, -4]
    assert form.bounds() == (-4, 4) and not form.two_phase


def test_two_phase() -> None:
    assert TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(16)).two_phase
    assert TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(8), 0, True).two_phase
    assert not TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, two_phase_table(16)).two_phase
    assert not TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 128 * 128)).two_phase


def test_accumulator() -> None:
    fmt = accumulator(28)
    assert fmt.bounds() == (-(1 << 27), (1 << 27) - 1)
    with pytest.raises(ValueError, match=r"^An ACC format has no codes$"):
        fmt.operands()


def test_log2_table() -> None:
    assert log2_table(2) == (0, 1, 2, 4)
    assert log2_table(4) == (0, *(1 << e for e in range(15)))
    assert log2_table(4, span=7) == (0, 1, 2, 4, 8, 16, 32, 64, *[128] * 8)


@pytest.mark.parametrize("largest", [15, 63, 255, 181 * 128])
def test_half_octave_table(largest: int) -> None:
    """T[c] = round(largest * 2**((c - 15) / 2)): even distances from the top are exact halves."""
    table = half_octave_table(4, largest)
    assert table[0] == 0 and table[15] == largest
    for code in range(1, 16):
        square = largest * largest / 2 ** (15 - code)
        assert (table[code] - 0.5) ** 2 <= square < (table[code] + 0.5) ** 2 or table[code] == 0
