"""Small QONNX models for tests, and their execution in rationals, written apart from the importer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx_models import node, write_model

from subbyte.compiler.graph import Graph
from subbyte.compiler.importers import import_model
from subbyte.compiler.recipe import IMPORT_RECIPE, load_recipe

DOMAIN = "qonnx.custom_op.general"


def imported(path: Path) -> Graph:
    """The graph of a QONNX file, with its quantizers."""
    return import_model(path, load_recipe(IMPORT_RECIPE)).graph


def away(x: Fraction) -> int:
    """Half away from zero."""
    size = math.floor(abs(x) + Fraction(1, 2))
    return size if x > 0 else -size


def towards(x: Fraction) -> int:
    """Half towards zero."""
    size = math.ceil(abs(x) - Fraction(1, 2))
    return size if x > 0 else -size


ROUND: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round, "HALF_EVEN": round, "CEIL": math.ceil, "FLOOR": math.floor, "DOWN": math.trunc,
    "ROUND_TO_ZERO": math.trunc, "UP": lambda x: math.ceil(x) if x > 0 else math.floor(x), "HALF_UP": away,
    "HALF_DOWN": towards,
}


def quantized(x: Fraction, scale: Fraction, zero: int, bits: int, at: dict[str, Any]) -> Fraction:
    """Quant of one number."""
    signed, narrow = at.get("signed", 1), at.get("narrow", 0)
    low, high = (-(1 << bits - 1) + narrow, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1 - narrow)
    mode = at.get("rounding_mode", b"ROUND").decode()
    return (ROUND[mode](min(max(x / scale + zero, Fraction(low)), Fraction(high))) - zero) * scale


def fractions(values: np.ndarray) -> np.ndarray:
    """The same numbers as rationals."""
    return np.array([Fraction(float(v)) for v in np.asarray(values).reshape(-1)], dtype=object).reshape(values.shape)


def _channels(values: np.ndarray, rank: int) -> np.ndarray:
    return values.reshape(1, -1, *[1] * (rank - 2))


def _root(x: Fraction) -> Fraction:
    digits = 10**80
    exact = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
    return exact if exact * exact == x else Fraction(math.isqrt(x.numerator * digits**2 // x.denominator), digits)


def _windows(x: np.ndarray, at: dict[str, Any], fill: Any) -> np.ndarray:
    top, left, bottom, right = at.get("pads", (0, 0, 0, 0))
    full = np.full((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right), fill, dtype=object)
    full[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
    down, across = at.get("strides", (1, 1))
    return np.lib.stride_tricks.sliding_window_view(full, at["kernel_shape"], axis=(2, 3))[:, :, ::down, ::across]


def _executed(op: str, at: dict[str, Any], a: list[np.ndarray]) -> np.ndarray:
    x = a[0]
    if op == "Quant":
        parts = np.broadcast_arrays(x, a[1], a[2], a[3])
        flat = [quantized(v, s, int(z), int(b), at) for v, s, z, b in zip(*(p.reshape(-1) for p in parts), strict=True)]
        return np.array(flat, dtype=object).reshape(x.shape)
    if op == "BipolarQuant":
        return np.where(x >= 0, 1, -1) * a[1]
    if op == "MultiThreshold":
        levels = a[1].reshape(1, len(a[1]), *[1] * (x.ndim - 2), -1)
        count = (x[..., None] >= levels).sum(axis=-1).astype(object)
        return count * Fraction(at.get("out_scale", 1.0)) + Fraction(at.get("out_bias", 0.0))
    if op == "BatchNormalization":
        gain, shift, mean, variance = (_channels(values, x.ndim) for values in a[1:])
        spread = np.vectorize(_root, otypes=[object])(variance + Fraction(float(np.float32(at["epsilon"]))))
        return (x - mean) / spread * gain + shift
    if op == "Conv":
        windows = _windows(x, {**at, "kernel_shape": a[1].shape[2:]}, Fraction(0))
        groups = at.get("group", 1)
        pieces = [
            np.tensordot(w, k, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
            for w, k in zip(np.split(windows, groups, axis=1), np.split(a[1], groups), strict=True)
        ]
        return np.concatenate(pieces, axis=1) + (_channels(a[2], 4) if len(a) > 2 else 0)
    if op in ("MaxPool", "AveragePool"):
        windows = _windows(x, at, Fraction(-(10**9)) if op == "MaxPool" else Fraction(0))
        size = math.prod(at["kernel_shape"])
        return windows.max(axis=(4, 5)) if op == "MaxPool" else windows.sum(axis=(4, 5)) / size
    if op == "Flatten":
        return x.reshape(len(x), -1)
    simple: dict[str, Callable[[], np.ndarray]] = {
        "MatMul": lambda: x.dot(a[1]), "Add": lambda: x + a[1], "Sub": lambda: x - a[1], "Mul": lambda: x * a[1],
        "Div": lambda: x / a[1], "Relu": lambda: np.maximum(x, Fraction(0)), "Softmax": lambda: x, "TopK": lambda: x,
        "Clip": lambda: np.minimum(np.maximum(x, a[1]), a[2]), "Neg": lambda: -x, "Identity": lambda: x,
        "Transpose": lambda: x.transpose(at["perm"]),
    }
    return simple[op]()


def executed(path: Path, x: np.ndarray) -> np.ndarray:
    """What the model makes of x (n, *feed), in rationals; constants are quantized in float32. Softmax is left out."""
    graph = onnx.load(path).graph
    values = {tensor.name: fractions(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    constants = set(values)
    values["in"] = fractions(x)
    for one in graph.node:
        at = {a.name: helper.get_attribute_value(a) for a in one.attribute}
        inputs = [values[name] for name in one.input]
        if one.op_type == "Quant" and one.input[0] in constants:
            ratio = inputs[0].astype(np.float32) / inputs[1].astype(np.float32)
            scales = np.broadcast_to(inputs[1], inputs[0].shape)
            inputs = [fractions(ratio) * scales, *inputs[1:]]
        values[one.output[0]] = _executed(one.op_type, at, inputs)
    return values["out"]


class Maker:
    """A model that grows node by node; every method names the tensor that it makes."""

    def __init__(self, feed: tuple[int, ...], seed: int = 0) -> None:
        self.feed, self.rng = feed, np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.last = "in"

    def constant(self, values: Any) -> str:
        """Name of a float32 constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype=np.float32)
        return name

    def add(self, op: str, *constants: Any, domain: str = "", source: str = "", **attributes: Any) -> Maker:
        """A node that reads the last tensor, or `source`, and constants."""
        inputs = [source or self.last, *(self.constant(values) for values in constants)]
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(node(op, *inputs, out=self.last, domain=domain, **attributes))
        return self

    def quant(self, scale: Any = 1.0, bits: int = 4, zero: int = 0, source: str = "", **attributes: Any) -> Maker:
        """Quant of the last tensor."""
        return self.add("Quant", scale, zero, bits, domain=DOMAIN, source=source, **attributes)

    def bipolar(self, scale: Any = 1.0, source: str = "") -> Maker:
        """BipolarQuant of the last tensor."""
        return self.add("BipolarQuant", scale, domain=DOMAIN, source=source)

    def weighted(self, op: str, weight: np.ndarray, bits: int = 2, scale: Any = 1.0, **attributes: Any) -> Maker:
        """MatMul or Conv with quantized weights: bipolar for 1 bit, narrow ones else."""
        before, name = self.last, self.constant(weight)
        if bits == 1:
            self.bipolar(scale, source=name)
        else:
            self.quant(scale, bits, source=name, narrow=1)
        quantized = self.last
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(node(op, before, quantized, out=self.last, **attributes))
        return self

    def normalize(self, gain: Sequence[float], shift: Any, mean: Any, variance: Any, epsilon: float = 0.0) -> Maker:
        """BatchNormalization."""
        count = len(gain)
        values = (np.broadcast_to(np.float32(v), count).copy() for v in (gain, shift, mean, variance))
        return self.add("BatchNormalization", *values, epsilon=epsilon)

    def write(self, path: Path) -> Path:
        """The model, whose output is the last tensor."""
        self.nodes[-1].output[0] = "out"
        return write_model(path, self.nodes, self.constants, self.feed, opset=13)
