"""Parameter memory of engines with `param_stream`: a ring into which the entries of each pass are loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ParamRing:
    """The memory during a run, which begins with entry 0.

    Parameters
    ----------
    entries : uint64 (param_entries,), the memory, changed in place
    bits : of an entry
    """

    def __init__(self, entries: NDArray[np.uint64], bits: int) -> None:
        self._entries = entries
        self._bits = bits
        self._next = 0
        self._latest = 0  # entries of the pass that was loaded last

    def load(self, words: list[int]) -> None:
        """Entries of the next pass, one in each of the main-memory words; the pass before may still be at work.

        ValueError when they would take the place of what that one uses.
        """
        size = len(self._entries)
        if self._latest + len(words) > size:
            raise ValueError(
                f"Parameters of a pass must fit beside those of the pass before, {len(words)} beside {self._latest} "
                f"are more than {size}"
            )
        places = (self._next + np.arange(len(words))) % size
        self._entries[places] = [word & ((1 << self._bits) - 1) for word in words]
        self._next, self._latest = (self._next + len(words)) % size, len(words)
