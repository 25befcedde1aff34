"""Top-1 of float networks of MLPerf Tiny and of what recipes make of them, at the level `reference`.

Calibrated on x_calib (at most 512 samples), measured on x and y; for an engine, whether it can run the network or
not. Where it can: the bytes of the weight rows and the cycles of one inference, those of the cost model. The CIFAR-10
samples are lossy: only differences from the float network mean something.

With --draws N each recipe is also calibrated on N random nine tenths of the calibration samples: what other samples of
the same kind would have given. median, low and high are the top-1 of these, all measured on the same x.

Visual Wake Words (vww) and anomaly detection (ad) have no labels: their inputs are those of benchmarks/models.py, one
half to calibrate on, the other to measure on, how far the outputs agree with the float network's.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from measure import CONSOLE, SHARED, SOURCES, Source, options, show
from models import MODELS
from numpy.typing import NDArray

from subbyte.compiler.accuracy import agreement, measure, relative_error
from subbyte.compiler.cost import estimate
from subbyte.compiler.data import Samples, load_calibration, load_samples
from subbyte.compiler.equalize import equalized
from subbyte.compiler.evaluate import flat, run_in_batches
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import Graph, run_float
from subbyte.compiler.input_codes import InputCoding, choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.recipe import RECIPES, Recipe
from subbyte.compiler.sampling import chosen_samples
from subbyte.compiler.schedule import schedule
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.threads import single_threaded
from subbyte.golden.quantize import Method, to_real
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.network import Network

LABELLED, UNLABELLED = ("kws_dscnn", "ic_resnet8"), ("vww", "ad")
MEASURED = {
    recipe.name: recipe
    for recipe in (
        RECIPES["int8"], Recipe("w4-a8", activations="lin8"), RECIPES["w4o-a8"], RECIPES["w4-a4log"],
        RECIPES["w4-a4"], RECIPES["w4o-a4"], RECIPES["w4o-a4fit"],
        Recipe("w4-a4fitted", activations="fitted"),
        *(
            dataclasses.replace(RECIPES[name], name=f"{name}-adaptive", adaptive_rounding=True)
            for name in ("w4o-a4", "w4o-a4fit")
        ),
    )
}
COLUMNS = ("network", "recipe", "n", "top1", "loss", "agreement", "error", "weights", "cycles", "note")
SPREAD = ("median", "low", "high")


@dataclass(frozen=True)
class Measured:
    """A float network with what it is calibrated and measured on.

    calibration : the first arguments of `lower`
    codes, fed : the samples to measure on, as codes of the input and as the network's real input
    wanted : outputs of the float network on them, float64 (n, features); y : labels, int (n,), None without any
    """

    calibration: tuple[Graph, InputCoding, NDArray[np.int64], NDArray[np.float64]]
    codes: NDArray[np.int64]
    wanted: NDArray[np.float64]
    y: NDArray[Any] | None

    def network(self, recipe: Recipe, engine: EngineConfig) -> Network:
        """What `recipe` makes of it for `engine`."""
        graph, coding, codes, fed = self.calibration
        return lower(equalized(graph, fed, recipe), coding, codes, fed, recipe, engine)

    def draw(self, seed: int) -> Measured:
        """Itself with nine tenths of the calibration samples, in a random order."""
        graph, coding, codes, fed = self.calibration
        kept = np.random.default_rng(seed).permutation(len(codes))[: len(codes) * 9 // 10]
        return dataclasses.replace(self, calibration=(graph, coding, codes[kept], fed[kept]))

    def float_result(self) -> dict[str, object]:
        """n and top1 of the float network."""
        return {"n": len(self.codes), "top1": self._top1(self.wanted)}

    def result(self, network: Network) -> dict[str, object]:
        """n, top1, loss of it, agreement (the float network's arg max), error (mean square / variance of outputs).

        top1 and loss are None without labels, agreement where the network reconstructs its input.
        """
        codes = run_in_batches(network, self.codes)
        outputs = flat(to_real(codes, network.tensors[network.output].format), self.calibration[0].output_order)
        top1, wanted = self._top1(outputs), self._top1(self.wanted)
        reconstructs = self.wanted.shape[1] == self.codes[0].size
        return {
            "n": len(self.codes), "top1": top1, "loss": None if wanted is None or top1 is None else wanted - top1,
            "agreement": None if reconstructs else agreement(outputs, self.wanted),
            "error": relative_error(outputs, self.wanted),
        }

    def _top1(self, outputs: NDArray[np.float64]) -> float | None:
        return None if self.y is None else measure("top1", outputs, outputs, self.y)


def measured(name: str, engine: EngineConfig, limit: int | None) -> Measured | str:
    """The network `name` and its samples, at most `limit` to measure on; a reason when they are not there."""
    return _without_labels(name, engine, limit) if name in UNLABELLED else _with_labels(SOURCES[name], engine, limit)


def _with_labels(source: Source, engine: EngineConfig, limit: int | None) -> Measured | str:
    reason = source.missing()
    if reason is not None:
        return reason
    transform, graph = InputTransform((source.offset,), (source.scale,)), import_onnx(source.model)
    calib = arrange(chosen_samples(load_calibration(source.samples), graph, transform, 0), graph, transform)
    data = load_samples(source.samples)
    x, y = arrange(data, graph, transform)[:limit], np.asarray(data.y)[:limit]
    return _measured(graph, transform, engine, calib, x, y)


def _without_labels(name: str, engine: EngineConfig, limit: int | None) -> Measured | str:
    model = MODELS[name]
    if not (SHARED / model.file).is_file():
        return f"skipped, not there: {SHARED / model.file}"
    graph = import_onnx(SHARED / model.file)
    x = arrange(Samples("x", model.samples(SHARED / "data")), graph, model.transform)
    half = len(x) // 2
    return _measured(graph, model.transform, engine, x[:half], x[half:][:limit], None)


def _measured(
    graph: Graph, transform: InputTransform, engine: EngineConfig, calib: NDArray[Any], x: NDArray[Any],
    y: NDArray[Any] | None,
) -> Measured:
    coding = choose_coding(calib, graph, transform, Method.MIN_MAX, engine)
    calibration = (graph, coding, encode(calib, graph, transform, coding), feed(calib, graph, transform))
    wanted = flat(run_float(graph, feed(x, graph, transform)), graph.output_order)
    return Measured(calibration, encode(x, graph, transform, coding), wanted, y)


def rows_of(
    name: str, recipes: list[str], engine: EngineConfig, limit: int | None, draws: int
) -> list[dict[str, object]]:
    """The float network and each recipe; `loss` is what is lost of the float network's top-1."""
    source = measured(name, engine, limit)
    if isinstance(source, str):
        return [{"network": name, "note": source}]
    rows: list[dict[str, object]] = [{"network": name, "recipe": "float"} | source.float_result()]
    for recipe in recipes:
        network = source.network(MEASURED[recipe], engine)
        rows.append({"network": name, "recipe": recipe} | source.result(network) | _costs(network, engine))
        if draws and source.y is not None:
            rows[-1] |= _spread(source, MEASURED[recipe], engine, draws)
        CONSOLE.note(f"  {rows[-1]}")
    return rows


def _spread(source: Measured, recipe: Recipe, engine: EngineConfig, draws: int) -> dict[str, object]:
    """top1 of networks calibrated on draws of the calibration samples."""
    networks = [source.draw(seed).network(recipe, engine) for seed in range(draws)]
    found = np.array([source.result(network)["top1"] for network in networks], dtype=np.float64)
    return dict(zip(SPREAD, map(float, (np.median(found), found.min(), found.max())), strict=True))


def _costs(network: Network, engine: EngineConfig) -> dict[str, object]:
    """weights, cycles; a note where `engine` cannot run it."""
    try:
        program = schedule(network, engine)
    except ScheduleError as error:
        return {"note": f"refused: {error}"}
    return {"weights": program.weights.nbytes, "cycles": estimate(program).cycles}


@single_threaded
def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--network", choices=[*LABELLED, *UNLABELLED], nargs="+", default=[*LABELLED, *UNLABELLED])
    parser.add_argument("--recipe", choices=MEASURED, nargs="+", default=list(MEASURED))
    parser.add_argument("--engine", choices=PRESETS, default="up5k")
    parser.add_argument("--draws", type=int, default=0, help="other draws of the calibration samples (none)")
    parser.add_argument("--limit", type=int, help="samples to measure on (all)")
    arguments = parser.parse_args()
    engine = PRESETS[arguments.engine]
    rows = [row for name in arguments.network for row in rows_of(
        name, arguments.recipe, engine, arguments.limit, arguments.draws
    )]
    show(rows, (*COLUMNS, *(SPREAD if arguments.draws else ())), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
