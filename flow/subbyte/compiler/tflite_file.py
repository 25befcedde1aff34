"""Reading a TFLite file into plain Python: tensors, operators with their options, the one input and the one output."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from subbyte.compiler.graph import ModelError

IDENTIFIER = b"TFL3"
"""Bytes 4..8 of every TFLite file of schema version 3."""

OPTIONS = {
    "CONV_2D": ("Conv2DOptions", (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction",
    )),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction",
    )),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("WeightsFormat", "FusedActivationFunction")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", (
        "Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction",
    )),
    "MAX_POOL_2D": ("Pool2DOptions", (
        "Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction",
    )),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
}
"""Operator -> (class of its options, those that matter); all are integers."""


def _names(kind: Any) -> dict[int, str]:
    return {value: name for name, value in vars(kind).items() if isinstance(value, int)}


OPERATOR_NAMES = _names(tflite.BuiltinOperator)
TYPE_NAMES = _names(tflite.TensorType)

_DTYPES = {"INT8": np.int8, "INT32": np.int32, "INT64": np.int64, "FLOAT32": np.float32}
"""Types of constants that are read; all lie in the file little-endian."""


@dataclass(frozen=True)
class TfliteTensor:
    """A tensor of the file.

    Parameters
    ----------
    shape : batch included
    type : as in INT8
    scale, zero_point : float32 and int64, one value or one per channel; empty where the tensor has none
    axis : of the channels that the scales belong to
    data : of a constant of a known type, else None
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scale: NDArray[np.float32] = field(repr=False)
    zero_point: NDArray[np.int64] = field(repr=False)
    axis: int = 0
    data: NDArray[Any] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class TfliteOperator:
    """One operator; it has no name in the file and is called after its kind and its position there, from 0.

    inputs, outputs : numbers of tensors, -1 for an omitted one
    """

    op: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class TfliteModel:
    """The part of the first subgraph that its output depends on.

    name : stem of the file
    operators : in execution order
    input, output : numbers of tensors
    """

    name: str
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    input: int
    output: int


def _list(vector: Any) -> tuple[int, ...]:
    """A vector of integers; flatbuffers says 0 for one that is absent."""
    return tuple(int(value) for value in vector) if isinstance(vector, np.ndarray) else ()


def _tensor(model: Any, tensor: Any) -> TfliteTensor:
    kind, shape = TYPE_NAMES.get(tensor.Type(), str(tensor.Type())), _list(tensor.ShapeAsNumpy())
    scale, zero_point, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    quantization = tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        scale, axis = quantization.ScaleAsNumpy().copy(), quantization.QuantizedDimension()
        zero_point = np.zeros(len(scale), np.int64)
        if quantization.ZeroPointLength():
            zero_point = quantization.ZeroPointAsNumpy().astype(np.int64)
    buffer, data = model.Buffers(tensor.Buffer()), None
    if buffer is not None and buffer.DataLength() and kind in _DTYPES and tensor.Sparsity() is None:
        data = np.frombuffer(buffer.DataAsNumpy().tobytes(), np.dtype(_DTYPES[kind]).newbyteorder("<")).reshape(shape)
    name = (tensor.Name() or b"").decode()
    return TfliteTensor(name, shape, kind, scale, zero_point, axis, data)


def _options(op: str, table: Any) -> dict[str, int]:
    if op not in OPTIONS:
        return {}
    kind, keys = OPTIONS[op]
    options = getattr(tflite, kind)()
    if table is not None:
        options.Init(table.Bytes, table.Pos)
        return {key: int(getattr(options, key)()) for key in keys}
    raise ValueError(f"an operator {op} lacks its options")


def _operator(model: Any, operator: Any, position: int) -> TfliteOperator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the old field holds those below 127 alone
    op = OPERATOR_NAMES.get(number, str(number))
    if op == "CUSTOM":
        op = f"CUSTOM {(code.CustomCode() or b'').decode()}"
    return TfliteOperator(
        op=op,
        name=f"{op.lower().replace(' ', '_')}_{position}",
        inputs=_list(operator.InputsAsNumpy()),
        outputs=_list(operator.OutputsAsNumpy()),
        options=_options(op, operator.BuiltinOptions()),
    )


def _live(operators: list[TfliteOperator], output: int) -> tuple[TfliteOperator, ...]:
    """Operators that `output` depends on, in the order given."""
    needed, kept = {output}, []
    for operator in reversed(operators):
        if needed & set(operator.outputs):
            needed |= set(operator.inputs)
            kept.append(operator)
    return tuple(kept[::-1])


def read_tflite(path: Path) -> TfliteModel:
    """The model in `path`.

    ModelError when the file is missing, not TFLite, damaged, or has more than one input or output.
    """
    if not path.is_file():
        found = "is a directory" if path.exists() else "does not exist"
        raise ModelError(f"Model {path} must be a TFLite file, it {found}")
    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise ModelError(f"Model {path} must be a TFLite file: its content is something else")
    try:
        return _model(path, tflite.Model.GetRootAs(content, 0))
    except ModelError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError, struct.error) as error:
        raise ModelError(f"Model {path} is damaged: {' '.join(str(error).split())}") from None


def _model(path: Path, model: Any) -> TfliteModel:
    graph = model.Subgraphs(0)
    ends = {"input": _list(graph.InputsAsNumpy()), "output": _list(graph.OutputsAsNumpy())}
    tensors = tuple(_tensor(model, graph.Tensors(index)) for index in range(graph.TensorsLength()))
    for role, numbers in ends.items():
        if len(numbers) != 1:
            names = ", ".join(tensors[number].name for number in numbers)
            raise ModelError(f"Model {path} must have one {role}, not {len(numbers)}: {names}")
    operators = [_operator(model, graph.Operators(index), index) for index in range(graph.OperatorsLength())]
    for number in {n for operator in operators for n in (*operator.inputs, *operator.outputs)}:
        if number >= len(tensors):
            raise ValueError(f"an operator has tensor {number} of {len(tensors)}")
    (source,), (target,) = ends.values()
    return TfliteModel(path.stem, tensors, _live(operators, target), source, target)
