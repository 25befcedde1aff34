"""Finds out before a training run whether its quantizers can be what the recipe says, in every stage."""

from __future__ import annotations

import torch

from subbyte.train.data import Dataset
from subbyte.train.errors import TrainError
from subbyte.train.loop import Training
from subbyte.train.quantizers import ActivationQuantizer
from subbyte.train.recipe import TrainRecipe
from subbyte.train.value_aware import QuantizedBackward

IMAGES = 8


def rehearse(recipe: TrainRecipe, data: Dataset) -> None:
    """Build the network, and have its quantizers see a few images with the bits of each stage. TrainError."""
    scheme = recipe.scheme
    if recipe.schedule != "float" and "float" in (scheme.weights, scheme.edge_weights, scheme.activations):
        raise TrainError(
            f"Recipe cannot be trained: schedule {recipe.schedule} needs a scheme that quantizes weights, edge_weights "
            "and activations"
        )
    if recipe.distillation and not recipe.float_epochs:
        raise TrainError("Recipe cannot be trained: distillation needs float_epochs, whose network is the teacher")
    try:
        training = Training(recipe, data)
        if recipe.backward:
            QuantizedBackward(training.model, **recipe.backward)
        for stage in training.stages:
            if stage.quantized:
                training.model.set_active(True)
                if stage.bits:
                    training.model.set_bits(*stage.bits)
                training.model.calibrate(torch.from_numpy(training.data.x[:IMAGES]), training=True)
                _read(training)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise TrainError(f"Recipe cannot be trained: {' '.join(str(error).split())}") from None


def _read(training: Training) -> None:
    """What the quantizers give as integers."""
    for _, block in training.model.blocks():
        block.weights.format()
        block.weights.integers(block.op.weight)
    for quantizer in training.model.quantizers():
        if isinstance(quantizer, ActivationQuantizer):
            quantizer.format()
