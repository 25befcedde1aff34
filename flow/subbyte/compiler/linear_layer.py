"""Linear layers as the convolutions that they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import AveragePool2d, Conv2d, Dense, Network
from subbyte.spec.weights import WeightFormat

LinearLayer = Conv2d | Dense | AveragePool2d
"""What a chain may begin with."""


def convolution(network: Network, layer: LinearLayer, engine: EngineConfig) -> Conv2d | Dense:
    """The layer itself, or the depthwise convolution with unit weights that gives the sums of an average pool."""
    if not isinstance(layer, AveragePool2d):
        return layer
    channels = network.tensors[layer.input].shape[2]
    return Conv2d(
        layer.name, layer.input, layer.output,
        weight=np.ones((channels, *layer.kernel, 1), dtype=np.int64),
        bias=np.zeros(channels, dtype=np.int64),
        weight_format=WeightFormat(engine.weight_set, 4),
        stride=layer.stride,
        padding=layer.padding,
        groups=channels,
    )


def whole_weight(layer: Conv2d | Dense, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """`weight`, of the shape of the layer's, over all input channels: zero where a group does not look.

    int64 (out, height, width, in).
    """
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    if groups == 1:
        return weight
    out, height, width, inputs = weight.shape
    whole = np.zeros((groups, out // groups, height, width, groups, inputs), dtype=np.int64)
    index = np.arange(groups)
    whole[index, :, :, :, index] = weight.reshape(groups, out // groups, height, width, inputs)
    return whole.reshape(out, height, width, groups * inputs)


def channel_groups(network: Network, layer: LinearLayer) -> int:
    """Runs into which the channels are cut, as `Conv2d.groups`."""
    if isinstance(layer, AveragePool2d):
        return network.tensors[layer.input].shape[2]
    return layer.groups if isinstance(layer, Conv2d) else 1
