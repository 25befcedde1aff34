"""The outlier side path as the machine sees it: slots of weight rows -> weights beside the dense ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig
from subbyte.spec.outlier_slots import slot_fields


def slot_weights(engine: EngineConfig, nibbles: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the slots of rows add to the weights: the word's nibbles (rows, 16) -> int64 (rows, M, K).

    Slots of one place add up, as their products do.
    """
    bits = (nibbles[:, :, None] >> np.arange(4) & 1).reshape(len(nibbles), -1)
    weights = np.zeros((len(nibbles), engine.m, engine.k), dtype=np.int64)
    position = 0
    for _ in range(engine.outlier_slots):
        fields = {}
        for name, width in slot_fields(engine).items():
            fields[name] = bits[:, position : position + width] @ (1 << np.arange(width))
            position += width
        value = (fields["value"] ^ 128) - 128
        np.add.at(weights, (np.arange(len(nibbles)), fields["column"], fields["lane"]), value)
    return weights
