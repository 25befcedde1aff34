"""ONNX pools, means over height and width, and Pad, which the node behind takes up."""

from __future__ import annotations

import dataclasses

from subbyte.compiler.graph import AveragePoolNode, MaxPoolNode
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_values import Value
from subbyte.compiler.onnx_window import Unsupported, Window, padded_shape, padded_window, pool_kernel, pool_window

IMAGE = ("c", "h", "w")

BORDER = "count_include_pad must be 1 where there are pads: the divisor must be the same everywhere"


def largest(builder: Builder, node: OnnxNode) -> None:
    """MaxPool. A Pad in front is one that never wins where no value is below its zeros."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsupported("the indices output is not available")
    pool_kernel(node)
    source = builder.image(node)
    if any(source.padding()) and not builder.never_negative(source.tensor):
        raise Unsupported("a Pad in front of it must come behind a Relu; or use pads of MaxPool itself")
    found = pool_window(node, padded_shape(source.shape, source.padding()))
    found = padded_window(found, source.padding())
    if max(found.padding[::2]) >= found.kernel[0] or max(found.padding[1::2]) >= found.kernel[1]:
        raise Unsupported(f"pads must be smaller than the kernel {list(found.kernel)}, not {list(found.padding)}")
    builder.append(
        MaxPoolNode(node.name, source.tensor, node.outputs[0], found.kernel, found.stride, found.padding), IMAGE
    )


def average(builder: Builder, node: OnnxNode) -> None:
    """AveragePool; the mean of a window at the border is over the whole window, its padding included."""
    pool_kernel(node)
    if any(node.attributes.get("pads", ())) and not node.attributes.get("count_include_pad", 0):
        raise Unsupported(BORDER)
    source = builder.image(node)
    found = pool_window(node, padded_shape(source.shape, source.padding()))
    ends = dataclasses.replace(node, attributes={**node.attributes, "ceil_mode": 0})
    if found != pool_window(ends, padded_shape(source.shape, source.padding())):
        raise Unsupported("ceil_mode must be 0 where windows reach beyond the input: the divisor is smaller there")
    if any(found.padding) and not node.attributes.get("count_include_pad", 0):
        raise Unsupported(BORDER)
    found = padded_window(found, source.padding())
    builder.append(
        AveragePoolNode(node.name, source.tensor, node.outputs[0], found.kernel, found.stride, found.padding), IMAGE
    )


def _all(value: Value) -> Window:
    """The window that is the whole image, its pads included."""
    padding = value.padding()
    size = padded_shape(value.shape, padding)[:2]
    return Window(size, (1, 1), padding)


def global_average(builder: Builder, node: OnnxNode) -> None:
    """The mean over height and width."""
    source = builder.image(node)
    found = _all(source)
    builder.append(
        AveragePoolNode(node.name, source.tensor, node.outputs[0], found.kernel, found.stride, found.padding), IMAGE
    )


def global_max(builder: Builder, node: OnnxNode) -> None:
    """The maximum over height and width."""
    source = builder.image(node)
    if any(source.padding()):
        raise Unsupported("it must not come behind a Pad")
    builder.append(
        MaxPoolNode(node.name, source.tensor, node.outputs[0], source.shape[:2], (1, 1)), IMAGE
    )


def reduce_mean(builder: Builder, node: OnnxNode) -> None:
    """ReduceMean over height and width. The axes are an attribute up to opset 17."""
    if len(node.inputs) > 1 and node.inputs[1]:
        given = [int(axis) for axis in builder.raw_constant(node, 1).reshape(-1)]
    else:
        given = [int(axis) for axis in node.attributes.get("axes", ())]
    if not given and node.attributes.get("noop_with_empty_axes", 0):
        builder.values[node.outputs[0]] = builder.source(node)
        return
    if not given:
        raise Unsupported("axes must be those of height and width: none are given, the mean is over the batch too")
    source = builder.source(node)
    axes = {axis % source.rank for axis in given}
    gone = "".join(source.wide(source.groups[axis - 1]) for axis in sorted(axes) if axis)
    if 0 in axes or set(gone) != set(source.wide("hw")):
        raise Unsupported(f"axes must be those of height and width, both in one node, not {sorted(given)}")
    groups = []
    for axis, group in enumerate(source.groups, start=1):
        if axis not in axes:
            groups.append(group)
        elif node.attributes.get("keepdims", 1):
            groups.append("")
    found = _all(source)
    builder.append(
        AveragePoolNode(node.name, source.tensor, node.outputs[0], found.kernel, found.stride), tuple(groups)
    )


def pad(builder: Builder, node: OnnxNode) -> None:
    """Zeros around the input, which the node behind takes up. The pads are an attribute up to opset 10."""
    mode = node.attributes.get("mode", b"constant").decode()
    fill = node.attributes.get("value", 0.0)
    if len(node.inputs) > 2 and node.inputs[2]:
        fill = builder.number(node, 2)
    if mode != "constant" or fill != 0:
        raise Unsupported(f"it must pad with zeros, not {mode} {fill:g}")
    pads = [int(size) for size in (builder.raw_constant(node, 1) if len(node.inputs) > 1 else node.attributes["pads"])]
    if min(pads) < 0:
        raise Unsupported(f"pads must be two sizes of at least 0 per axis, not {pads}")
    source = builder.source(node, padded=True)
    axes = list(range(source.rank))
    if len(node.inputs) > 3 and node.inputs[3]:
        axes = [int(axis) % source.rank for axis in builder.raw_constant(node, 3)]
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"pads must be two sizes of at least 0 per axis, not {pads}")
    found = dict(source.pads)
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if not begin and not end:
            continue
        group = source.groups[axis - 1] if axis else ""
        if len(group) != 1:
            raise Unsupported("it must pad height and width only")
        before = found.get(group, (0, 0))
        found[group] = (before[0] + begin, before[1] + end)
    builder.values[node.outputs[0]] = dataclasses.replace(source, pads=tuple(found.items()))
