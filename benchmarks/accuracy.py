"""Top-1 of float networks and of what recipes make of them, at the level `reference`.

    python benchmarks/accuracy.py MODEL.onnx DATA.npz [--input-offset O] [--input-scale S] [--limit N] [--engine E]

Calibrated on x_calib (at most 512 samples), measured on x and y. One line of JSON per recipe.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from subbyte.compiler.accuracy import measure
from subbyte.compiler.compile import chosen_samples
from subbyte.compiler.data import load_calibration, load_samples
from subbyte.compiler.evaluate import flat, run_in_batches
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import run_float
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.recipe import RECIPES, Recipe
from subbyte.golden.quantize import Method, to_real
from subbyte.spec.engine import load_engine

MEASURED = (*RECIPES.values(), Recipe("w4-a8", activations="lin8"), Recipe("w4-a4fitted", activations="fitted"))


def main() -> None:
    """Print the float accuracy, then that of each recipe."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--input-offset", type=float, default=0.0)
    parser.add_argument("--input-scale", type=float, default=1.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--engine", default="up5k")
    parser.add_argument("--recipe", action="append", help="by name; default: all")
    options = parser.parse_args()
    transform = InputTransform((options.input_offset,), (options.input_scale,))
    graph, engine = import_onnx(options.model), load_engine(options.engine)
    calib = arrange(chosen_samples(load_calibration(options.data), graph, transform, 0), graph, transform)
    data = load_samples(options.data)
    x = arrange(data, graph, transform)[: options.limit]
    y = None if data.y is None else data.y[: options.limit]
    fed = feed(x, graph, transform)
    value = measure("top1", flat(run_float(graph, fed)), fed, y)
    facts = {"model": str(options.model), "n": len(x), "recipe": "float", "top1": round(value, 4)}
    print(json.dumps(facts), flush=True)
    coding = choose_coding(calib, graph, transform, Method.MIN_MAX)
    for recipe in MEASURED:
        if options.recipe and recipe.name not in options.recipe:
            continue
        start = time.monotonic()
        fed_calib = feed(calib, graph, transform)
        network = lower(graph, coding, encode(calib, graph, transform, coding), fed_calib, recipe, engine)
        lowered = time.monotonic()
        codes = run_in_batches(network, encode(x, graph, transform, coding))
        outputs = to_real(codes, network.tensors[network.output].format)
        print(json.dumps({
            "recipe": recipe.name, "top1": round(measure("top1", flat(outputs), fed, y), 4),
            "lower_s": round(lowered - start, 1), "run_s": round(time.monotonic() - lowered, 1),
        }), flush=True)


if __name__ == "__main__":
    main()
