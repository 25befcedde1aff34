"""From what a recipe says of a layer's weights to their format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.recipe import RecipeError
from subbyte.golden.weq import weq_weights
from subbyte.spec.engine import EngineConfig
from subbyte.spec.weight_formats import DenseWeightFormat, LogWeights, linear_weights
from subbyte.spec.weights import WeightFormat

WEQ_ENTRY_BITS = 7
"""Of a codebook's entries: the most that all lanes hold, in two rows."""


def weight_form(
    choice: int | str, layer: str, weight: NDArray[np.float64], engine: EngineConfig
) -> DenseWeightFormat:
    """Format of the real `weight` (out channels, ...) of a layer, for a `choice` of `recipe.WEIGHTS`.

    4, 8 : integers of the engine's set. 3 : linear -3..3.
    log4 : sign and power of two, LogQuant's (arXiv 1603.01025); 0 and 2**0 .. 2**6, two rows of the weight memory.
    weq4 : a codebook of weighted-entropy clusters (`golden.weq`), of the weights over the largest magnitude of their
        channel; a weight takes the nearest entry. Two rows of the weight memory.

    RecipeError when a layer has too few different weights for the clusters.
    """
    if choice == "log4":
        return LogWeights(4)
    if choice == "weq4":
        rows = weight.reshape(len(weight), -1)
        ends = np.abs(rows).max(axis=1, keepdims=True)
        try:
            return weq_weights(rows / np.where(ends > 0, ends, 1.0), 4, WEQ_ENTRY_BITS)[1]
        except ValueError as error:
            raise RecipeError(f"Layer {layer} cannot have weights weq4: {error}") from None
    return linear_weights(3) if choice == 3 else WeightFormat(engine.weight_set, int(choice))
