"""Cycles of two small networks on up5k and up5k-plain, MLP 64-32-10 and CNN8: first (cold) and second (weights
resident) inference.

The bar of the MLP is for `up5k-plain`: the outlier slot of `up5k`, of no use here, makes the array a stage longer.
MLP: 2,368 multiply-accumulates, all weights 4 bits, input codes 0..255, hidden codes of 4 bits; its weights are
seeded random numbers of a trained layer's size, as cycles do not depend on them. Its input are the bundled digits in
256 grey levels. CNN8: the bundled network, conv3x3 1->8, pool, conv3x3 8->16, pool, dense 64->10, 23,680
multiply-accumulates. Exit status 1 when a bar is missed, RTL and reference differ, or the cost model is 5 % off.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from measure import CONSOLE, SOURCES, Source, compiled, options, run, show
from onnx import TensorProto, helper, numpy_helper

from subbyte.bundled import digits_data
from subbyte.compiler.recipe import load_recipe
from subbyte.spec.engine import load_engine

LAYERS = (64, 32, 10)
BARS = {("MLP", "up5k-plain"): 200, ("CNN8", "up5k-plain"): 1000, ("CNN8", "up5k"): 1000}
ENGINES = ("up5k", "up5k-plain")
TOLERANCE = 0.05
COLUMNS = (
    "network", "recipe", "engine", "equal", "cold", "cycles", "bar", "predicted", "ratio", "met", "difference"
)


def mlp_model() -> onnx.ModelProto:
    """Dense layers of `LAYERS` with ReLU between them, input ('N', 64)."""
    rng = np.random.default_rng(1)
    nodes, weights, tensor = [], [], "input"
    for i, (inputs, outputs) in enumerate(zip(LAYERS, LAYERS[1:], strict=False)):
        arrays = {
            f"w{i}": rng.normal(0, inputs**-0.5, (outputs, inputs)), f"b{i}": rng.normal(0, 0.1, outputs)
        }
        weights += [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
        nodes.append(helper.make_node("Gemm", [tensor, *arrays], [f"dense{i}"], f"dense{i}", transB=1))
        tensor = f"dense{i}"
        if i < len(LAYERS) - 2:
            nodes.append(helper.make_node("Relu", [tensor], [f"relu{i}"], f"relu{i}"))
            tensor = f"relu{i}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("input", LAYERS[0]), (tensor, LAYERS[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def mlp_source(folder: Path) -> Source:
    """The MLP and the digits, values 0..255, written to `folder`."""
    onnx.save(mlp_model(), folder / "mlp.onnx")
    with np.load(digits_data()) as digits:
        images = digits["x_calib"].reshape(-1, LAYERS[0])
    grey = np.minimum(images.astype(np.int64) * 16, 255).astype(np.uint8)
    np.savez(folder / "mlp.npz", allow_pickle=False, x_calib=grey)
    return Source(folder / "mlp.onnx", folder / "mlp.npz", 1 / 255)


def measure(network: str, source: Source, recipe_name: str, engine: str) -> dict[str, object]:
    """One row of the table."""
    recipe = load_recipe(recipe_name)
    if network == "MLP":
        recipe = dataclasses.replace(recipe, first=4, last=4)
    model, bar = compiled(source, load_engine(engine), recipe), BARS.get((network, engine))
    row: dict[str, object] = {"network": network, "recipe": recipe_name, "engine": engine, "bar": bar}
    with CONSOLE.step(f"{network} {recipe_name} {engine}") as progress:
        result = run(model.network, model.program, model.codes(model.samples)[:2], progress)
    cycles = int(str(result["cycles"]))
    met = result["equal"] and cycles <= (bar or cycles) and abs(result["ratio"] - 1) <= TOLERANCE
    return row | result | {"met": bool(met)}


def main() -> int:
    arguments = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        sources = {"MLP": mlp_source(Path(scratch)), "CNN8": SOURCES["bundled"]}
        rows = [
            measure(network, source, recipe, engine)
            for network, source in sources.items() for recipe in ("w4-a4", "w4-a4log") for engine in ENGINES
        ]
    show(rows, COLUMNS, arguments.json)
    return int(not all(row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
