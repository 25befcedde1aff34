"""A network: pixels in, one layer after the other, real numbers out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from subbyte.train.layers.codes import Pixels
from subbyte.train.layers.linear import Block
from subbyte.train.layers.norm import ChannelNorm
from subbyte.train.quantizers import ActivationQuantizer, FloatActivation, FloatWeights, WeightQuantizer
from subbyte.train.scheme import Scheme


class QuantNetwork(nn.Module):
    """Images (n, channels, height, width), uint8 or in 0..1 -> logits (n, classes).

    In evaluation a quantized network computes in integers, and logits are 8-bit codes times a scale.

    shape : (channels, height, width) of an image; scale : what a byte is multiplied with
    """

    def __init__(self, shape: tuple[int, int, int], scale: float, layers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.shape = shape
        self.pixels = Pixels(scale)
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        signal = self.pixels(x)
        for layer in self.layers.values():
            signal = layer(signal)
        return signal.real()

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """(name, block) in the order of execution, as far as names tell: that of construction."""
        for name, module in self.named_modules():
            if isinstance(module, Block):
                yield name.removeprefix("layers."), module

    def quantizers(self) -> Iterator[ActivationQuantizer | WeightQuantizer]:
        """All of them, each once."""
        return (m for m in self.modules() if isinstance(m, ActivationQuantizer | WeightQuantizer))

    def set_active(self, active: bool) -> None:
        """Switch all quantizers on, or off for the float network; those that are float ones stay so."""
        for quantizer in self.quantizers():
            if not isinstance(quantizer, FloatActivation | FloatWeights):
                quantizer.active = active
        self._unfold()

    def set_bits(self, weights: int, activations: int) -> None:
        """Bits of the hidden layers' weights, and of all activations but the wide ones."""
        edges = self.edges()
        for _, block in self.blocks():
            if block not in edges:
                block.weights.set_bits(weights)
        for quantizer in self.quantizers():
            if isinstance(quantizer, ActivationQuantizer) and not quantizer.wide:
                quantizer.set_bits(activations)
        self._unfold()

    def _unfold(self) -> None:
        for _, block in self.blocks():
            block.unfold()

    def edges(self) -> list[Block]:
        """The first and the last block."""
        blocks = [block for _, block in self.blocks()]
        return [blocks[0], blocks[-1]]

    def calibrate(self, x: Tensor, training: bool = False) -> None:
        """Start all quantizers from a batch, without touching weights or BatchNorm: post-training quantization.

        With `training` BatchNorm takes the batch's own statistics, as steps of training will. Quantized weights may be
        of another size than the float ones (DoReFa's, QIL's), which those of the float network know nothing of.
        """
        norms = [module for module in self.modules() if isinstance(module, ChannelNorm)]
        before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
        self.train()
        for norm in norms:
            norm.train(training)
        with torch.no_grad():
            self(x)
        self.eval()
        for norm, (mean, variance) in zip(norms, before, strict=True):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def conv(
    scheme: Scheme, inputs: int, outputs: int, kernel: int, out: ActivationQuantizer, stride: int = 1,
    groups: int = 1, edge: bool = False,
) -> Block:
    """A convolution that keeps the size but for its stride, with BatchNorm."""
    op = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return Block(op, scheme.weight(edge), out)


def head(scheme: Scheme, inputs: int, classes: int) -> Block:
    """The last layer; logits are 8-bit codes."""
    return Block(nn.Linear(inputs, classes), scheme.weight(edge=True), scheme.wide(signed=True), norm=False)
