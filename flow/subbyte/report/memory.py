"""What lies where in main memory."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.spec.program import Program, TensorLayout

WORD_BYTES = 8


@dataclass(frozen=True)
class Region:
    """Words `first` .. `first + words` - 1 of main memory.

    kind : "descriptors", "tensor", "records" or "weights"
    """

    kind: str
    name: str
    first: int
    words: int
    content: str

    @property
    def last(self) -> int:
        """Last word."""
        return self.first + self.words - 1

    @property
    def bytes(self) -> int:
        """Size."""
        return self.words * WORD_BYTES


def _tensor(name: str, layout: TensorLayout) -> Region:
    border = ", border " + "/".join(map(str, layout.border)) if any(layout.border) else ""
    size = "binary codes, 4 in a nibble" if layout.packed else f"{4 * layout.nibbles} bits a code"
    shape = f"{layout.height} x {layout.width} x {layout.channels}"
    return Region("tensor", name, layout.address // 16, layout.words, f"{shape}, {size}{border}")


def regions(program: Program) -> list[Region]:
    """All regions: descriptors, tensors in the order they are written, records, weights.

    Tensors that are never needed at the same time may have words in common.
    """
    passes = f"{len(program.passes)} passes"
    entries = ", their parameters" if program.engine.param_stream else ""
    described = len(program.descriptor_words())
    count = sum(one.weight_rows for one in program.passes)
    rows = f"{count} rows" + (", kept in the weight buffer" if program.pinned else "")
    return [
        Region("descriptors", "descriptors", 0, described, passes + entries),
        *(_tensor(name, layout) for name, layout in program.layouts.items()),
        *(
            Region("records", f"records of {name}", layout.word, layout.words, f"{layout.records} a pixel")
            for name, layout in program.records.items()
        ),
        Region("weights", "weights", program.weight_word, program.weights.size, rows),
    ]
