"""A network whose hidden layer is binary on both sides, between layers of more bits (Rastegari et al., ECCV 2016)."""

from __future__ import annotations

from subbyte.train.layers.codes import MaxPool
from subbyte.train.networks.base import QuantNetwork, conv, head
from subbyte.train.scheme import Scheme


def xnor(scheme: Scheme, shape: tuple[int, int, int], classes: int, scale: float, width: int = 16) -> QuantNetwork:
    """conv 3x3 (edge weights) - sign - pool 2 - conv 3x3 (2 width) - sign - pool 2 - conv 3x3 - sign - dense."""
    channels, height, columns = shape
    return QuantNetwork(shape, scale, {
        "conv1": conv(scheme, channels, width, 3, scheme.activation(), edge=True),
        "pool1": MaxPool(2),
        "conv2": conv(scheme, width, 2 * width, 3, scheme.activation()),
        "pool2": MaxPool(2),
        "conv3": conv(scheme, 2 * width, 2 * width, 3, scheme.activation()),
        "dense": head(scheme, 2 * width * (height // 4) * (columns // 4), classes),
    })
