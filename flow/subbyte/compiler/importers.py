"""Model file -> graph, by what the file holds."""

from __future__ import annotations

from pathlib import Path

from subbyte.compiler import onnx_import, qonnx_import
from subbyte.compiler.canonical import canonical
from subbyte.compiler.graph import Graph
from subbyte.compiler.onnx_file import OnnxModel
from subbyte.compiler.onnx_import import Finding
from subbyte.compiler.recipe import DEFAULT_RECIPE, IMPORT


def is_quantized(path: Path) -> bool:
    """Whether the model brings its own integers, so that it is imported and not quantized. False if unreadable."""
    return qonnx_import.is_qonnx(path)


def default_recipe(path: Path) -> str:
    """Name of the recipe of a model for which none is asked."""
    return IMPORT.name if is_quantized(path) else DEFAULT_RECIPE


def analyse(path: Path) -> tuple[OnnxModel, list[Finding], Graph | None]:
    """The model, a finding per node, and its graph if all nodes are supported. ModelError when it cannot be read."""
    if is_quantized(path):
        return qonnx_import.analyse_qonnx(path)
    model, findings, graph = onnx_import.analyse(path)
    return model, findings, graph and canonical(graph)


def import_model(path: Path) -> Graph:
    """The graph of a model. ModelError when it cannot be read, or naming everything that is not supported."""
    return onnx_import.supported(path, *analyse(path)[1:])
