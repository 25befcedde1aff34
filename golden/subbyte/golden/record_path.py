"""The records of a pass as the machine sees them: words of main memory -> sums, codes -> words and a counter.

A unit that does this beside the array would take, for every pixel of a group, window position and column group, a
cycle for each word of records and, for each record that is there, a cycle for each weight row: M products of its value
and the weights of its channel. `subbyte.compiler.cost` counts them as if all records were there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.wrapped import wrapped
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.formats import LARGEST_VALUE
from subbyte.spec.program import unpack_fields
from subbyte.spec.records import MOST_COUNTED, RECORD, RECORD_FIELDS, WORD_RECORDS
from subbyte.spec.weights import decode

RECORD_NIBBLES = WORD_NIBBLES // WORD_RECORDS
COUNTER_NIBBLES = 8
PLACES = 1 << 4 * np.arange(RECORD_NIBBLES)


@dataclass(frozen=True)
class RecordPath:
    """What a pass does with records; `fields` are those of `subbyte.spec.records.Records`.

    Line and column passes have none.
    """

    fields: dict[str, int]

    @staticmethod
    def of(engine: EngineConfig, words: list[int]) -> RecordPath:
        """The section in the next of a descriptor's `words`, which it takes; of zeros when the engine has none."""
        fields: dict[str, int] = {}
        for layout in RECORD_FIELDS:
            fields |= unpack_fields(layout, words.pop(0) if engine.activation_records else 0)
        return RecordPath(fields)

    @property
    def reads(self) -> bool:
        """The input has records."""
        return self.fields["read_words"] > 0

    @property
    def largest(self) -> int:
        """Of the codes that the requantizer makes."""
        return LARGEST_VALUE if self.fields["room"] else 255

    def steps(self, fill: dict[str, int]) -> dict[str, int]:
        """A fill section that goes from word to word of the first pixels of segments, instead of codes."""
        steps = {name: value for name, value in self.fields.items() if name.startswith("step_")}
        return fill | steps | {"address": self.fields["read"], "segment": 0, "byte": 0, "far": 0}

    def drain(self, drain: dict[str, int]) -> dict[str, int]:
        """A drain section that goes from word to word of the pixels."""
        return drain | {"step_px": self.fields["write_px"], "step_py": self.fields["write_py"]}

    def sums(
        self, main: NDArray[np.uint8], fill: dict[str, int], words: NDArray[np.int64], weights: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Sum of value * weight over the records of every window, int64 (batch, pixels, windows, channels).

        Parameters
        ----------
        words : (pixels, windows, kernel rows), addresses as `steps` leads
        weights : int64 (lanes, channels), whole ones
        """
        f = self.fields
        pixels, segment = f["kx"] + 1, fill["segment"] + 1
        every = words[..., None, None] + f["read_words"] * np.arange(pixels)[:, None] + np.arange(f["read_words"])
        nibbles = wrapped(every[..., None] * WORD_NIBBLES + np.arange(WORD_NIBBLES), main.shape[1])
        held = main[:, nibbles].reshape(len(main), *words.shape, pixels, -1, RECORD_NIBBLES) @ PLACES
        record = _unpacked(held)
        channel = record["channel"] - f["first"]
        inputs = segment - (pixels - 1) * f["pitch"]
        there = (record["valid"] == 1) & (channel >= 0) & (channel < inputs)
        image, pixel, window, row, column, _ = place = np.nonzero(there)
        lane = row * segment + column * f["pitch"] + channel[place]
        sums = np.zeros((len(main), *words.shape[:2], weights.shape[1]), dtype=np.int64)
        np.add.at(sums, (image, pixel, window), record["value"][place][:, None] * weights[lane])
        return sums

    def written(
        self, main: NDArray[np.uint8], offsets: NDArray[np.int64], codes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """What the writer makes of the codes (batch, pixels, channels) of pixels `offsets` words from the first.

        Wide codes are appended to the records of their pixel and become 0; without room they become `top`, and are
        counted. int64, the shape of `codes`; as they are where the output has no records.
        """
        f = self.fields
        if not f["room"]:
            return codes
        slots = -(-f["room"] // WORD_RECORDS) * WORD_RECORDS
        first = (f["write"] + offsets) * WORD_NIBBLES
        slot = first[:, None, None] + RECORD_NIBBLES * np.arange(slots)[:, None] + np.arange(RECORD_NIBBLES)
        slot = wrapped(slot, main.shape[1])  # pixels, slots, nibbles
        if f["channel"] == 0:
            main[:, slot] = 0
        used = _unpacked(main[:, slot] @ PLACES)["valid"].sum(axis=2)
        wide = codes > f["top"]
        rank = used[..., None] + wide.cumsum(axis=2) - 1
        recorded = wide & (rank < f["room"])
        image, pixel, channel = place = np.nonzero(recorded)
        made = codes[place] | (f["channel"] + channel) << RECORD["value"] | 1 << RECORD["value"] + RECORD["channel"]
        main[image[:, None], slot[pixel, rank[place]]] = made[:, None] // PLACES & 15
        self._count(main, (wide & ~recorded).sum(axis=(1, 2)))
        return np.where(recorded, 0, np.minimum(codes, f["top"]))

    def _count(self, main: NDArray[np.uint8], more: NDArray[np.int64]) -> None:
        """Add (batch,) to the counter, which stays at its end."""
        place = wrapped(self.fields["counter"] * WORD_NIBBLES + np.arange(COUNTER_NIBBLES), main.shape[1])
        total = np.minimum(main[:, place] @ (1 << 4 * np.arange(COUNTER_NIBBLES)) + more, MOST_COUNTED)
        main[:, place] = total[:, None] >> 4 * np.arange(COUNTER_NIBBLES) & 15


def whole_weights(
    engine: EngineConfig, codes: NDArray[np.int64], outliers: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Integer weights, int64 (lanes, channels), of weight codes and outliers (rows, lanes, channels)."""
    rows = decode(engine.weight_set, codes) + (0 if outliers is None else outliers)
    total: NDArray[np.int64] = (rows << engine.row_bits * np.arange(len(rows)).reshape(-1, 1, 1)).sum(axis=0)
    return total


def _unpacked(records: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Fields of records of 32 bits."""
    fields, position = {}, 0
    for name, bits in RECORD.items():
        fields[name] = records >> position & ((1 << bits) - 1)
        position += bits
    return fields
