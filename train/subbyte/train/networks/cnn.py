"""Two convolutions with max pools and a dense layer."""

from __future__ import annotations

from subbyte.train.layers.codes import MaxPool
from subbyte.train.networks.base import QuantNetwork, conv, head
from subbyte.train.scheme import Scheme


def cnn(scheme: Scheme, shape: tuple[int, int, int], classes: int, scale: float, width: int = 8) -> QuantNetwork:
    """conv 3x3 (width) - pool 2 - conv 3x3 (2 width) - pool 2 - dense."""
    channels, height, columns = shape
    return QuantNetwork(shape, scale, {
        "conv1": conv(scheme, channels, width, 3, scheme.activation(), edge=True),
        "pool1": MaxPool(2),
        "conv2": conv(scheme, width, 2 * width, 3, scheme.activation()),
        "pool2": MaxPool(2),
        "dense": head(scheme, 2 * width * (height // 4) * (columns // 4), classes),
    })
