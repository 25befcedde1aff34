"""A trained network -> QONNX, integers as they are: what `subbyte compile` reads back to the same codes.

Weights are Quant nodes with scale 1, thresholds MultiThreshold on the sums, lines a factor and a Quant that rounds
down. The input are the bytes of images. Sums of two tensors, tables and lookups are not among what the importer takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from subbyte.spec.formats import Kind, TensorFormat
from subbyte.train.layers.fold import Line, Thresholds
from subbyte.train.layers.trace import LinearCall, Shape
from subbyte.train.networks.base import QuantNetwork
from subbyte.train.to_network import check_integers, module_names, traced

DOMAIN = "qonnx.custom_op.general"
OPSET, IR_VERSION = 13, 8
WEIGHT_BITS = 8
LARGEST_EXACT = 1 << 24
"""Integers up to this are float32 numbers."""


def to_qonnx(model: QuantNetwork, path: Path, name: str = "trained") -> None:
    """Write `model`. ValueError names a layer that the importer has no node for, before anything is written."""
    check_integers(model)
    trace = QonnxTrace(model)
    traced(model, trace)
    onnx.save(trace.finish(name, model.shape), path)


class QonnxTrace:
    """Collects nodes; tensors are integers, the operands of codes, channels first."""

    def __init__(self, model: QuantNetwork) -> None:
        self.names = module_names(model)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.float32]] = {}
        self.forms: dict[str, TensorFormat] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def _constant(self, name: str, values: Any) -> str:
        array = np.asarray(values, dtype=np.float64)
        self.constants[name] = array.astype(np.float32)
        if not np.array_equal(self.constants[name], array):
            raise ValueError(f"Constant {name} must be float32 numbers to be written as QONNX")
        return name

    def _node(self, op: str, target: str, inputs: Iterable[str], domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [target], name=target, domain=domain, **attributes))
        return target

    def _quant(self, target: str, source: str, bits: int, zero_point: int, signed: bool, rounding: str) -> str:
        values = {"scale": 1, "zero": zero_point, "bits": bits}
        constants = (self._constant(f"{target}.{key}", value) for key, value in values.items())
        return self._node(
            "Quant", target, (source, *constants), DOMAIN, signed=int(signed), narrow=0, rounding_mode=rounding
        )

    def input(self, form: TensorFormat, shape: Shape) -> str:
        """Bytes are their own codes."""
        self.forms["input.codes"] = form
        return self._quant("input.codes", "input", form.bits, 0, False, "FLOOR")

    def linear(self, call: LinearCall) -> str:
        """Conv or MatMul and what makes codes of the sums."""
        name, requantizer = self.names[call.module], call.requantizer
        if call.skip:
            raise ValueError(f"Layer {name} adds two tensors, which cannot be written as QONNX that is read back")
        weight = call.weight.transpose(0, 3, 1, 2)
        bias = requantizer.bias if isinstance(requantizer, Line) else np.zeros(len(weight), dtype=np.int64)
        if np.abs(bias).max() >= LARGEST_EXACT:
            raise ValueError(f"Layer {name}: bias must be below {LARGEST_EXACT} to be a float32 number")
        if call.dense:
            flat = self._node("Flatten", f"{name}.flat", [call.source], axis=1)
            matrix = self._weights(name, weight.reshape(len(weight), -1).T)
            product = self._node("MatMul", f"{name}.product", [flat, matrix])
            sums = self._node("Add", f"{name}.sums", [product, self._constant(f"{name}.bias", bias)])
        else:
            sums = self._node(
                "Conv", f"{name}.sums",
                [call.source, self._weights(name, weight), self._constant(f"{name}.bias", bias)],
                kernel_shape=list(weight.shape[2:]), strides=list(call.stride), pads=list(call.padding),
                group=call.groups,
            )
        if isinstance(requantizer, Thresholds):
            return self._thresholds(name, sums, requantizer, call.form, call.shape[:2])
        return self._line(name, sums, requantizer, call.form, call.shape[:2], call.dense)

    def _weights(self, name: str, weight: NDArray[np.int64]) -> str:
        if np.abs(weight).max() == 1 and (weight != 0).all():
            one = self._constant(f"{name}.weight.scale", 1)
            return self._node("BipolarQuant", f"{name}.weight", (self._constant(f"{name}.real", weight), one), DOMAIN)
        return self._quant(
            f"{name}.weight", self._constant(f"{name}.real", weight), WEIGHT_BITS, 0, True, "ROUND"
        )

    def _thresholds(
        self, name: str, sums: str, requantizer: Thresholds, form: TensorFormat, size: tuple[int, int]
    ) -> str:
        self._check(name, form)
        levels = np.clip(requantizer.levels, -LARGEST_EXACT, LARGEST_EXACT)
        step, start = (2.0, -1.0) if form.kind is Kind.BIN else (1.0, -float(form.zero_point))
        self.forms[name], self.sizes[name] = form, size
        return self._node(
            "MultiThreshold", name, (sums, self._constant(f"{name}.levels", levels)), DOMAIN, out_scale=step,
            out_bias=start, out_dtype="BIPOLAR" if form.kind is Kind.BIN else f"UINT{form.bits}",
        )

    def _line(
        self, name: str, sums: str, line: Line, form: TensorFormat, size: tuple[int, int], flat: bool = False,
        factor: int = 1,
    ) -> str:
        """floor(sums * gain + 1/2) + zero point, clipped: sums have the bias."""
        self._check(name, form)
        gain = factor * line.multiplier / 2.0**line.shift
        shape = (1, -1) if flat else (1, -1, 1, 1)
        scaled = self._node("Mul", f"{name}.scaled", (sums, self._constant(f"{name}.gain", gain.reshape(shape))))
        half = self._node("Add", f"{name}.half", (scaled, self._constant(f"{name}.one_half", 0.5)))
        self.forms[name] = form
        self.sizes[name] = size
        return self._quant(name, half, form.bits, form.zero_point, False, "FLOOR")

    def _check(self, name: str, form: TensorFormat) -> None:
        if form.kind not in (Kind.LIN, Kind.BIN):
            raise ValueError(f"Layer {name} has codes of a table, which cannot be written as QONNX")

    def recode(
        self, module: nn.Module, source: str, table: NDArray[np.int64], form: TensorFormat, shape: Shape
    ) -> str:
        """Nothing where codes stay themselves."""
        if self.forms[source] == form and np.array_equal(table, np.arange(len(table))):
            return source
        raise ValueError(f"Layer {self.names[module]} is a lookup of codes, which cannot be written as QONNX")

    def max_pool(self, module: nn.Module, source: str, kernel: int, stride: int, shape: Shape) -> str:
        """MaxPool."""
        name = self.names[module]
        self.forms[name], self.sizes[name] = self.forms[source], shape[:2]
        return self._node("MaxPool", name, [source], kernel_shape=[kernel] * 2, strides=[stride] * 2)

    def average_pool(self, module: nn.Module, source: str, line: Line, form: TensorFormat, shape: Shape) -> str:
        """GlobalAveragePool, whose mean times the number of pixels are the sums."""
        name, (height, width) = self.names[module], self.sizes[source]
        mean = self._node("GlobalAveragePool", f"{name}.mean", [source])
        return self._line(name, mean, line, form, (1, 1), factor=height * width)

    def finish(self, name: str, shape: tuple[int, int, int]) -> onnx.ModelProto:
        """The model; its output are the operands of the last codes."""
        graph = helper.make_graph(
            self.nodes, name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, key) for key, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="subbyte")
