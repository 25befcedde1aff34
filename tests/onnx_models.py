"""Small ONNX models for tests, and the comparison of the float graph with ONNX Runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.evaluate import flat
from subbyte.compiler.graph import Graph, run_float
from subbyte.compiler.onnx_import import import_onnx

LAST = ("Softmax", "LogSoftmax", "ArgMax")


def node(op: str, *inputs: str, out: str = "out", name: str = "", domain: str = "", **attributes: Any) -> Any:
    """A node called after its output."""
    return helper.make_node(op, inputs, [out], name=name or f"{op}_{out}", domain=domain, **attributes)


def write_model(
    path: Path, nodes: Sequence[Any], constants: dict[str, np.ndarray], feed: tuple[int, ...], opset: int = 18,
    batch: Any = "n",
) -> Path:
    """A model of `nodes` with the input `in` (batch, *feed) and the output `out`."""
    graph = helper.make_graph(
        list(nodes), "test",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [batch, *feed])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def named_like_made(graph: Graph, what: str) -> Graph:
    """The graph with every node and tensor called after the one before, as what is made for that is called."""
    nodes = {node.name: ".".join(["n", *[what] * index]) for index, node in enumerate(graph.nodes)}
    tensors = {name: ".".join(["n", *[what] * index]) for index, name in enumerate(graph.shapes)}

    def renamed(node: Any) -> Any:
        inputs = tuple(tensors[name] for name in node.inputs)
        read = {"input": inputs[0]} if hasattr(node, "input") else {"inputs": inputs}
        return dataclasses.replace(node, name=nodes[node.name], output=tensors[node.output], **read)

    return dataclasses.replace(
        graph, nodes=tuple(map(renamed, graph.nodes)), input=tensors[graph.input], output=tensors[graph.output],
        shapes={tensors[name]: shape for name, shape in graph.shapes.items()},
    )


def runtime_outputs(path: Path, x: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of x (n, *feed), sample by sample, in front of a Softmax or ArgMax at the end."""
    model = onnx.load(path)
    while model.graph.node[-1].op_type in LAST:
        ended = model.graph.node.pop()
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info(ended.input[0], TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in x])


def expect_like_runtime(path: Path, x: np.ndarray) -> None:
    """Float graph and ONNX Runtime agree on x (n, *feed)."""
    expected = runtime_outputs(path, x)
    graph = import_onnx(path)
    out = flat(run_float(graph, graph.to_internal(x.astype(np.float64))), graph.output_order)
    np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
