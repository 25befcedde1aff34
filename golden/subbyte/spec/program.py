"""`Program`: what the engine executes. Descriptors, memory images, tensor layouts, and their encoding.

Main memory is an array of 64-bit words; nibble n of a word is its bits 4n .. 4n+3. Word 0 is the
header, each pass follows in six words (fill, fill, fill, compute, drain, drain; engines with `activation_records`
have four more, `subbyte.spec.records`), then a word of zeros. With `param_stream` the parameter entries of a pass lie
between its fill and its compute section, a word each.
A pass computes some column groups (M output channels each) of one layer for all of its pixels.
docs/engine.md tells what the units do with these fields.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.frames import Space
from subbyte.spec.records import RECORD_FIELDS, RecordLayout, Records

PASS_WORDS = 6


def pass_words(engine: EngineConfig) -> int:
    """Words of a pass in the programs of `engine`."""
    return PASS_WORDS + (len(RECORD_FIELDS) if engine.activation_records else 0)


class Signed(int):
    """Bits of a field in two's complement."""


# name -> bits, packed from bit 0 upwards. Widths are those of the largest engine.
HEADER_FIELDS = {"weight_word": 20, "pinned": 1}
FILL_FIELDS: tuple[dict[str, int], ...] = (
    {"address": 20, "segment": 12, "byte": 1, "planes": 3, "slot": 6, "ky": 5, "wx": 3, "wy": 3, "valid": 1, "wait": 1,
     "single": 1, "column": 1, "pair": 1, "head": 3},
    {"px": 8, "py": 8, "step_ky": Signed(16), "step_wx": Signed(16)},
    {"step_wy": Signed(16), "step_px": Signed(16), "step_py": Signed(16), "far": 4, "params": 12},
)
COLUMN_FIELDS = ("column", "pair", "head", "far")
"""Those of a fill section that only engines with column passes have."""
COMPUTE_FIELDS = (
    {"words": 9, "rows": 1, "planes": 3, "radix": 1, "windows": 6, "groups": 10, "pixel_groups": 16,
     "hop": 6, "apart": 1, "lines": 1, "short": 1, "upper_rows": 2, "unused": 6},
)
LINE_FIELDS = ("hop", "apart", "lines", "short")
"""Those of a compute section that only engines with `depthwise` have; with P > 1 `hop` alone."""
XNOR_FIELDS = ("unused", "packed")
"""Fields of compute and drain sections that only engines with xnor lanes have."""
ROW_FIELDS = ("upper_rows",)
"""Those that only engines with `digit_rows` have."""
DRAIN_FIELDS = (
    {"address": 20, "byte": 1, "lut": 1, "lut_slot": 4, "zero_point": 8, "param": 12, "pixels": 16, "relu": 1,
     "packed": 1},
    {"groups": 10, "px": 8, "step_px": 14, "step_py": 14, "skip": 16, "add": 1, "below": 1},
)
HIGHWAY_FIELDS = ("relu", "skip", "add", "below")
"""Fields of a drain section that only engines with `highway` have; 0 for the others."""


def pack_fields(layout: dict[str, int], values: dict[str, int]) -> int:
    """Fields packed from bit 0 upwards. ValueError names a field whose value does not fit."""
    word, position = 0, 0
    for name, bits in layout.items():
        value = values[name]
        low = -1 << (bits - 1) if isinstance(bits, Signed) else 0
        if not low <= value < low + (1 << bits):
            raise ValueError(f"Field {name} must be in {low}..{low + (1 << bits) - 1}, not {value}")
        word |= value % (1 << bits) << position
        position += bits
    return word


def unpack_fields(layout: dict[str, int], word: int) -> dict[str, int]:
    """Inverse of `pack_fields`."""
    values = {}
    for name, bits in layout.items():
        value = word & ((1 << bits) - 1)
        values[name] = value - (1 << bits) if isinstance(bits, Signed) and value >> (bits - 1) else value
        word >>= bits
    return values


@dataclass(frozen=True)
class Fill:
    """Gather unit: for every pixel (py, px), window position (wy, wx) and kernel row, one segment.

    `address` is the nibble address of the first segment; after a segment one step is added to it, that
    of the innermost loop (ky, wx, wy, px, py) that continues; steps are signed and include the
    way back of the loops inside. Counts are stored minus one, that of the codes of a `segment` too.
    `byte`: codes are two nibbles. `slot`: decode table of plane 0, plane p uses slot + p. `wait`: start
    only when all earlier passes have written their results. `single`, of engines with `depthwise`: every segment
    lies within one chunk of F nibbles and one K-word, so that it takes one cycle per plane.

    Column passes, of engines with `depthwise` and P > 1: `column`. A pixel is then an output row of an input column,
    its window positions are the rows that it adds to those above. The first `head` pixels of a column, not minus one,
    complete no word. `pair`: a segment holds the codes of two column groups. `far`: 2**16 that `step_py`, which goes
    back over a column, is more than it says (modulo the memory).

    With `param_stream`: `params`, minus one, entries follow the section. They go behind those of the pass before, in a
    parameter memory that is a ring.
    """

    address: int
    segment: int
    byte: int
    planes: int
    slot: int
    ky: int
    wx: int
    wy: int
    wait: int
    px: int
    py: int
    step_ky: int
    step_wx: int
    step_wy: int
    step_px: int
    step_py: int
    valid: int = 1
    single: int = 0
    column: int = 0
    pair: int = 0
    head: int = 0
    far: int = 0
    params: int = 0


@dataclass(frozen=True)
class Compute:
    """Array: for every group of P pixels, column group, window position, word, weight row and plane, one step.

    `words` K-words of the reduction, which may be those of several window positions of the fill section, as they follow
    each other in the tile; `rows` 0 or 1 for weights of 4 or 8 bits; `planes` - 1 operand
    planes; `radix` 1 when plane p weighs 16**p, or with `two_phase` 128 if it is even and 181 if it is odd, else all
    planes weigh 1. All counts minus one.

    Line passes, of engines with `depthwise`: `hop` is not 0. A pixel group is then a band of `lines` + 1 output rows,
    a group an output column; the words of a column begin `hop` tile words behind those of the one before (`apart`: they
    share none), the weight rows of each of the band's rows follow those of the one above. `short`: the last band lacks
    its second row, whose steps are made and give nothing. `windows` counts column groups, which have weight rows of
    their own for the same words.

    Column passes, of engines with `depthwise` and P > 1: `hop` is not 0. A pixel group is P output rows of an output
    column, those of a column follow each other. The words of a result lie `windows` + 1 tile words apart, which is what
    an input column takes; the first of an output column `hop` behind that of the one before.

    xnor lanes: row r weighs 2**r; there are `upper_rows` times two rows more. `radix` 0 when a nibble is four binary
    codes. Then `unused`, not minus one, are the last lanes of the last word, which count nothing if their weight
    codes are 0. Of the other lanes only log lanes have the former field, rows of which all weigh 1.
    """

    words: int
    rows: int
    planes: int
    radix: int
    windows: int
    groups: int
    pixel_groups: int
    hop: int = 0
    apart: int = 0
    lines: int = 0
    short: int = 0
    upper_rows: int = 0
    unused: int = 0

    @property
    def last_row(self) -> int:
        """Weight rows of a word minus one."""
        return self.rows + 2 * self.upper_rows


@dataclass(frozen=True)
class Drain:
    """Requantizer and writer. `address`: nibble address of channel 0 of this pass at pixel 0.

    `param`: entry of the first channel, a multiple of M. With `lut` twice the `zero_point` is added to the
    table's address. With `exact_rounding` `lut_slot` is, without `lut`, one of `ROUNDING_CODES`, with it the slot and
    `STICKY_BIT`. `pixels`, `groups`, `px` minus one. A group's M codes go to address + pixel offset
    + group * M * (nibbles of a code), a multiple of M nibbles or M bytes; the pixel offset grows by
    `step_px`, at the end of a row of `px` pixels by `step_py`. `packed` (xnor lanes): they are binary codes and go to
    one nibble, at address + pixel offset + group. In a column pass a row of pixels is an output column, whole groups of
    P; `step_py` leads from its first pixel to that of the next. What its last group has beyond those of the last group
    of all is not written.

    With `highway`: `add`, the codes of a skip tensor are added, bytes that lie `skip` words (modulo the memory)
    behind the codes written. `below`: 256 is taken off the zero point, which has the skip's in it. `relu`: products
    below 0 count as 0, with or without `add`.
    """

    address: int
    byte: int
    lut: int
    lut_slot: int
    zero_point: int
    param: int
    pixels: int
    groups: int
    px: int
    step_px: int
    step_py: int
    relu: int = 0
    skip: int = 0
    add: int = 0
    below: int = 0
    packed: int = 0


@dataclass(frozen=True)
class Pass:
    """One descriptor. `layers`: names of the IR layers it serves; `tensor`: what it writes.

    `records`: None but for engines with `activation_records`, all of whose passes have it.
    """

    layers: tuple[str, ...]
    tensor: str
    fill: Fill
    compute: Compute
    drain: Drain
    records: Records | None = None

    @property
    def layer(self) -> str:
        """What messages call it: `layers`, joined by +. A name may have a + of its own."""
        return "+".join(self.layers)

    @property
    def weight_rows(self) -> int:
        """Weight rows. A line pass has its column groups for window positions, and rows for each of a band's lines."""
        compute = self.compute
        line_pass = compute.hop and not self.fill.column
        groups = (compute.lines + 1) * (compute.windows + 1) if line_pass else compute.groups + 1
        return groups * (compute.words + 1) * (compute.last_row + 1)

    def encode(self) -> list[int]:
        """The `pass_words` of the engine."""
        sections: list[tuple[Fill | Compute | Drain | Records, tuple[dict[str, int], ...]]] = [
            (self.fill, FILL_FIELDS), (self.compute, COMPUTE_FIELDS), (self.drain, DRAIN_FIELDS)
        ]
        if self.records is not None:
            sections.append((self.records, RECORD_FIELDS))
        return [
            pack_fields(layout, dataclasses.asdict(unit)) for unit, layouts in sections for layout in layouts
        ]


@dataclass(frozen=True)
class TensorLayout:
    """Where a code tensor lies: channels last, rows of `width + left + right` pixels, a border of pad codes.

    address : nibble address of the border's first code, a multiple of 16
    height, width, channels : the tensor proper
    pitch : codes from one pixel to the next, >= channels
    nibbles : 1 or 2 per code, low nibble first
    border : (top, left, bottom, right) pixels, holding `pad_code`
    first : channel of a pixel's `pitch` that is channel 0 of this tensor; others may belong to other tensors
    packed : binary codes, that of channel 4j + i in bit i of nibble j of a pixel; `pitch` counts nibbles. What is
        behind the last channel is 0, in the border too
    """

    address: int
    height: int
    width: int
    channels: int
    pitch: int
    nibbles: int
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_code: int = 0
    first: int = 0
    packed: bool = False

    @property
    def row_nibbles(self) -> int:
        """Nibbles from one row to the next."""
        return (self.width + self.border[1] + self.border[3]) * self.pitch * self.nibbles

    @property
    def rows(self) -> int:
        """Rows, border included."""
        return self.height + self.border[0] + self.border[2]

    @property
    def word(self) -> int:
        """First word of main memory."""
        return self.address // WORD_NIBBLES

    @property
    def words(self) -> int:
        """Words of main memory."""
        return -(-self.rows * self.row_nibbles // WORD_NIBBLES)

    @property
    def channel_slice(self) -> slice:
        """The tensor's channels in the `pitch` codes of a pixel."""
        return slice(self.first, self.first + self.channels)

    @property
    def origin(self) -> int:
        """Nibble address of pixel (0, 0), channel 0."""
        pixel = self.border[1] * self.pitch + self.first
        return self.address + self.border[0] * self.row_nibbles + pixel * self.nibbles


@dataclass(frozen=True)
class Program:
    """A network scheduled for one engine.

    Parameters
    ----------
    engine : EngineConfig
    passes : in execution order
    weights : uint64 (rows, engine.row_words); code of lane k, column m at bits 4*(m*K + k) of the row, behind the
        word of its outlier slots if the engine has some; with `weight_tables` uint64 (words,), a block of
        `subbyte.spec.weight_blocks` for each pass
    pinned : True when all rows fit the weight buffer, which is then filled once
    params : int64 (entries, 3): bias, multiplier, shift field, as in `engine.params` but with the whole multiplier;
        with `param_stream` in the order of the passes that use them
    tables : int64 (slots, 2, 16): operands of even and odd nibbles
    luts : int64 (slots, 2**lut_bits): codes
    layouts : tensor name -> TensorLayout
    input, output : tensor names
    records : tensor name -> RecordLayout of those that have records
    lives : tensor name -> (first, last), after so many passes of a run it lies whole in main memory, before it is not
        written, behind others have its words; those that are missing stay from first to last
    """

    engine: EngineConfig
    passes: tuple[Pass, ...]
    weights: NDArray[np.uint64] = field(repr=False)
    pinned: bool
    params: NDArray[np.int64] = field(repr=False)
    tables: NDArray[np.int64] = field(repr=False)
    luts: NDArray[np.int64] = field(repr=False)
    layouts: dict[str, TensorLayout] = field(repr=False)
    input: str
    output: str
    records: dict[str, RecordLayout] = field(default_factory=dict, repr=False)
    lives: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def weight_word(self) -> int:
        """First word of the weights in main memory, which they end with."""
        return self.engine.memory_words - self.weights.size

    @property
    def tensor_words(self) -> int:
        """Words of main memory that tensors have, some of them several."""
        return len({word for one in set(self.layouts.values()) for word in range(one.word, one.word + one.words)})

    def prefixes(self) -> list[tuple[Program, list[str]]]:
        """Programs that stop after some of the passes, this one last, with tensors that are there when they stop.

        Each tensor is with one of them. They are as few as can be. The short ones leave rows of weights unused, so
        they load them in every run.
        """
        count = len(self.passes)
        spans = {name: self.lives.get(name, (count, count)) for name in self.layouts}
        stops = {count: [name for name, (_, last) in spans.items() if last == count]}
        for name, (first, last) in sorted(spans.items(), key=lambda item: -item[1][0]):
            if last < count:
                fitting = [stop for stop in stops if first <= stop <= last]
                stops.setdefault(max(fitting, default=max(1, first)), []).append(name)
        short = [
            (dataclasses.replace(self, passes=self.passes[:stop], pinned=False), stops[stop])
            for stop in sorted(stops) if stop < count
        ]
        return [*short, (self, stops[count])]

    def descriptor_words(self) -> NDArray[np.uint64]:
        """Header, passes and the closing zero, uint64."""
        header = pack_fields(
            HEADER_FIELDS,
            {"weight_word": self.weight_word, "pinned": int(self.pinned)},
        )
        params, first = self.param_words().tolist() if self.engine.param_stream else [], 0
        words = [header]
        for one in self.passes:
            sections, end = one.encode(), first + one.fill.params + 1
            words += [*sections[: len(FILL_FIELDS)], *params[first:end], *sections[len(FILL_FIELDS) :]]
            first = end
        return np.array([*words, 0], dtype=np.uint64)

    def param_words(self) -> NDArray[np.uint64]:
        """Parameter entries of `engine.params.bits`, uint64."""
        form = self.engine.params
        return np.array(
            [
                pack_fields(form.fields, {"bias": int(b) % (1 << 28), "fraction": int(m) - form.half, "shift": int(s)})
                for b, m, s in self.params
            ],
            dtype=np.uint64,
        )

    def image(self) -> list[tuple[Space, int, NDArray[np.uint16]]]:
        """Everything to load before the first run: (space, unit address, units), main memory first.

        Borders hold their pad codes; the insides of tensors are not part of the image but for zeros. Blocks of records
        are zeros: no record is valid, nothing is counted.
        """
        from subbyte.spec.packing import border_images

        parts = [
            (Space.MAIN, 0, self.descriptor_words().view("<u2")),
            (Space.MAIN, 4 * self.weight_word, self.weights.reshape(-1).view("<u2")),
        ]
        parts += [(Space.MAIN, unit, units) for unit, units in border_images(self.layouts.values())]
        for records in self.records.values():
            parts.append((Space.MAIN, 4 * records.word, np.zeros(4 * records.words, dtype=np.uint16)))
        if not self.engine.param_stream:
            parts.append((Space.PARAMS, 0, self.param_words().view("<u2")))
        parts.append((Space.TABLES, 0, self.tables.reshape(-1).astype("<u2")))
        parts.append((Space.LUTS, 0, self.luts.reshape(-1).astype("<u2")))
        return [(space, address, units.astype(np.uint16)) for space, address, units in parts if len(units)]
