"""Weights that lanes cannot hold, on digit lanes 103..127 of 8 bits, as sums of one that they can and an outlier."""

from __future__ import annotations

import dataclasses

from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Conv2d, Dense, Layer, Network
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat


def with_outliers(network: Network, engine: EngineConfig) -> Network:
    """`network` with the same weights, in a format with outliers where the lanes' own 8 bits do not reach.

    For engines with outlier slots; others get the network as it is. Whether the slots suffice the scheduler says.
    """
    if not engine.outlier_slots:
        return network
    return dataclasses.replace(network, layers=tuple(_layer(layer, engine) for layer in network.layers))


def _layer(layer: Layer, engine: EngineConfig) -> Layer:
    form = WeightFormat(engine.weight_set, 8)
    if not isinstance(layer, Conv2d | Dense) or form.low <= layer.weight.min() and layer.weight.max() <= form.high:
        return layer
    return dataclasses.replace(layer, weight_format=OutlierWeights(form))
