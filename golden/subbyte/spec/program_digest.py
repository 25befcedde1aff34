"""Digest of a program's image, kept in word 0 of main memory above the header's fields, where the engine ignores it.

A host clears word 0 before it loads a program and writes it last: what has a digest is there as a whole.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.program import HEADER_FIELDS, Program

DIGEST_BITS = 32
DIGEST_BIT = 24
"""Lowest bit in word 0, of which the engine reads the header's fields and bit 63, its constant 0."""
assert sum(HEADER_FIELDS.values()) <= DIGEST_BIT <= 63 - DIGEST_BITS


def program_digest(program: Program) -> int:
    """First `DIGEST_BITS` of the sha256 of engine and image. It is not 0, which stands for no program."""
    state = hashlib.sha256(program.engine.digest().encode())
    for space, address, units in program.image():
        state.update(b"%d %d %d " % (space, address, len(units)) + units.astype("<u2").tobytes())
    return int.from_bytes(state.digest()[: DIGEST_BITS // 8], "big") or 1


def word_zero(header: NDArray[np.uint16], digest: int) -> NDArray[np.uint16]:
    """The units of word 0, uint16 (4,): those of the image's header with the digest above."""
    word = int(header.astype("<u2").view("<u8")[0]) | digest << DIGEST_BIT
    return np.array([word], dtype="<u8").view("<u2").astype(np.uint16)


def stored_digest(units: NDArray[np.uint16]) -> int:
    """The digest in the units of word 0; 0 when no program is there as a whole."""
    return int(units.astype("<u2").view("<u8")[0]) >> DIGEST_BIT
