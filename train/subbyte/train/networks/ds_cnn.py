"""Depthwise-separable convolutions, after the keyword-spotting DS-CNN (Zhang et al. 2017)."""

from __future__ import annotations

from torch import nn

from subbyte.train.layers.codes import GlobalAverage
from subbyte.train.networks.base import QuantNetwork, conv, head
from subbyte.train.scheme import Scheme


def ds_cnn(
    scheme: Scheme, shape: tuple[int, int, int], classes: int, scale: float, width: int = 16, blocks: int = 3
) -> QuantNetwork:
    """Stem 3x3 of stride 2, `blocks` of depthwise 3x3 and pointwise convolutions, mean, dense."""
    layers: dict[str, nn.Module] = {"stem": conv(scheme, shape[0], width, 3, scheme.activation(), 2, edge=True)}
    for block in range(blocks):
        stride = 2 if block == 1 else 1
        layers[f"depthwise{block}"] = conv(scheme, width, width, 3, scheme.activation(), stride, groups=width)
        layers[f"pointwise{block}"] = conv(scheme, width, width, 1, scheme.activation())
    layers["mean"] = GlobalAverage()
    layers["dense"] = head(scheme, width, classes)
    return QuantNetwork(shape, scale, layers)
