"""What `subbyte train` does: a run in a directory, and the files that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from subbyte.spec.engine import EngineConfig
from subbyte.spec.network_io import save_network
from subbyte.train.data import load_data
from subbyte.train.files import replaced
from subbyte.train.loop import Progress, Training
from subbyte.train.recipe import TrainRecipe
from subbyte.train.rehearsal import rehearse
from subbyte.train.to_network import to_network
from subbyte.train.to_qonnx import to_qonnx

CHECKPOINT, SUMMARY, NETWORK, QONNX = "checkpoint.pt", "train.json", "network.npz", "model.onnx"


def train(
    recipe: TrainRecipe, out: Path, engine: EngineConfig | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Run `recipe` in the directory `out`, from its checkpoint if there is one; the JSON object of the command.

    Writes checkpoint.pt after every epoch, and at the end train.json, network.npz (see `subbyte.spec.network_io`), for
    `engine` if there is one, and where it can be model.onnx, QONNX for `subbyte compile`. TrainError as `load_data`,
    `rehearse` and `Training.load`.
    """
    data = load_data(**recipe.data)
    rehearse(recipe, data)
    training = Training(recipe, data)
    checkpoint = out / CHECKPOINT
    resumed = checkpoint.exists()
    if resumed:
        training.load(checkpoint)
    training.run(checkpoint, progress)
    summary = _summary(training, resumed)
    if recipe.schedule != "float":
        summary |= _exported(training, out, engine)
    with replaced(out / SUMMARY) as new:
        new.write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _summary(training: Training, resumed: bool) -> dict[str, Any]:
    return {
        "network": training.recipe.network,
        "parameters": sum(p.numel() for _, block in training.model.blocks() for p in block.op.parameters()),
        "accuracy": {
            "float_value": training.float_value, "value": training.value, "n": len(training.data.x_test),
        },
        "resumed": resumed,
        "epochs": training.history,
        "aiwq": training.aiwq,
        "frozen": training.frozen,
        "recipe": training.recipe.to_dict(),
    }


def _exported(training: Training, out: Path, engine: EngineConfig | None) -> dict[str, Any]:
    """Files of the trained network, and whether the reference gives its accuracy."""
    exported = to_network(training.model, engine)
    logits = exported.reference(training.data.x_test)
    with replaced(out / NETWORK) as new:
        save_network(exported.network, new)
    found: dict[str, Any] = {
        "reference_value": float((logits.argmax(axis=1) == training.data.y_test).mean()), "network_file": NETWORK,
        "qonnx_file": QONNX, "qonnx_refused": None,
    }
    try:
        with replaced(out / QONNX) as new:
            to_qonnx(training.model, new)
    except ValueError as error:
        (out / QONNX).unlink(missing_ok=True)  # of an earlier network
        found |= {"qonnx_file": None, "qonnx_refused": str(error)}
    return found
