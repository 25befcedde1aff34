"""Reading an ONNX file into plain Python: live nodes, constants, the one input and the one output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from subbyte.compiler.graph import ModelError
from subbyte.compiler.onnx_order import live, order_problems

OLDEST_OPSET = 8

QUANTIZERS = ("BinaryQuant", "BipolarQuant", "FloatQuant", "IntQuant", "MultiThreshold", "Quant", "Trunc")
"""Operators of other domains whose output has the shape of their first input."""


@dataclass(frozen=True)
class OnnxNode:
    """One operator: its inputs ('' for an omitted one), outputs and attributes as Python values; `proto` is ONNX's."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(repr=False)
    proto: Any = field(repr=False, default=None)


@dataclass(frozen=True)
class OnnxModel:
    """The part of an ONNX graph that its outputs depend on.

    Parameters
    ----------
    name : stem of the file
    nodes : in execution order, those with constant results left out
    constants : name -> array, initializers and folded nodes
    input, output : tensor names, the first where there are several; '' for none
    feed : shape of the input without its batch axis, 1 to 3 sizes; empty where they are not fixed
    batch : number of samples where the file fixes it, else 1
    inferred : tensor name -> shape without its batch axis, where ONNX shape inference knows it
    opset : version of the standard operators
    problems : why the model cannot be imported whatever its nodes are; with one of them the nodes can still be judged
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    constants: dict[str, NDArray[Any]] = field(repr=False)
    input: str
    output: str
    feed: tuple[int, ...]
    inferred: dict[str, tuple[int, ...]] = field(repr=False)
    opset: int = OLDEST_OPSET
    batch: int = 1
    problems: tuple[str, ...] = ()


def _parse(path: Path) -> Any:
    if not path.is_file():
        found = "is a directory" if path.exists() else "does not exist"
        raise ModelError(f"Model {path} must be an ONNX file, it {found}")
    try:
        proto = onnx.load(path)
    except DecodeError:
        raise ModelError(f"Model {path} must be an ONNX file: its content is something else") from None
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"Model {path} cannot be read: {' '.join(str(error).split())}") from None
    if not proto.graph.node or not proto.opset_import:
        raise ModelError(f"Model {path} must be an ONNX file with at least one node, it has none")
    return proto


def _check_names(path: Path, graph: Any) -> None:
    """Protobuf hands out a name that is not UTF-8 as bytes; nothing behind expects that."""
    for node in graph.node:
        names = (node.op_type, node.domain, node.name, *node.input, *node.output, *(a.name for a in node.attribute))
        odd = [name for name in names if isinstance(name, bytes)]
        if odd:
            raise ModelError(
                f"Model {path} is damaged: node {node.name!r} ({node.op_type!r}) must have names in UTF-8, "
                f"not {odd[0]!r}"
            )
    for kind in ("initializer", "input", "output"):
        for entry in getattr(graph, kind):
            if isinstance(entry.name, bytes):
                raise ModelError(f"Model {path} is damaged: the name of an {kind} must be UTF-8, not {entry.name!r}")


def _opset(path: Path, proto: Any) -> int:
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    opset = max(versions, default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"Model {path} must have opset {OLDEST_OPSET} or newer, not {opset}")
    return opset


def constant_results(node: Any, constants: dict[str, NDArray[Any]], opset: int) -> list[NDArray[Any]] | None:
    """What a standard node computes from constants; None when it does not or ONNX cannot compute it."""
    inputs = [name for name in node.input if name]
    if node.domain not in ("", "ai.onnx") or any(name not in constants for name in inputs):
        return None
    if not inputs and node.op_type != "Constant":
        return None
    try:  # as a model: of a node alone ONNX forgets the opset
        values = [onnx.helper.make_empty_tensor_value_info(name) for name in inputs]
        results = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = onnx.helper.make_graph([node], "constant", values, results)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        found = ReferenceEvaluator(model).run(None, {name: constants[name] for name in inputs})
    except Exception:  # whatever it is: the node is then judged like any other
        return None
    return [np.asarray(result) for result in found]


def _fold(nodes: list[Any], constants: dict[str, NDArray[Any]], opset: int) -> list[Any]:
    """Move the results of nodes that depend on constants only into `constants`; the other nodes."""
    rest = []
    for node in nodes:
        results = constant_results(node, constants, opset)
        if results is None:
            rest.append(node)
        else:
            constants.update(zip(node.output, results, strict=True))
    return rest


def _unique_names(nodes: list[Any]) -> list[str]:
    """Names of nodes; one without a name, or with that of another, is called after its operator and output."""
    given = [node.name for node in nodes]
    return [
        node.name if node.name and given.count(node.name) == 1 else f"{node.op_type}_{node.output[0]}" for node in nodes
    ]


def _sizes(value_info: Any) -> tuple[int, ...] | None:
    """Shape behind the batch axis, None when a size or the rank is unknown."""
    tensor = value_info.type.tensor_type
    sizes = tuple(int(d.dim_value) for d in tensor.shape.dim[1:])
    return sizes if tensor.HasField("shape") and 1 <= len(sizes) <= 3 and all(s > 0 for s in sizes) else None


def _inferred(proto: Any) -> dict[str, tuple[int, ...]]:
    """What ONNX infers. It knows nothing of quantizers, so that they are Identity to it, and what is behind goes on."""
    known_to_it = onnx.ModelProto()
    known_to_it.CopyFrom(proto)
    for node in known_to_it.graph.node:
        if node.op_type in QUANTIZERS:
            node.CopyFrom(onnx.helper.make_node("Identity", node.input[:1], node.output[:1]))
    try:
        graph = onnx.shape_inference.infer_shapes(known_to_it).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        return {}
    known = {info.name: _sizes(info) for info in graph.value_info}
    return {name: sizes for name, sizes in known.items() if sizes is not None}


def read_model(path: Path) -> OnnxModel:
    """The model in `path`.

    ModelError when the file is missing, not ONNX, damaged or older than opset 8. What is wrong with inputs, outputs
    and the order of nodes is in `problems`.
    """
    proto = _parse(path)
    try:
        return _model(path, proto)
    except ModelError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(f"Model {path} is damaged: {' '.join(str(error).split())}") from None


def _end_problems(inputs: list[Any], outputs: list[Any], feed: tuple[int, ...] | None) -> Iterator[str]:
    """What is wrong with the ends of a model."""
    for kind, infos in (("input", inputs), ("output", outputs)):
        if len(infos) != 1:
            shown = f": {', '.join(info.name for info in infos)}" if infos else ""
            yield f"it must have one {kind}, not {len(infos)}{shown}"
    if inputs and feed is None:
        sizes = [d.dim_value or d.dim_param or "?" for d in inputs[0].type.tensor_type.shape.dim]
        yield f"input {inputs[0].name} must have a batch axis and 1 to 3 axes of fixed size, not {sizes}"


def _model(path: Path, proto: Any) -> OnnxModel:
    opset = _opset(path, proto)
    graph = proto.graph
    _check_names(path, graph)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    feed = _sizes(inputs[0]) if inputs else None
    outputs = [info.name for info in graph.output]
    problems = list(_end_problems(inputs, list(graph.output), feed))
    needed = live(graph.node, outputs)
    known = {*constants, *(info.name for info in inputs)}
    problems += order_problems(needed, _unique_names(needed), known)
    written = known.union(*(node.output for node in needed))
    problems += [f"output {name} must be written by a node, none does" for name in outputs if name not in written]
    nodes = _fold(needed, constants, opset)
    return OnnxModel(
        name=path.stem,
        nodes=tuple(
            OnnxNode(
                op=f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type,
                name=name,
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                attributes={a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
                proto=node,
            )
            for node, name in zip(nodes, _unique_names(nodes), strict=True)
        ),
        constants=constants,
        input=inputs[0].name if inputs else "",
        output=outputs[0] if outputs else "",
        feed=feed or (),
        inferred=_inferred(proto),
        opset=opset,
        batch=max(inputs[0].type.tensor_type.shape.dim[0].dim_value, 1) if feed else 1,
        problems=tuple(problems),
    )
