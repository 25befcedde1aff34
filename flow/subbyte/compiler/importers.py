"""Which importer reads a model file: told by its suffix and by what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from subbyte.compiler.canonical import canonical
from subbyte.compiler.graph import Graph
from subbyte.compiler.onnx_file import read_model
from subbyte.compiler.onnx_import import analyse, import_onnx, supported
from subbyte.compiler.qonnx_import import analyse_qonnx, is_qonnx
from subbyte.compiler.recipe import DEFAULT_RECIPE, IMPORT_RECIPE, Recipe, RecipeError
from subbyte.spec.network import Network

TFLITE_IDENTIFIER = b"TFL3"

STORED_NAMES = ("model.onnx", "model.tflite")
"""What the copy of a model in a compiled directory may be called."""


@dataclass(frozen=True)
class Inspected:
    """A model before anything is compiled.

    input, feed : name of the input, its shape without the batch
    nodes : (name, operator, reason) in execution order; the reason is empty where the node is supported, None where
        it is behind an unsupported one and cannot be judged
    graph : None unless all nodes are supported
    """

    input: str
    feed: tuple[int, ...]
    nodes: tuple[tuple[str, str, str | None], ...]
    graph: Graph | None


@dataclass(frozen=True)
class Imported:
    """A model as the compiler needs it.

    graph : the float graph; of a quantized model with the real numbers that its integers stand for
    exact : the graph has quantizers of its own (`exact_nodes`), from which its integers follow
    network : of a model that has its integers in the file; None for others, whose integers are yet to be found
    """

    graph: Graph
    exact: bool = False
    network: Network | None = None


def is_tflite(path: Path) -> bool:
    """Whether `path` is to be read as a TFLite file."""
    if path.suffix in (".tflite", ".onnx") or not path.is_file():
        return path.suffix == ".tflite"
    with open(path, "rb") as file:
        return file.read(8)[4:] == TFLITE_IDENTIFIER


def is_quantized(path: Path) -> bool:
    """Whether the model brings its own integers, so that it is imported and not quantized. False if unreadable."""
    return is_tflite(path) or is_qonnx(path)


def stored_name(path: Path) -> str:
    """What the copy of a model is called."""
    return STORED_NAMES[is_tflite(path)]


def default_recipe(path: Path) -> str:
    """Name of the recipe of a model for which none is asked."""
    return IMPORT_RECIPE if is_quantized(path) else DEFAULT_RECIPE


def inspect_model(path: Path) -> Inspected:
    """What `subbyte inspect` tells. ModelError when the file cannot be read."""
    if is_tflite(path):
        # The schema's hundreds of modules take as long to load as everything else: only for models that need them.
        from subbyte.compiler.tflite_import import analyse_tflite

        told = analyse_tflite(path)
        nodes = tuple((f.node.name, f.node.op, f.reason) for f in told.findings)
        return Inspected(told.input, told.feed, nodes, told.graph)
    quantized = is_qonnx(path)
    model, findings, graph = analyse_qonnx(path) if quantized else analyse(path)
    named = tuple((f.node.name, f.node.op, f.reason) for f in findings)
    return Inspected(model.input, model.feed, named, graph if quantized else graph and canonical(graph))


def import_model(path: Path, recipe: Recipe) -> Imported:
    """The model in `path`, its integers as `recipe` wants them if it is quantized.

    ModelError when it cannot be read, or naming every unsupported node; RecipeError when the recipe is for models of
    the other kind.
    """
    quantized = is_quantized(path)
    if quantized != recipe.imported:
        if not quantized:
            read_model(path)  # one that cannot be read is not float either
        kind, other = ("quantized", "float") if quantized else ("float", "quantized")
        fitting = IMPORT_RECIPE if quantized else DEFAULT_RECIPE
        raise RecipeError(
            f"Recipe {recipe.name} is for {other} models, {path} is {kind}: use --recipe {fitting}"
        )
    if not quantized:
        return Imported(import_onnx(path))
    if not is_tflite(path):
        _, findings, graph = analyse_qonnx(path)
        return Imported(supported(path, findings, graph), exact=True)
    from subbyte.compiler.tflite_import import import_tflite
    from subbyte.compiler.tflite_scales import Kernels

    tflite_graph, network = import_tflite(path, Kernels(recipe.kernels))
    return Imported(tflite_graph, network=network)
