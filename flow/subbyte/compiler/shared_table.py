"""One table of activation codes for a whole network: the format "shared" of a recipe.

Engines hold few requantizer tables (`EngineConfig.lut_slots`), and the format "fitted" needs one a layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.formats import largest_entry
from subbyte.compiler.graph import Graph, run_taps
from subbyte.compiler.recipe import SHARED, Recipe
from subbyte.compiler.stages import behind_pools, stages
from subbyte.golden.fit_table import shared_table
from subbyte.spec.engine import EngineConfig

SAMPLES = 128
"""Calibration samples that the table is fitted on."""


def network_table(
    graph: Graph, fed: NDArray[np.float64], recipe: Recipe, engine: EngineConfig
) -> tuple[int, ...]:
    """The table that all tensors behind a ReLU want together, of those that `recipe` gives the format "shared".

    Empty when there are none. `graph` is canonical; `fed` are calibration samples, (n, height, width, channels).
    """
    found = {
        behind_pools(graph, stage.result) for stage in stages(graph)
        if stage.relu and recipe.activation(stage.head.name) == SHARED
    }
    if not found:
        return ()
    taps = run_taps(graph, fed[:SAMPLES], found)
    return shared_table(list(taps.values()), largest_entry(engine))
