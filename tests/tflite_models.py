"""Small TFLite files, written with the schema's own builders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tflite

DTYPES = {"INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32, "FLOAT32": np.float32}

OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "ADD": "AddOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions", "SOFTMAX": "SoftmaxOptions", "RESHAPE": "ReshapeOptions", "PAD": "PadOptions",
    "QUANTIZE": "QuantizeOptions", "DEQUANTIZE": "DequantizeOptions", "SQUEEZE": "SqueezeOptions",
}
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5}
SAME, VALID = 0, 1
NONE, RELU, N1_TO_1, RELU6 = 0, 1, 2, 3


@dataclass
class Tensor:
    shape: tuple[int, ...]
    type: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    data: np.ndarray | None
    axis: int


@dataclass
class Operator:
    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass
class Model:
    """Tensors and operators by number; tensor 0 is the input, the last one written the output."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def tensor(
        self, shape: tuple[int, ...], scale: Any = (), zero_point: Any = (), type: str = "INT8",
        data: np.ndarray | None = None, axis: int = 0,
    ) -> int:
        scale, zero_point = (tuple(np.atleast_1d(values).tolist()) for values in (scale, zero_point))
        self.tensors.append(Tensor(tuple(shape), type, scale, zero_point, data, axis))
        return len(self.tensors) - 1

    def constant(self, data: np.ndarray, scale: Any = (), zero_point: Any = (), axis: int = 0) -> int:
        kind = next(name for name, dtype in DTYPES.items() if data.dtype == dtype)
        return self.tensor(data.shape, scale, zero_point, kind, data, axis)

    def add(self, op: str, inputs: tuple[int, ...], output: int, **options: Any) -> int:
        self.operators.append(Operator(op, tuple(inputs), (output,), options))
        return output

    def save(self, path: Path, inputs: tuple[int, ...] = (0,), outputs: tuple[int, ...] = ()) -> Path:
        path.write_bytes(self.to_bytes(inputs, outputs or self.operators[-1].outputs))
        return path

    def to_bytes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> bytes:
        b = flatbuffers.Builder(1024)
        kinds = sorted({operator.op for operator in self.operators})
        blobs = [None, *(tensor.data for tensor in self.tensors if tensor.data is not None)]
        buffers = [table(b, "Buffer", Data=None if blob is None else b.CreateByteVector(blob.tobytes()))
                   for blob in blobs]
        numbers = iter(range(1, len(blobs)))
        tensors = [self._tensor(b, index, tensor, next(numbers) if tensor.data is not None else 0)
                   for index, tensor in enumerate(self.tensors)]
        operators = [self._operator(b, operator, kinds) for operator in self.operators]
        codes = [table(b, "OperatorCode", DeprecatedBuiltinCode=min(getattr(tflite.BuiltinOperator, kind), 127),
                       BuiltinCode=getattr(tflite.BuiltinOperator, kind), Version=VERSIONS.get(kind, 1))
                 for kind in kinds]
        graph = table(b, "SubGraph", Tensors=offsets(b, tensors), Inputs=integers(b, inputs),
                      Outputs=integers(b, outputs), Operators=offsets(b, operators))
        root = table(b, "Model", Version=3, OperatorCodes=offsets(b, codes), Subgraphs=offsets(b, [graph]),
                     Buffers=offsets(b, buffers))
        b.Finish(root, b"TFL3")
        return bytes(b.Output())

    def _tensor(self, b: Any, index: int, tensor: Tensor, buffer: int) -> int:
        quantization = None
        if tensor.scale:
            scale = b.CreateNumpyVector(np.array(tensor.scale, np.float32))
            zero_point = b.CreateNumpyVector(np.array(tensor.zero_point, np.int64))
            quantization = table(b, "QuantizationParameters", Scale=scale, ZeroPoint=zero_point,
                                 QuantizedDimension=tensor.axis)
        return table(b, "Tensor", Shape=integers(b, tensor.shape), Type=getattr(tflite.TensorType, tensor.type),
                     Buffer=buffer, Name=b.CreateString(f"tensor{index}"), Quantization=quantization)

    def _operator(self, b: Any, operator: Operator, kinds: list[str]) -> int:
        values: dict[str, Any] = {"OpcodeIndex": kinds.index(operator.op), "Inputs": integers(b, operator.inputs),
                                  "Outputs": integers(b, operator.outputs)}
        if operator.op in OPTIONS:
            kind = OPTIONS[operator.op]
            values["BuiltinOptions"] = table(b, kind, **operator.options)
            values["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, kind)
        return table(b, "Operator", **values)


def table(b: Any, kind: str, **fields: Any) -> int:
    getattr(tflite, f"{kind}Start")(b)
    for name, value in fields.items():
        if value is not None:
            getattr(tflite, f"{kind}Add{name}")(b, value)
    return getattr(tflite, f"{kind}End")(b)


def integers(b: Any, values: tuple[int, ...]) -> int:
    return b.CreateNumpyVector(np.array(values, np.int32))


def offsets(b: Any, items: list[int]) -> int:
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def window(**more: int) -> dict[str, int]:
    """Options of a convolution."""
    return {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1,
            "FusedActivationFunction": NONE} | more


def pool(height: int, width: int, **more: int) -> dict[str, int]:
    """Options of a pool."""
    return {"Padding": VALID, "StrideH": height, "StrideW": width, "FilterHeight": height, "FilterWidth": width,
            "FusedActivationFunction": NONE} | more


class Layers(Model):
    """A model that grows at its end, with random weights in ranges where outputs spread over all codes."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], scale: float = 0.05, zero_point: int = -3):
        super().__init__()
        self.rng, self.last = rng, self.tensor((1, *shape), scale, zero_point)

    @property
    def end(self) -> Tensor:
        return self.tensors[self.last]

    def _weights(self, shape: tuple[int, ...], axis: int, per_channel: bool, high: int) -> tuple[int, int]:
        channels = shape[axis]
        scale = self.rng.uniform(0.002, 0.02, channels if per_channel else 1)
        weight = self.rng.integers(-127, high + 1, shape).astype(np.int8)
        bias = self.rng.integers(-3000, 3000, channels).astype(np.int32)
        zeros = np.zeros(len(scale), int)
        return (self.constant(weight, scale, zeros, axis if per_channel else 0),
                self.constant(bias, scale * self.end.scale[0], zeros))

    def conv(
        self, channels: int, kernel: tuple[int, int] = (3, 3), scale: float = 0.08, zero_point: int = 7,
        per_channel: bool = True, high: int = 127, **options: int,
    ) -> int:
        weights = self._weights((channels, *kernel, self.end.shape[3]), 0, per_channel, high)
        return self._window("CONV_2D", weights, channels, kernel, scale, zero_point, window(**options))

    def depthwise(
        self, multiplier: int = 1, kernel: tuple[int, int] = (3, 3), scale: float = 0.05, zero_point: int = -5,
        high: int = 127, **options: int,
    ) -> int:
        channels = self.end.shape[3] * multiplier
        weights = self._weights((1, *kernel, channels), 3, True, high)
        return self._window("DEPTHWISE_CONV_2D", weights, channels, kernel, scale, zero_point,
                            window(DepthMultiplier=multiplier, **options))

    def _window(self, op, weights, channels, kernel, scale, zero_point, options) -> int:
        sizes = []
        for size, reach, name in zip(self.end.shape[1:3], kernel, "HW", strict=True):
            step, covered = options[f"Stride{name}"], (reach - 1) * options[f"Dilation{name}Factor"] + 1
            sizes.append(-(-size // step) if options["Padding"] == SAME else (size - covered) // step + 1)
        output = self.tensor((1, *sizes, channels), scale, zero_point)
        self.last = self.add(op, (self.last, *weights), output, **options)
        return self.last

    def dense(
        self, outputs: int, scale: float = 0.3, zero_point: int = 11, per_channel: bool = False, high: int = 127,
        **options: int,
    ) -> int:
        weights = self._weights((outputs, int(np.prod(self.end.shape))), 0, per_channel, high)
        output = self.tensor((1, outputs), scale, zero_point)
        self.last = self.add("FULLY_CONNECTED", (self.last, *weights), output, **options)
        return self.last

    def same(self, op: str, shape: tuple[int, ...], extra: tuple[int, ...] = (), **options: int) -> int:
        """An operator whose output has the scale and zero point of its input."""
        output = self.tensor((1, *shape), self.end.scale, self.end.zero_point)
        self.last = self.add(op, (self.last, *extra), output, **options)
        return self.last

    def reshape(self, *shape: int) -> int:
        return self.same("RESHAPE", shape, (self.constant(np.array([1, *shape], np.int32)),))

    def mean(self, scale: float, zero_point: int) -> int:
        output = self.tensor((1, self.end.shape[3]), scale, zero_point)
        axes = self.constant(np.array([1, 2], np.int32))
        self.last = self.add("MEAN", (self.last, axes), output, KeepDims=False)
        return self.last

    def sum(self, other: int, scale: float, zero_point: int, **options: int) -> int:
        output = self.tensor(self.end.shape, scale, zero_point)
        self.last = self.add("ADD", (other, self.last), output, **options)
        return self.last
