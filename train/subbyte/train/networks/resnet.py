"""A small ResNet with a precision highway: sums keep 8 bits."""

from __future__ import annotations

from torch import nn

from subbyte.train.layers.codes import GlobalAverage, Recode
from subbyte.train.layers.residual import Residual, SignedView
from subbyte.train.networks.base import QuantNetwork, conv, head
from subbyte.train.scheme import Scheme


def _residual(
    scheme: Scheme, inputs: int, outputs: int, stride: int, read: nn.Module, grid: nn.Module, signed_grid: nn.Module
) -> Residual:
    branch = [
        conv(scheme, inputs, outputs, 3, scheme.activation(), stride),
        conv(scheme, outputs, outputs, 3, grid),
    ]
    same = stride == 1 and inputs == outputs
    projection = None if same else conv(scheme, inputs, outputs, 1, signed_grid, stride)
    coarse = grid if same and not scheme.highway else None
    return Residual(branch, read, projection, coarse)


def resnet(
    scheme: Scheme, shape: tuple[int, int, int], classes: int, scale: float, width: int = 8, stages: int = 3,
    blocks: int = 1,
) -> QuantNetwork:
    """Stem 3x3 (width), `stages` of `blocks` residual blocks, each stage twice as wide and half as large, mean, dense.

    Blocks of a stage share the grid of their sums and the low-bit quantizer that reads it.
    """
    first, read = scheme.wide(), scheme.activation()
    layers: dict[str, nn.Module] = {"stem": conv(scheme, shape[0], width, 3, first, edge=True)}
    grid, channels = first, width
    for stage in range(stages):
        outputs, stride = width << stage, 1 if stage == 0 else 2
        if stage:
            grid = scheme.wide()
        for block in range(blocks):
            layers[f"stage{stage}_block{block}"] = _residual(
                scheme, channels, outputs, stride if block == 0 else 1, read, grid, SignedView(grid)
            )
            channels = outputs
            if stage and block == 0:
                read = scheme.activation()
    if not scheme.highway:  # the mean multiplies nothing, so it is on the highway
        layers["read"] = Recode(read)
    layers["mean"] = GlobalAverage()
    layers["dense"] = head(scheme, channels, classes)
    return QuantNetwork(shape, scale, layers)
