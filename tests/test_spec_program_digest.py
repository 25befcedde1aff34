"""The digest of a program in word 0."""

from __future__ import annotations

import dataclasses

import numpy as np
from test_host_driver import program

from subbyte.spec.engine import PRESETS
from subbyte.spec.program import HEADER_FIELDS, unpack_fields
from subbyte.spec.program_digest import program_digest, stored_digest, word_zero


def test_every_part_counts() -> None:
    engine = dataclasses.replace(PRESETS["up5k"], param_stream=False)  # else parameters lie behind passes
    one = program(engine=engine)
    changes = {
        "weights": one.weights + np.uint64(1), "pinned": False, "params": one.params + 1, "tables": one.tables ^ 1,
        "luts": one.luts ^ 1, "engine": dataclasses.replace(engine, name="other", ring_rows=128),
    }
    others = [program(**{"engine": engine, name: value}) for name, value in changes.items()]
    digests = [program_digest(one), *map(program_digest, others)]
    assert len(set(digests)) == len(digests)
    assert program_digest(program(engine=engine)) == digests[0]
    assert all(0 < digest < 1 << 32 for digest in digests)


def test_word_zero_keeps_the_header() -> None:
    header = program().descriptor_words()[:1].view("<u2")
    units = word_zero(header, 0xFFFFFFFF)
    assert stored_digest(units) == 0xFFFFFFFF
    assert int(units.view("<u8")[0]) >> 63 == 0, "the engine's constant 0"
    assert stored_digest(header) == stored_digest(np.zeros(4, dtype=np.uint16)) == 0
    word, plain = (int(u.view("<u8")[0]) for u in (units, header))
    assert unpack_fields(HEADER_FIELDS, word) == unpack_fields(HEADER_FIELDS, plain)
