"""`subbyte compile`: model file to a directory that all later commands work on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Group

from subbyte.bundled import measured_engines
from subbyte.cli.arguments import axes, numbers, seed
from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, UserError, plain_table
from subbyte.compiler.compile import compile_model
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.importers import default_recipe
from subbyte.compiler.recipe import DEFAULT_RECIPE, IMPORT_RECIPE, RECIPES, load_recipe
from subbyte.spec.engine import PRESETS, EngineConfig, load_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, -o and how to calibrate."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=".onnx, float or QONNX, or int8 .tflite")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--engine", default="up5k", help="preset or TOML file (%(default)s)")
    parser.add_argument("--calib", type=Path, metavar="FILE.npz", help="samples: x_calib and y_calib, or x_train, or x")
    recipes = ", ".join(RECIPES)
    parser.add_argument(
        "--recipe", help=f"{recipes}, or a TOML file ({DEFAULT_RECIPE}; {IMPORT_RECIPE} for quantized models)"
    )
    parser.add_argument(
        "--input-offset", type=numbers, default=(0.0,), metavar="O",
        help="the model is fed (x - O) * S; one or per channel",
    )
    parser.add_argument("--input-scale", type=numbers, default=(1.0,), metavar="S", help="such as 1/255")
    parser.add_argument(
        "--input-transpose", type=axes, metavar="AXES", help="order of the axes of x for the model, batch included"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="draws the calibration samples (%(default)s)")


def _share(used: float, available: float) -> str:
    return f"{used:,} of {available:,} ({used / available:.0%})"


def _memory(use: dict[str, Any]) -> list[str]:
    """What the program takes of each memory."""
    def share(name: str) -> str:
        return _share(use[name]["used"], use[name]["available"])

    main = use["main"]
    parts = ", ".join(f"{name} {main[name]:,}" for name in ("weights", "activations", "descriptors"))
    tables = f"decode tables: {share('table_slots')}, requantizer tables: {share('lut_slots')}"
    return [f"main memory: {share('main')} words of 8 bytes ({parts})", f"parameters: {share('parameters')}, {tables}"]


def _device(engine: EngineConfig, cycles: int) -> dict[str, Any] | None:
    """The engine's build that was measured {board, device, luts, available, fmax_mhz, inferences_per_second}; None
    for an engine that is no preset or has none."""
    if engine not in PRESETS.values() or (built := measured_engines().get(engine.name)) is None:
        return None
    return {
        **{key: built[key] for key in ("board", "device", "luts", "fmax_mhz")}, "available": built["available"]["luts"],
        "inferences_per_second": built["fmax_mhz"] * 1e6 / cycles,
    }


def _built(device: dict[str, Any]) -> str:
    return (
        f"engine on {device['board']}: {_share(device['luts'], device['available'])} cells, "
        f"{device['fmax_mhz']:.1f} MHz: {device['inferences_per_second']:,.0f} inferences/s"
    )


def _quality(summary: dict[str, Any]) -> str:
    """How good the network is on the calibration samples."""
    accuracy, fidelity = summary["accuracy"], summary["fidelity"]
    parts = []
    if accuracy is not None:
        parts.append(f"top-1 {accuracy['value']:.2%}, float {accuracy['float_value']:.2%}")
    if fidelity["agreement"] is not None:
        parts.append(f"arg max like float {fidelity['agreement']:.2%}")
    if fidelity["error"] is not None:
        parts.append(f"output error {fidelity['error']:.2%} of the variance")
    return "calibration samples: " + ", ".join([*parts, f"n = {fidelity['n']}"])


def _input(found: dict[str, Any]) -> str:
    """What the input's codes hold."""
    what = "x - offset" if found["direct"] else "(x - offset) * scale"
    low, high = found["lowest"], found["highest"]
    return f"input: {found['bits']}-bit codes, {what} from {low:.6g} to {high:.6g}, saturated beyond"


def _text(summary: dict[str, Any], output: Path) -> Group:
    columns = (
        "layer", "operator", "multiply-accumulates", "weights", "activations", "cycles", "utilisation", "bound by",
        "weight bytes",
    )
    with_outliers = any(layer["outliers"] for layer in summary["layers"])
    table = plain_table(*columns, *(("outliers", "error removed") if with_outliers else ()))
    for layer in summary["layers"]:
        bought = (f"{layer['outliers']:,}", f"{layer['outliers_removed']:.0%}") if with_outliers else ()
        table.add_row(
            layer["name"], layer["op"], f"{layer['macs']:,}", layer["weight_format"], layer["act_format"],
            f"{layer['cycles_est']:,}", f"{layer['utilisation']:.0%}", layer["bound_by"],
            f"{layer['weight_bytes']:,}", *bought,
        )
    chosen = []
    if "choices" in summary:
        why = plain_table("layer", "weights", "error", "activations", "error", "chosen in steps")
        for row in summary["choices"]:
            why.add_row(
                row["layer"], str(row["weights"]), f"{row['error_weights']:.2%}", row["activations"] or "",
                f"{row['error_activations']:.2%}", ", ".join(map(str, row["moves"])),
            )
        chosen = [why]
    total = (
        f"total: {summary['macs']:,} multiply-accumulates, {summary['cycles_est']:,} cycles, utilisation "
        f"{summary['utilisation']:.0%}, weights {summary['weight_bytes']:,} bytes"
    )
    device = [_built(summary["device"])] if summary["device"] else []
    lines = [total, _input(summary["input"]), *_memory(summary["memory"]), *device, _quality(summary)]
    return Group(*chosen, table, *lines, str(output))


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Compile; the directory appears complete or not at all."""
    engine = load_engine(options.engine)
    recipe = load_recipe(options.recipe or default_recipe(options.model))
    try:
        transform = InputTransform(options.input_offset, options.input_scale, options.input_transpose)
    except ValueError as error:
        raise UserError(str(error)) from None
    with console.step(f"Compiling {options.model} for {engine.name}"):
        summary = compile_model(options.model, engine, recipe, options.calib, transform, options.seed, options.output)
    summary["device"] = _device(engine, summary["cycles_est"])
    return Outcome(summary, _text(summary, options.output))
