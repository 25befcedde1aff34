"""BatchNorm's statistics of the weights that a stage ends with.

The moving average of training is one of a few small batches and of weights that were still on their way. In float
networks that does little; with few bits, and most of all behind depthwise layers, whose sums move by a whole step of a
weight, it can cost twenty points. So it is measured anew (Nagel et al., ICML 2022, arXiv 2203.11086, for quantized
networks; Wu, Johnson, arXiv 2105.07576).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subbyte.train.layers.norm import ChannelNorm
from subbyte.train.networks.base import QuantNetwork

BATCH = 500
SAMPLES = 4000
"""At most so many, evenly from all."""


def measure_statistics(model: QuantNetwork, x: Tensor, batch: int = BATCH, samples: int = SAMPLES) -> None:
    """Set the running statistics of every BatchNorm to the mean of those of large batches of the images x.

    Each layer sees what the layers in front give with the statistics of the same batch, as in training. Weights and
    quantizers stay as they are. Leaves the model in training.

    x : (n, channels, height, width), not shifted
    """
    norms = [module for module in model.modules() if isinstance(module, ChannelNorm)]
    momenta = [norm.momentum for norm in norms]
    x = x[:: math.ceil(len(x) / samples)]
    parts = math.ceil(len(x) / batch)
    model.train()
    for quantizer in model.quantizers():
        quantizer.eval()
    with torch.no_grad():
        for part in range(parts):
            for norm in norms:
                norm.momentum = 1 / (part + 1)
            model(x[part::parts])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train()
