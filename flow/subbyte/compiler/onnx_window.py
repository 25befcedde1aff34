"""Kernel, strides and padding of ONNX Conv and MaxPool nodes."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.graph import Padding, Shape, Size, window_size
from subbyte.compiler.onnx_file import OnnxNode

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


class Unsupported(ValueError):
    """Why an operator cannot be imported; the importer adds its name."""


class NotJudged(Exception):
    """Whether a node is supported cannot be told: it is behind one that is not, of which not enough is known."""


@dataclass(frozen=True)
class Window:
    """A sliding window: (vertical, horizontal) sizes and (top, left, bottom, right) padding."""

    kernel: Size
    stride: Size
    padding: Padding


def padded_shape(shape: Shape, padding: Padding) -> Shape:
    """Shape of a tensor with zeros around it."""
    top, left, bottom, right = padding
    return (shape[0] + top + bottom, shape[1] + left + right, shape[2])


def padded_window(found: Window, padding: Padding) -> Window:
    """A window over a tensor with `padding` around it, as one over the tensor itself."""
    top, left, bottom, right = (one + other for one, other in zip(found.padding, padding, strict=True))
    return Window(found.kernel, found.stride, (top, left, bottom, right))


def integers(node: OnnxNode, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute that must hold as many integers as `default`."""
    values = tuple(int(v) for v in node.attributes.get(name, default))
    if len(values) != len(default):
        raise Unsupported(f"{name} must have {len(default)} values (two spatial axes), not {len(values)}")
    return values


def _same(size: int, kernel: int, stride: int, upper: bool) -> tuple[int, int]:
    """Padding (begin, end) that makes the output ceil(size / stride); the odd one at the end if `upper`."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def _auto_pad(node: OnnxNode) -> str:
    return str(node.attributes.get("auto_pad", b"NOTSET").decode())


def _padding(node: OnnxNode, shape: Shape, kernel: Size, stride: Size) -> Padding:
    mode = _auto_pad(node)
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        (top, bottom), (left, right) = (
            _same(shape[axis], kernel[axis], stride[axis], mode == "SAME_UPPER") for axis in (0, 1)
        )
        return (top, left, bottom, right)
    top, left, bottom, right = integers(node, "pads", (0, 0, 0, 0))
    return (top, left, bottom, right)


def steps_of(node: OnnxNode, kernel: Size) -> Size:
    """The strides of `node`. Unsupported names an attribute that fits no input whatever its shape."""
    stride = integers(node, "strides", (1, 1))
    if min(*kernel, *stride) < 1:
        raise Unsupported(f"kernel and strides must be at least 1, not {kernel} and {stride}")
    dilations = integers(node, "dilations", (1, 1))
    if any(step != 1 and size > 1 for step, size in zip(dilations, kernel, strict=True)):
        raise Unsupported(f"dilations must be 1, not {list(dilations)}: train with a larger kernel or more layers")
    mode, padding = _auto_pad(node), integers(node, "pads", (0, 0, 0, 0))
    if mode not in AUTO_PADS:
        raise Unsupported(f"auto_pad must be one of {', '.join(AUTO_PADS)}, not {mode}")
    if mode == "NOTSET" and min(padding) < 0:
        raise Unsupported(f"pads must not be negative, not {list(padding)}")
    return stride[0], stride[1]


def window(node: OnnxNode, shape: Shape, kernel: Size) -> Window:
    """The window of `node` over an input of `shape`. Unsupported names the attribute that does not fit."""
    steps = steps_of(node, kernel)
    padding = _padding(node, shape, kernel, steps)
    try:
        window_size(shape, kernel, steps, padding)
    except ValueError as error:
        raise Unsupported(str(error)) from None
    return Window(kernel, steps, padding)


def _ceil_pad(size: int, kernel: int, stride: int, begin: int, end: int) -> int:
    """End padding with which the floor formula gives the ceil_mode size (windows start inside the input)."""
    count = -(-(size + begin + end - kernel) // stride) + 1
    if (count - 1) * stride >= size + begin:
        count -= 1
    return max(end, (count - 1) * stride + kernel - size - begin)


def pool_kernel(node: OnnxNode) -> Size:
    """The kernel of a pool. Unsupported as `steps_of`."""
    if "kernel_shape" not in node.attributes:
        raise Unsupported("kernel_shape is missing")
    height, width = integers(node, "kernel_shape", (1, 1))
    steps_of(node, (height, width))
    return height, width


def pool_window(node: OnnxNode, shape: Shape) -> Window:
    """As `window` for pools: ceil_mode becomes more padding at the bottom and the right."""
    kernel = pool_kernel(node)
    found = window(node, shape, kernel)
    top, left, bottom, right = found.padding
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise Unsupported(f"pads must be smaller than the kernel {list(kernel)}, not {list(found.padding)}")
    if not node.attributes.get("ceil_mode", 0):
        return found
    bottom = _ceil_pad(shape[0], kernel[0], found.stride[0], top, bottom)
    right = _ceil_pad(shape[1], kernel[1], found.stride[1], left, right)
    return Window(found.kernel, found.stride, (top, left, bottom, right))
