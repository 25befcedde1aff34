"""What an ONNX tensor is in the float graph: which of our axes lie under each of its axes.

An ONNX tensor (n, channels, height, width) has the groups ("c", "h", "w"), one transposed to channels last
("h", "w", "c"), a flattened one ("chw",); axes of size 1 may be in no group. The batch axis comes first and is not
told. So Transpose, Reshape, Flatten, Squeeze and Unsqueeze only regroup axes, and no node of the graph comes of them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from subbyte.compiler.nodes import Padding, Shape
from subbyte.compiler.onnx_window import Unsupported

GATE = "a HardSigmoid may only be multiplied with its own input"
"""What `Value.only` says of the one tensor that is not at the end of the model."""


@dataclass(frozen=True)
class Value:
    """An ONNX tensor.

    Parameters
    ----------
    tensor : name in the float graph
    shape : (height, width, channels) there
    groups : for each ONNX axis behind the batch the letters of "hwc" under it, in C order
    pads : letter -> (begin, end), zeros that a Pad in front puts around; not part of `shape`
    only : why most nodes may not read it, such as "nothing may follow a Softmax"; empty when all may
    """

    tensor: str
    shape: Shape
    groups: tuple[str, ...]
    pads: tuple[tuple[str, tuple[int, int]], ...] = ()
    only: str = ""

    @property
    def ended_by(self) -> str:
        """The operator at the model's end that is not computed, such as "Softmax"; '' for none."""
        return "" if self.only == GATE else self.only.rpartition(" ")[2]

    @property
    def rank(self) -> int:
        """ONNX rank, batch included."""
        return len(self.groups) + 1

    def size(self, letters: str) -> int:
        """Product of the sizes of our axes."""
        return math.prod(self.shape["hwc".index(letter)] for letter in letters)

    @property
    def sizes(self) -> tuple[int, ...]:
        """ONNX shape without the batch axis."""
        return tuple(self.size(group) for group in self.groups)

    def wide(self, letters: str) -> str:
        """The letters whose axes are larger than 1."""
        return "".join(letter for letter in letters if self.size(letter) > 1)

    def same_axes(self, other: Value) -> bool:
        """Whether both have the same shape and the same axes in the same places."""
        groups = [[value.wide(group) for group in value.groups] for value in (self, other)]
        return self.shape == other.shape and groups[0] == groups[1]

    def same_tensor(self, other: Value) -> bool:
        """Whether both are one tensor, its axes in the same places."""
        return self.tensor == other.tensor and self.same_axes(other)

    def is_channels_first(self) -> bool:
        """Whether the ONNX axes are (n, channels, height, width)."""
        return len(self.groups) == 3 and all(
            self.wide(group) in ("", letter) for group, letter in zip(self.groups, "chw", strict=True)
        )

    def padding(self) -> Padding:
        """The pads as (top, left, bottom, right). Unsupported for pads of channels."""
        pads = dict(self.pads)
        if pads.get("c", (0, 0)) != (0, 0):
            raise Unsupported("its input must be padded in height and width only")
        (top, bottom), (left, right) = (pads.get(letter, (0, 0)) for letter in "hw")
        return (top, left, bottom, right)


def value_of(tensor: str, sizes: tuple[int, ...]) -> Value:
    """The value of a tensor with an ONNX shape (channels, height, width), (height, width) or (features,)."""
    groups = {1: ("c",), 2: ("h", "w"), 3: ("c", "h", "w")}[len(sizes)]
    found = dict(zip("".join(groups), sizes, strict=True))
    return Value(tensor, (found.get("h", 1), found.get("w", 1), found.get("c", 1)), groups)


def regrouped(value: Value, sizes: tuple[int, ...]) -> Value:
    """The value reshaped to ONNX sizes (batch left out). Unsupported when an axis would be cut."""
    left = list(value.wide("".join(value.groups)))
    groups = []
    for size in sizes:
        group = ""
        while left and value.size(group) < size:
            group += left.pop(0)
        if value.size(group) != size:
            raise Unsupported(
                f"must flatten all but the batch axis, or put whole axes together, not reshape {list(value.sizes)} to "
                f"{list(sizes)}"
            )
        groups.append(group)
    if left:
        raise Unsupported(f"a sample of shape {list(value.sizes)} must fit the new shape {list(sizes)}")
    return dataclasses.replace(value, groups=tuple(groups))


def relabelled(value: Value, letters: dict[str, str]) -> Value:
    """The value with other names for our axes: old letter -> new letter."""
    sizes = {letters[letter]: value.size(letter) for letter in "hwc"}
    return dataclasses.replace(
        value,
        shape=(sizes["h"], sizes["w"], sizes["c"]),
        groups=tuple("".join(letters[letter] for letter in group) for group in value.groups),
        pads=tuple((letters[letter], pads) for letter, pads in value.pads),
    )
