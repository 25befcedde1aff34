"""Published models on `ecp5-85`, a binary engine of that device, or `asic`: reference = machine = RTL, every tensor.

The float models of MLPerf Tiny and their exports by tf2onnx, its four int8 files of TFLite, five models of QONNX. They
and their samples are no part of the project (`measure.SHARED`); what is not there is skipped. Inputs are the samples
that belong to a model; for those without any: CIFAR-10 images, each pixel nine times, for Visual Wake Words, and random
numbers of a seed for anomaly detection (a spectrum that falls with the frequency, and noise) and for jet tagging.

Cycles are those of the last inference, weights resident, or of the only one, which loads them; `ratio` is predicted
(likewise) / simulated. A model that is refused is listed with the reason. Exit status 1 when a level differs from the
reference, a prediction is off by more than 5 %, or compiling takes more than a minute of a processor.
"""

from __future__ import annotations

import dataclasses
import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import CONSOLE, SHARED, options, show
from numpy.typing import NDArray

from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.cost import estimate
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import IMPORT_RECIPE, load_recipe
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane, load_engine

TOLERANCE = 0.05
COMPILE_SECONDS = 60
SAMPLES = 100
COLUMNS = (
    "model", "engine", "recipe", "compiled", "weights", "words", "of", "predicted", "cycles", "ratio", "machine", "rtl",
    "seconds", "note",
)

ENGINES = {
    # One pixel: line passes and sliding convolutions.
    "ecp5-85-pixel": dataclasses.replace(
        PRESETS["ecp5-85"], name="ecp5-85-pixel", p=1, r=1, memory_words=32768, ring_rows=1024, tile_words=1024,
        param_entries=2048, lut_bits=10,
    ),
    "ecp5-85-binary": EngineConfig(
        "ecp5-85-binary", Family.ECP5, Lane.XNOR, p=4, r=4, operand_bits=4, fill_nibbles=8, memory_words=32768,
        ring_rows=1024, tile_words=1024, param_entries=2048, param_stream=True, device="85k",
    ),
}
"""Engines that are no presets."""


@dataclass(frozen=True)
class Model:
    """A model file below `SHARED`, the engine it is for, and its inputs.

    samples : what gives `SAMPLES` of them, drawn from the folder of samples
    transform : from there to what the model is fed
    rtl : inferences to simulate, few where they take minutes
    """

    file: str
    samples: Callable[[Path], NDArray[np.generic]]
    transform: InputTransform = InputTransform()
    engine: str = "ecp5-85"
    recipes: tuple[str, ...] = ("w4-a4log", "int8")
    rtl: int = 3


def _stored(name: str, key: str = "x", axes: tuple[int, ...] | None = None) -> Callable[[Path], NDArray[np.generic]]:
    """The first samples of a file, with their axes in another order if told."""
    def read(folder: Path) -> NDArray[np.generic]:
        with np.load(folder / f"{name}.npz") as data:
            x = data[key][:SAMPLES]
        return x if axes is None else x.transpose(axes)

    return read


def _enlarged(folder: Path) -> NDArray[np.generic]:
    """Images of 96 x 96."""
    return _stored("cifar10_jpg")(folder).repeat(3, axis=2).repeat(3, axis=3)


def _spectra(_: Path) -> NDArray[np.generic]:
    """Five frames of 128 mel bands in decibels."""
    rng = np.random.default_rng(0)
    falling = np.linspace(0, -45, 128) + rng.normal(0, 4, (SAMPLES, 1, 128))
    return (falling + rng.normal(0, 3, (SAMPLES, 5, 128))).reshape(SAMPLES, 640).astype(np.float32)


def _jets(_: Path) -> NDArray[np.generic]:
    """Integers that stand for numbers in 1/32."""
    return np.random.default_rng(0).integers(-128, 128, (SAMPLES, 16))


LAST = (0, 2, 3, 1)
KWS, UNIT = InputTransform((83.0,), (0.5847029089927673,)), InputTransform(scale=(1 / 255,))
IMAGES_LAST, KWS_LAST, UNIT_LAST = (
    dataclasses.replace(transform, axes=LAST) for transform in (InputTransform(), KWS, UNIT)
)
MODELS = {
    "kws": Model("models/kws_dscnn.onnx", _stored("kws01"), KWS),
    "kws-tf2onnx": Model("models/variants/kws_tf2onnx_nhwc.onnx", _stored("kws01"), KWS_LAST),
    "kws-int8": Model(
        "models/int8/kws_dscnn_int8.tflite", _stored("kws01"), IMAGES_LAST, recipes=(IMPORT_RECIPE,)
    ),
    "ic": Model("models/ic_resnet8.onnx", _stored("cifar10_jpg"), rtl=1),
    "ic-tf2onnx": Model("models/variants/ic_tf2onnx_nhwc.onnx", _stored("cifar10_jpg"), IMAGES_LAST, rtl=1),
    "ic-int8": Model(
        "models/int8/ic_resnet8_int8.tflite", _stored("cifar10_jpg"), IMAGES_LAST, recipes=(IMPORT_RECIPE,), rtl=1
    ),
    "vww": Model("models/vww_mbv1_025.onnx", _enlarged, UNIT, rtl=1),
    "vww-tf2onnx": Model("models/variants/vww_tf2onnx_nhwc.onnx", _enlarged, UNIT_LAST, rtl=1),
    "vww-kai-jiang": Model("models/variants/vww_96_float_kai_jiang.onnx", _enlarged, UNIT, rtl=1),
    "vww-int8": Model(
        "models/int8/vww_mbv1_025_int8.tflite", _enlarged, UNIT_LAST, "asic", (IMPORT_RECIPE,), 1
    ),
    "ad": Model("models/ad_fcae.onnx", _spectra, rtl=1),
    "ad-int8": Model("models/int8/ad_fcae_int8.tflite", _spectra, recipes=(IMPORT_RECIPE,)),
    "tfc-w1a1": Model("models/tfc_w1a1.onnx", _stored("mnist"), UNIT, "ecp5-85-binary", (IMPORT_RECIPE,)),
    "tfc-w2a2": Model("models/tfc_w2a2.onnx", _stored("mnist"), UNIT, recipes=(IMPORT_RECIPE,)),
    "kwsmlp-w3a3": Model(
        "models/kwsmlp_w3a3_mlperf.onnx", _stored("kws01"), dataclasses.replace(KWS, axes=(0, 1, 3, 2)),
        recipes=(IMPORT_RECIPE,),
    ),
    "jet-w6a6": Model("models/jet_qkeras_w6a6.onnx", _jets, InputTransform(scale=(1 / 32,)), recipes=(IMPORT_RECIPE,)),
    "cnv-w1a1": Model(
        "models/cnv_w1a1.onnx.gz", _stored("cifar10_jpg"), InputTransform((128.0,)), "ecp5-85-binary",
        (IMPORT_RECIPE,), 1,
    ),
}


def engine_of(name: str) -> EngineConfig:
    """One of `ENGINES`, a preset or a file."""
    return ENGINES.get(name) or load_engine(name)


def compiled(model: Model, engine: EngineConfig, recipe: str, samples: int) -> tuple[Compiled, float]:
    """(the compiled model, seconds of a processor that it took). ValueError when it does not fit."""
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        file, calib, out = SHARED / model.file, Path(scratch) / "samples.npz", Path(scratch) / "compiled"
        if file.suffix == ".gz":
            file = Path(scratch) / file.stem
            file.write_bytes(gzip.decompress((SHARED / model.file).read_bytes()))
        np.savez(calib, allow_pickle=False, x_calib=model.samples(SHARED / "data")[:samples])
        begin = time.process_time()
        compile_model(file, engine, load_recipe(recipe), calib, model.transform, 0, out)
        return load_compiled(out), time.process_time() - begin


def measure(
    name: str, model: Model, recipe: str, engine: str, samples: int, machine: int, rtl: int
) -> dict[str, object]:
    """One row of the table; `failed` when something that was measured is not as it must be."""
    row: dict[str, object] = {"model": name, "engine": engine, "recipe": recipe, "failed": False}
    if not (SHARED / model.file).is_file():
        return row | {"note": f"skipped, not there: {SHARED / model.file}"}
    try:
        made, seconds = compiled(model, engine_of(engine), recipe, samples)
    except ValueError as error:
        CONSOLE.note(f"{name} {recipe} {engine}: {error}")
        return row | {"note": f"refused: {error}"}
    program, codes = made.program, made.codes(made.samples)
    predicted = estimate(program).cycles
    used = max(layout.address // 16 + layout.words for layout in program.layouts.values()) + program.weights.size
    row |= {
        "compiled": seconds, "weights": program.weights.nbytes, "words": used, "of": program.engine.memory_words,
        "predicted": predicted, "failed": seconds > COMPILE_SECONDS, "machine": None, "rtl": None,
    }
    expected = reference.run(made.network, codes[: max(machine, rtl)], taps=True)

    def compare(level: str, count: int, taps: dict[str, NDArray[np.int64]]) -> None:
        difference = first_difference(program, {key: values[:count] for key, values in expected.items()}, taps)
        row[level] = f"{count} equal" if difference is None else f"differs: {difference}"
        row["failed"] |= difference is not None

    if machine:
        compare("machine", machine, Machine(program).run(codes[:machine], taps=True))
    CONSOLE.note(f"{name} {recipe}: {seconds:.1f} s, {predicted} cycles predicted, machine: {row['machine']}")
    if rtl:
        with CONSOLE.step(f"{name} {recipe} {engine}") as progress:
            begin = time.monotonic()
            got = simulate(program, codes[:rtl], progress=progress)
        compare("rtl", rtl, got.taps)
        ratio = estimate(program, cold=rtl == 1).cycles / got.cycles[-1]
        row |= {"cycles": got.cycles[-1], "ratio": ratio, "seconds": (time.monotonic() - begin) / rtl}
        row["failed"] |= abs(ratio - 1) > TOLERANCE
        CONSOLE.note(f"  rtl: {row['rtl']}, {got.cycles[-1]} cycles, ratio {ratio:.3f}, {row['seconds']:.0f} s each")
    return row


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--model", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--recipe", nargs="+", help="of the float models, instead of w4-a4log and int8")
    parser.add_argument("--engine", help="a preset or a file, instead of the one that each model is listed with")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="that compile has, 100")
    parser.add_argument("--machine", type=int, default=20, help="inputs of the NumPy machine, 20")
    parser.add_argument("--rtl", type=int, help="inferences of the Verilog, instead of 3 or, of large models, 1")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.model:
        model = MODELS[name]
        chosen = arguments.recipe if arguments.recipe and model.recipes != (IMPORT_RECIPE,) else model.recipes
        rtl = model.rtl if arguments.rtl is None else arguments.rtl
        engine = arguments.engine or model.engine
        rows += [
            measure(name, model, recipe, engine, arguments.samples, arguments.machine, rtl) for recipe in chosen
        ]
    show(rows, COLUMNS, arguments.json)
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
