"""ONNX operators that only regroup axes, and those that end a model: none of them is a node of the graph."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_values import Value, regrouped
from subbyte.compiler.onnx_window import Unsupported

FLOATS = (1, 10, 11, 16)
"""ONNX numbers of the float types."""


Translate = Callable[[Builder, OnnxNode], None]


def _nothing_to_an_index(translate: Translate) -> Translate:
    """The same for a node that, behind ArgMax or TopK, shapes and casts what is not computed anyway."""

    @functools.wraps(translate)
    def told(builder: Builder, node: OnnxNode) -> None:
        value = builder.values.get(node.inputs[0])
        if value is not None and value.ended_by in ("ArgMax", "TopK"):
            builder.values[node.outputs[0]] = value
        else:
            translate(builder, node)

    return told


@_nothing_to_an_index
def flatten(builder: Builder, node: OnnxNode) -> None:
    """All axes but the batch in one."""
    axis = node.attributes.get("axis", 1)
    source = builder.source(node, ended=True) if axis == 1 or axis < 0 else None
    if source is None or axis not in (1, 1 - source.rank):
        raise Unsupported(f"axis must be 1, not {axis}")
    builder.values[node.outputs[0]] = dataclasses.replace(source, groups=("".join(source.groups),))


def _target(full: tuple[int, ...], wanted: list[int], allow_zero: bool) -> tuple[int, ...]:
    """Shape that Reshape makes of samples of shape `full`, batch included."""
    target = [full[i] if size == 0 and not allow_zero and i < len(full) else size for i, size in enumerate(wanted)]
    count, known = int(np.prod(full)), int(np.prod([size for size in target if size != -1]))
    if -1 in target and known > 0:
        target[target.index(-1)] = count // known
    if int(np.prod(target)) != count:
        raise Unsupported(f"a batch of shape {list(full)} must fit the new shape {wanted}")
    return tuple(target)


@_nothing_to_an_index
def reshape(builder: Builder, node: OnnxNode) -> None:
    """Other groups of axes, or giving the model's flat input its image axes; the batch size stands for any."""
    source = builder.source(node, ended=True)
    wanted = [int(size) for size in builder.raw_constant(node, 1)]
    full = (builder.model.batch, *source.sizes)
    batch, *sizes = _target(full, wanted, bool(node.attributes.get("allowzero", 0)))
    if batch != full[0]:
        raise Unsupported(f"must flatten all but the batch axis, not reshape {list(source.sizes)} to {wanted}")
    if not builder.bound and len(builder.model.feed) == 1 and len(sizes) == 3 and source.rank == 2:
        builder.values[node.outputs[0]] = builder.split_input(source, tuple(sizes))
    else:
        builder.values[node.outputs[0]] = regrouped(source, tuple(sizes))


def transpose(builder: Builder, node: OnnxNode) -> None:
    """Another order of axes, the batch first."""
    order = [int(axis) for axis in node.attributes.get("perm", ())]
    if order and order[0] != 0:
        raise Unsupported(f"perm must keep the batch axis first, not be {order}")
    source = builder.source(node, padded=True)
    order = order or list(range(source.rank))[::-1]
    if sorted(order) != list(range(source.rank)) or order[0] != 0:
        raise Unsupported(f"perm must keep the batch axis first, not be {order}")
    groups = tuple(source.groups[axis - 1] for axis in order[1:])
    builder.values[node.outputs[0]] = dataclasses.replace(source, groups=groups)


def _axes(builder: Builder, node: OnnxNode, rank: int) -> list[int]:
    """Axes of Squeeze and Unsqueeze, an attribute up to opset 12, counted in `rank` axes."""
    if len(node.inputs) > 1 and node.inputs[1]:
        given = builder.raw_constant(node, 1).reshape(-1)
    elif "axes" in node.attributes:
        given = np.asarray(node.attributes["axes"])
    else:
        raise Unsupported("axes is missing")
    axes = sorted(int(axis) % rank for axis in given)
    if not axes or axes[0] == 0 or len(set(axes)) != len(axes):
        raise Unsupported(f"axes must be different ones behind the batch axis, not {axes}")
    return axes


@_nothing_to_an_index
def squeeze(builder: Builder, node: OnnxNode) -> None:
    """Drop axes of size 1, all of them where none is named; never that of the batch, which stands for any."""
    source = builder.source(node, ended=True)
    if "axes" in node.attributes or len(node.inputs) > 1 and node.inputs[1]:
        axes = _axes(builder, node, source.rank)
    else:
        axes = [axis for axis, size in enumerate(source.sizes, start=1) if size == 1]
    builder.values[node.outputs[0]] = regrouped(
        source, tuple(size for axis, size in enumerate(source.sizes, start=1) if axis not in axes)
    )


@_nothing_to_an_index
def unsqueeze(builder: Builder, node: OnnxNode) -> None:
    """Put in axes of size 1."""
    source = builder.source(node, ended=True)
    rank = len(node.inputs) > 1 and builder.raw_constant(node, 1).size or len(node.attributes.get("axes", ()))
    groups = list(source.groups)
    for axis in _axes(builder, node, source.rank + rank):
        groups.insert(axis - 1, "")
    builder.values[node.outputs[0]] = dataclasses.replace(source, groups=tuple(groups))


def shape(builder: Builder, node: OnnxNode) -> None:
    """The sizes, a constant: the batch size of the model stands for any."""
    sizes = (builder.model.batch, *builder.source(node).sizes)
    span = slice(int(node.attributes.get("start", 0)), node.attributes.get("end"))
    builder.constants[node.outputs[0]] = np.array(sizes[span], dtype=np.int64)


@_nothing_to_an_index
def identity(builder: Builder, node: OnnxNode) -> None:
    """The same tensor by another name."""
    builder.values[node.outputs[0]] = builder.source(node, ended=True)


def dropout(builder: Builder, node: OnnxNode) -> None:
    """Nothing in inference."""
    if len(node.inputs) > 2 and node.inputs[2] and builder.raw_constant(node, 2).any():
        raise Unsupported("training_mode must be false")
    identity(builder, node)


@_nothing_to_an_index
def cast(builder: Builder, node: OnnxNode) -> None:
    """To a float type: the graph knows real numbers only."""
    if node.attributes["to"] not in FLOATS:
        raise Unsupported("only casts to float types are supported, the model computes with real numbers")
    identity(builder, node)


def last(builder: Builder, node: OnnxNode) -> None:
    """Softmax, LogSoftmax and ArgMax are dropped: the order of the outputs, and so the arg max, is the same without."""
    flattened = node.op != "ArgMax" and builder.model.opset < 13
    axis = int(node.attributes.get("axis", 0 if node.op == "ArgMax" else 1 if flattened else -1))
    source = builder.source(node, ended=True) if axis else None
    if source is None or not _all_features(source, axis % source.rank, flattened):
        raise Unsupported("must be over the features of a flat tensor")
    builder.values[node.outputs[0]] = dataclasses.replace(source, only=f"nothing may follow a {node.op}")


def _all_features(source: Value, axis: int, flattened: bool) -> bool:
    """Whether all axes larger than 1 lie under an ONNX axis, with `flattened` under it and those behind."""
    if axis == 0:
        return False
    seen = source.groups[axis - 1 :] if flattened else source.groups[axis - 1 : axis]
    return source.size("".join(seen)) == source.size("hwc")
