"""The error of a whole quantized network on samples that it was not calibrated on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.accuracy import relative_error
from subbyte.compiler.equalize import equalized
from subbyte.compiler.graph import Graph, run_float
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.lower import lower
from subbyte.compiler.recipe import Recipe, RecipeError
from subbyte.golden import reference
from subbyte.golden.quantize import to_real
from subbyte.golden.settled import settled
from subbyte.spec.engine import EngineConfig

LEAST = 8
"""Samples that it takes."""

SHARE = 4
"""One of so many samples is measured on, the others calibrate."""

MOST = 256
"""Samples of both kinds."""


def output_error(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """`relative_error` of outputs (n, ...), `settled`. RecipeError when `wanted` are all alike."""
    error = relative_error(got, wanted)
    if error is None:
        raise RecipeError("Recipe auto must have calibration samples with different outputs, these have the same")
    return float(settled(error))


class HeldOut:
    """Quantizes on three quarters of the calibration samples, measures on one."""

    def __init__(
        self, graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64],
        engine: EngineConfig,
    ) -> None:
        """Arguments as of `lower`. RecipeError when the samples are too few."""
        if len(codes) < LEAST:
            raise RecipeError(f"Recipe auto must have {LEAST} calibration samples at least, not {len(codes)}")
        codes, fed = codes[:MOST], fed[:MOST]
        measured = np.arange(len(codes)) % SHARE == SHARE - 1
        self._graph, self._coding, self._engine = graph, coding, engine
        self._calibration = codes[~measured], fed[~measured]
        self._codes, self._wanted = codes[measured], settled(run_float(graph, fed[measured]))

    def error(self, recipe: Recipe) -> float:
        """Of the network that `recipe` makes: mean square over the variance of the float network's outputs."""
        codes, fed = self._calibration
        graph = equalized(self._graph, fed, recipe)
        network = lower(graph, self._coding, codes, fed, recipe, self._engine)
        outputs = reference.run(network, self._codes)
        return output_error(to_real(outputs, network.tensors[network.output].format), self._wanted)
