"""`Device`: the memories of an engine, written and read as the host does, and the run of what lies in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.execute import run_pass
from subbyte.golden.param_ring import ParamRing
from subbyte.golden.weight_stream import WeightStream
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.frames import Space
from subbyte.spec.program import FILL_FIELDS, HEADER_FIELDS, pass_words, unpack_fields

UNIT_NIBBLES = 4
UNDEFINED_NIBBLE = 10
"""What main memory holds before anything is written."""


class Device:
    """Memories of `batch` engines that run the same program on different data.

    Parameters
    ----------
    engine : EngineConfig
    batch : int >= 1

    Members
    -------
    main : uint8 (batch, nibbles), main memory
    params : uint64 (param_entries,), entries of `engine.params.bits`
    tables : int64 (table_slots, 2, 16), operands
    luts : int64 (lut_slots, 2**lut_bits), codes
    """

    def __init__(self, engine: EngineConfig, batch: int = 1) -> None:
        self.engine = engine
        self.main = np.full((batch, engine.memory_words * WORD_NIBBLES), UNDEFINED_NIBBLE, dtype=np.uint8)
        self.params = np.zeros(engine.param_entries, dtype=np.uint64)
        self.tables = np.zeros((engine.table_slots, 2, 16), dtype=np.int64)
        self.luts = np.zeros((engine.lut_slots, 1 << engine.lut_bits), dtype=np.int64)

    def write(self, space: Space, address: int, units: NDArray[np.uint16]) -> None:
        """Write consecutive units, to all of the batch alike. ValueError when they pass the memory's end."""
        places = address + np.arange(len(units))
        values = units.astype(np.int64)
        if space is Space.MAIN:
            self.write_main(address, units[None])
        elif space is Space.PARAMS:
            if self.engine.param_stream:
                return
            self._check(space, places // 4, len(self.params))
            for column in range(self.engine.params.bits // 16):
                chosen = places % 4 == column
                entries = places[chosen] // 4
                kept = self.params[entries] & ~np.uint64(0xFFFF << 16 * column)
                self.params[entries] = kept | units[chosen].astype(np.uint64) << np.uint64(16 * column)
        elif space is Space.TABLES:
            self._check(space, places, self.tables.size)
            self.tables.reshape(-1)[places] = values & ((1 << self.engine.operand_bits) - 1)
        else:
            self._check(space, places, self.luts.size)
            self.luts.reshape(-1)[places] = values & ((1 << self.engine.lut_code_bits) - 1)

    def write_main(self, address: int, units: NDArray[np.uint16]) -> None:
        """Write main memory: units (batch, count) from unit `address`, or (1, count) for all alike."""
        self._check(Space.MAIN, address + np.arange(units.shape[1]), self.main.shape[1] // UNIT_NIBBLES)
        nibbles = (units[:, :, None] >> np.array([0, 4, 8, 12], dtype=np.uint16)) & 15
        start = UNIT_NIBBLES * address
        self.main[:, start : start + UNIT_NIBBLES * units.shape[1]] = nibbles.reshape(len(units), -1)

    def read_main(self, address: int, count: int) -> NDArray[np.uint16]:
        """`count` units of main memory, uint16 (batch, count). ValueError past the memory's end."""
        self._check(Space.MAIN, address + np.arange(count), self.main.shape[1] // UNIT_NIBBLES)
        start = UNIT_NIBBLES * address
        nibbles = self.main[:, start : start + UNIT_NIBBLES * count].reshape(len(self.main), count, UNIT_NIBBLES)
        units: NDArray[np.uint16] = (nibbles.astype(np.uint16) << np.array([0, 4, 8, 12], dtype=np.uint16)).sum(
            axis=2, dtype=np.uint16
        )
        return units

    def read(self, address: int, count: int) -> NDArray[np.uint16]:
        """`count` units of main memory of the first of the batch, uint16 (count,)."""
        units: NDArray[np.uint16] = self.read_main(address, count)[0]
        return units

    def run_program(self) -> None:
        """Run the program at word 0: the passes in order, to the first that is not valid."""
        weight_word = unpack_fields(HEADER_FIELDS, self._words(0, 1)[0])["weight_word"]
        stream = WeightStream(self.engine, self.main[0], weight_word)
        descriptors = self._descriptors()
        words = next(descriptors, None)
        while words is not None:
            following = next(descriptors, None)  # fetched, and its parameters loaded, before this pass is done
            run_pass(self.engine, words, self.main, stream, self.params, self.tables, self.luts)
            words = following

    def _descriptors(self) -> Iterator[list[int]]:
        """The `pass_words` words of each valid pass; parameters between them are loaded."""
        ring = ParamRing(self.params, self.engine.params.bits)
        word, sections = 1, len(FILL_FIELDS)
        others = pass_words(self.engine) - sections
        while True:
            fill = self._words(word, sections)
            if not unpack_fields(FILL_FIELDS[0], fill[0])["valid"]:
                return
            word += sections
            if self.engine.param_stream:
                count = unpack_fields(FILL_FIELDS[-1], fill[-1])["params"] + 1
                ring.load(self._words(word, count))
                word += count
            yield fill + self._words(word, others)
            word += others

    def _words(self, word: int, count: int) -> list[int]:
        """Words of main memory as integers; past the end of memory, zeros."""
        held = min(count, self.engine.memory_words - word)
        words = self.read(4 * word, 4 * held).astype("<u2").view("<u8")
        return [int(value) for value in words] + [0] * (count - held)

    @staticmethod
    def _check(space: Space, places: NDArray[np.int64], size: int) -> None:
        if len(places) and not 0 <= places[0] <= places[-1] < size:
            raise ValueError(f"Address in {space.name} must be in 0..{size - 1}, not {places[0]}..{places[-1]}")
