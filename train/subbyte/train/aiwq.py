"""Activation instability by weight quantization, the metric of PROFIT (Park, Yoo, ECCV 2020).

How much one step of the weights moves what a layer puts out: per channel the Kullback-Leibler divergence of two normal
distributions, N(mean, variance) of the output with the new quantized weights and with the old ones, on the same input;
the mean over the channels that vary; a moving average over steps, from which steps with a mean above 1 are left out, as
in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from subbyte.train.layers.linear import Block
from subbyte.train.layers.signal import Signal
from subbyte.train.networks.base import QuantNetwork

MOMENTUM = 0.999
LARGEST = 1.0


def divergence(new: Tensor, old: Tensor) -> Tensor:
    """KL(N_new || N_old) per channel, axis 1, of two outputs (n, channels, ...); of those alone that vary in both."""
    axes = [axis for axis in range(new.dim()) if axis != 1]
    (new_variance, new_mean), (old_variance, old_mean) = (
        torch.var_mean(values, dim=axes, correction=0) for values in (new, old)
    )
    varying = (new_variance > 0) & (old_variance > 0)
    ratio = (new_variance + (new_mean - old_mean) ** 2) / old_variance
    return (0.5 * (torch.log(old_variance / new_variance) + ratio - 1))[varying]


class Aiwq:
    """Measures all blocks of a network in training, while it is attached.

    values : block name -> moving average, 0 before the second step
    """

    def __init__(self, model: QuantNetwork, momentum: float = MOMENTUM) -> None:
        self.momentum = momentum
        self.values = {name: 0.0 for name, _ in model.blocks()}
        self._old: dict[str, Tensor] = {}
        self._hooks = [block.register_forward_hook(self._hook(name)) for name, block in model.blocks()]

    def detach(self) -> None:
        """Measure no more."""
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Signal, ...], Signal], None]:
        def measure(block: nn.Module, given: tuple[Signal, ...], result: Signal) -> None:
            assert isinstance(block, Block)
            if not block.training or block.is_float:
                return
            with torch.no_grad():
                new, old = block.weights(block.op.weight).detach(), self._old.get(name)
                if old is not None:
                    signal = given[0]
                    channels = divergence(*(block._apply_weight(signal.real(), w, signal.offset) for w in (new, old)))
                    value = float(channels.mean()) if channels.numel() else 0.0
                    if value <= LARGEST:
                        self.values[name] = self.momentum * self.values[name] + (1 - self.momentum) * value
                self._old[name] = new.clone()

        return measure


def freeze(model: QuantNetwork, values: dict[str, float], part: float) -> list[str]:
    """Stop the training of weights and their quantizers in the part of the blocks with the largest values.

    Their names, the largest first.
    """
    blocks = dict(model.blocks())
    order = sorted(blocks, key=lambda name: -values[name])
    chosen = order[: round(part * len(order))]
    for name in chosen:
        for parameter in (blocks[name].op.weight, *blocks[name].weights.parameters()):
            parameter.requires_grad_(False)
    return chosen
