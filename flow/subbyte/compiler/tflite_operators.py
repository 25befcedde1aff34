"""What each TFLite operator becomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from subbyte.compiler.graph import AddNode
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.tflite_builder import INPUT, Builder
from subbyte.compiler.tflite_file import TfliteOperator
from subbyte.compiler.tflite_linear import convolution, dense, depthwise
from subbyte.compiler.tflite_pools import average_pool, max_pool, mean
from subbyte.compiler.tflite_scales import TOP_CODE, scales
from subbyte.spec.network import Add

SUMMAND_BITS = 20
"""TFLite shifts summands left by so many bits before it scales them."""


def _add(builder: Builder, operator: TfliteOperator) -> None:
    """ADD of two computed tensors of one shape."""
    first, second = (builder.value(number) for number in operator.inputs)
    sizes = builder.sizes(operator.outputs[0])
    if any(value.sizes != sizes or builder.shapes[value.tensor] != builder.shapes[first.tensor]
           for value in (first, second)):
        raise Unsupported(f"both inputs must have the shape of the output {list(sizes)}")
    steps = [float(builder.format(number).scale) for number in operator.inputs]
    twice = 2 * max(steps)
    total = twice / ((1 << SUMMAND_BITS) * builder.format(operator.outputs[0]).scale)
    found = scales(np.array([*(step / twice for step in steps), total]))
    if not found.multiplier.all():
        raise Unsupported(f"scales of the inputs must not differ as much as {steps}")
    builder.activation(operator)
    builder.declare(operator.outputs[0], operator.name)
    inputs = (first.tensor, second.tensor)
    builder.write(
        operator,
        lambda name: Add(operator.name, inputs, name, found.multiplier, found.shift, builder.kernels.rounding),
        (0, TOP_CODE),
    )
    builder.write_float(operator, lambda name: AddNode(operator.name, inputs, name))


def _pad(builder: Builder, operator: TfliteOperator) -> None:
    """PAD of height and width, whose zeros are the zero point."""
    pads = builder.tensor(operator.inputs[1]).data
    builder.spatial(operator.inputs[0])
    if pads is None or pads.shape != (4, 2) or pads[[0, 3]].any() or pads.min() < 0:
        raise Unsupported("paddings must be constants, of height and width alone")
    if builder.format(operator.inputs[0]) != builder.format(operator.outputs[0]):
        raise Unsupported("input and output must have one scale and zero point")
    if operator.outputs[0] == builder.model.output:
        raise Unsupported("only a convolution may follow a PAD")
    builder.pad(operator, pads)


def _reshape(builder: Builder, operator: TfliteOperator) -> None:
    """RESHAPE and SQUEEZE: the same values in the same order; those of the model's input get their shape here."""
    value, sizes = builder.value(operator.inputs[0]), builder.sizes(operator.outputs[0])
    if math.prod(sizes) != math.prod(value.sizes):
        raise Unsupported(f"shape must have as many values as the input {list(value.sizes)}, not {list(sizes)}")
    if builder.format(operator.inputs[0]) != builder.format(operator.outputs[0]):
        raise Unsupported("input and output must have one scale and zero point")
    if value.tensor == INPUT and not builder.layers:
        builder.declare(operator.outputs[0], INPUT)
    else:
        builder.values[operator.outputs[0]] = replace(value, sizes=sizes)


OPERATORS: dict[str, Callable[[Builder, TfliteOperator], None]] = {
    "CONV_2D": convolution, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense, "ADD": _add,
    "AVERAGE_POOL_2D": average_pool, "MAX_POOL_2D": max_pool, "MEAN": mean, "PAD": _pad, "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
}
"""Operator -> its translation."""

ENDS = {
    "QUANTIZE": "a QUANTIZE can only be the first operator, of an input that is not int8: between int8 tensors let a "
    "convolution or dense layer write the scale that the next one reads",
    "DEQUANTIZE": "a DEQUANTIZE can only be the last operator: quantize the whole model to int8",
    "SOFTMAX": "a SOFTMAX can only be the last operator",
}
"""Operators that are left out at the ends of a model, and why they cannot be anywhere else."""


SHAPES = "build the model with a batch of 1 and fixed shapes, so that nothing computes them"

TRAIN = "take a ReLU or ReLU6 in training"
FUSE = "let a convolution or dense layer be in front of it, into which the converter fuses it"

HINTS = {
    "LOGISTIC": "its order is that of its input: leave it out at the end of a model, elsewhere take a ReLU",
    "HARD_SWISH": f"{TRAIN}, or the float ONNX model, whose HardSwish is a lookup",
    "TANH": TRAIN, "LEAKY_RELU": TRAIN, "PRELU": TRAIN, "ELU": TRAIN, "RELU": FUSE, "RELU6": FUSE,
    "PADV2": "pad with zeros, which is a PAD", "MIRROR_PAD": "pad with zeros, which is a PAD",
    "MUL": "take a convolution, into which constant factors are folded", "SUB": "take an ADD",
    "CONCATENATION": "take the float ONNX model, whose Concat is supported",
    "TRANSPOSE_CONV": "take an ordinary convolution", "ARG_MAX": "leave it out, the host does it",
    "SHAPE": SHAPES, "STRIDED_SLICE": SHAPES, "PACK": SHAPES, "FILL": SHAPES, "GATHER": SHAPES,
}
"""Operator that is often met -> what to do instead."""


def unknown(op: str) -> str:
    """The reason why an operator without translation is refused."""
    if op in ENDS:
        return ENDS[op]
    hint = f": {HINTS[op]}" if op in HINTS else ""
    return f"not supported{hint}; supported are {', '.join(sorted([*OPERATORS, *ENDS]))}"
