"""Inverted residuals with h-swish, after MobileNetV3 (Howard et al., ICCV 2019), without squeeze-and-excitation.

The gate of squeeze-and-excitation multiplies two tensors, which no engine does.
"""

from __future__ import annotations

from torch import nn

from subbyte.train.layers.codes import GlobalAverage, Recode, hswish
from subbyte.train.layers.linear import Block
from subbyte.train.layers.residual import Residual
from subbyte.train.layers.signal import Signal
from subbyte.train.networks.base import QuantNetwork, conv, head
from subbyte.train.quantizers import ActivationQuantizer
from subbyte.train.scheme import Scheme


class Swished(nn.Module):
    """A block with 8-bit output, and h-swish of it as a table, in low-bit codes of x + 3/8."""

    def __init__(self, block: Block, out: ActivationQuantizer) -> None:
        super().__init__()
        self.block, self.swish = block, Recode(out, hswish)

    def forward(self, signal: Signal) -> Signal:
        return self.swish(self.block(signal))


def _bottleneck(
    scheme: Scheme, inputs: int, outputs: int, stride: int, expand: int, read: nn.Module, grid: nn.Module
) -> nn.Module:
    """Expand 1x1, depthwise 3x3, both with h-swish, project 1x1 onto the 8-bit grid; a sum where shapes stay.

    Both h-swish share their grids, and so a table of the engine.
    """
    inner, before, swish = expand * inputs, scheme.wide(signed=True), scheme.hswish()
    branch = [
        Swished(conv(scheme, inputs, inner, 1, before), swish),
        Swished(conv(scheme, inner, inner, 3, before, stride, groups=inner), swish),
        conv(scheme, inner, outputs, 1, grid),
    ]
    if stride == 1 and inputs == outputs:
        return Residual(branch, read)
    return nn.Sequential(Recode(read), *branch)


def mobilenet(
    scheme: Scheme, shape: tuple[int, int, int], classes: int, scale: float, width: int = 8, expand: int = 3
) -> QuantNetwork:
    """Stem 3x3 of stride 2 with h-swish, bottlenecks of strides 1, 2, 1, a 1x1 convolution, mean, dense.

    Layers that read tensors of one grid share the low-bit quantizer, and so a table of the engine.
    """
    wide = 2 * width
    first, second, read_first, read_second = (
        make(signed=True) for make in (scheme.wide, scheme.wide, scheme.activation, scheme.activation)
    )
    stem = conv(scheme, shape[0], width, 3, scheme.wide(signed=True), 2, edge=True)
    last = conv(scheme, wide, 2 * wide, 1, scheme.wide(signed=True))
    return QuantNetwork(shape, scale, {
        "stem": Swished(stem, scheme.hswish()),
        "enter": conv(scheme, width, width, 1, first),
        "bottleneck0": _bottleneck(scheme, width, width, 1, expand, read_first, first),
        "bottleneck1": _bottleneck(scheme, width, wide, 2, expand, read_first, second),
        "bottleneck2": _bottleneck(scheme, wide, wide, 1, expand, read_second, second),
        "read": Recode(read_second),
        "last": Swished(last, scheme.hswish()),
        "mean": GlobalAverage(),
        "dense": head(scheme, 2 * wide, classes),
    })
