"""Words for buffers: those that are never in use together may share some, as long as every border outlives the run.

The host loads borders once and passes write inside them, so a word of a border belongs to all buffers that have the
same codes there, for ever, and to no other. Codes inside a border, and all of the input, which the host writes before
every run, may lie where codes of others were.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.liveness import Buffer
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.packing import INSIDE, border_codes

UNUSED, WRITTEN = -1, 16
"""Roles of nibbles besides the codes of a border."""


def allocate(buffers: Sequence[Buffer]) -> list[int]:
    """First word of each: largest first, as low as there is room beside, above or in place of those that have one."""
    roles = [_roles(buffer) for buffer in buffers]
    words: dict[int, int] = {}
    for index in sorted(range(len(buffers)), key=lambda index: (-buffers[index].layout.words, buffers[index].first)):
        ends = (word + buffers[other].layout.words for other, word in words.items())
        words[index] = next(
            word for word in sorted({0, *words.values(), *ends})
            if not any(_conflict(buffers, roles, index, word, other, place) for other, place in words.items())
        )
    return [words[index] for index in range(len(buffers))]


def _roles(buffer: Buffer) -> NDArray[np.int8]:
    """What each nibble of the buffer's words is: int8, a code of the border, `WRITTEN` or `UNUSED`."""
    codes = border_codes(buffer.layout)
    if buffer.loaded:
        return np.full(buffer.layout.words * WORD_NIBBLES, WRITTEN, dtype=np.int8)
    roles = np.full(buffer.layout.words * WORD_NIBBLES, UNUSED, dtype=np.int8)
    roles[: len(codes)] = np.where(codes == INSIDE, WRITTEN, codes)
    return roles


def _conflict(
    buffers: Sequence[Buffer], roles: Sequence[NDArray[np.int8]], one: int, word: int, other: int, place: int
) -> bool:
    """Buffer `one` at `word` and buffer `other` at `place` have words in common that they cannot share."""
    first, end = max(word, place), min(word + buffers[one].layout.words, place + buffers[other].layout.words)
    if first >= end:
        return False
    if buffers[one].meets(buffers[other]):
        return True
    here, there = (
        roles[index][(first - start) * WORD_NIBBLES : (end - start) * WORD_NIBBLES]
        for index, start in ((one, word), (other, place))
    )
    return bool(((here != there) & (here != UNUSED) & (there != UNUSED)).any())
