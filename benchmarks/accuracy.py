"""Top-1 of float networks of MLPerf Tiny and of what recipes make of them, at the level `reference`.

Calibrated on x_calib (at most 512 samples), measured on x and y; for the engine `up5k`, whether it can run the
network or not. The CIFAR-10 samples are lossy: only differences from the float network mean something.
"""

from __future__ import annotations

import sys

from measure import CONSOLE, SOURCES, Source, options, show

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
from subbyte.spec.engine import PRESETS

NETWORKS = ("kws_dscnn", "ic_resnet8")
MEASURED = {
    recipe.name: recipe
    for recipe in (
        RECIPES["int8"], Recipe("w4-a8", activations="lin8"), RECIPES["w4-a4log"], RECIPES["w4-a4"],
        Recipe("w4-a4fitted", activations="fitted"),
    )
}
COLUMNS = ("network", "recipe", "n", "top1", "loss", "note")


def rows_of(name: str, source: Source, recipes: list[str], limit: int | None) -> list[dict[str, object]]:
    """The float network and each recipe; `loss` is what is lost of the float network's top-1."""
    reason = source.missing()
    if reason is not None:
        return [{"network": name, "note": reason}]
    transform, graph = InputTransform((source.offset,), (source.scale,)), import_onnx(source.model)
    calib = arrange(chosen_samples(load_calibration(source.samples), graph, transform, 0), graph, transform)
    data = load_samples(source.samples)
    x, y = arrange(data, graph, transform)[:limit], None if data.y is None else data.y[:limit]
    fed = feed(x, graph, transform)
    exact = measure("top1", flat(run_float(graph, fed), graph.output_order), fed, y)
    rows: list[dict[str, object]] = [{"network": name, "recipe": "float", "n": len(x), "top1": exact}]
    coding = choose_coding(calib, graph, transform, Method.MIN_MAX)
    calib_codes, calib_fed = encode(calib, graph, transform, coding), feed(calib, graph, transform)
    for recipe in recipes:
        network = lower(graph, coding, calib_codes, calib_fed, MEASURED[recipe], PRESETS["up5k"])
        codes = run_in_batches(network, encode(x, graph, transform, coding))
        outputs = to_real(codes, network.tensors[network.output].format)
        value = measure("top1", flat(outputs, graph.output_order), fed, y)
        CONSOLE.note(f"  {name} {recipe}: {value:.4f}")
        rows.append({"network": name, "recipe": recipe, "n": len(x), "top1": value, "loss": exact - value})
    return rows


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--network", choices=NETWORKS, nargs="+", default=NETWORKS)
    parser.add_argument("--recipe", choices=MEASURED, nargs="+", default=list(MEASURED))
    parser.add_argument("--limit", type=int, help="samples to measure on (all)")
    arguments = parser.parse_args()
    rows = [
        row for name in arguments.network for row in rows_of(name, SOURCES[name], arguments.recipe, arguments.limit)
    ]
    show(rows, COLUMNS, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
