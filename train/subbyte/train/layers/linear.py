"""Convolution and dense layers: weights, BatchNorm and the quantizer of the output in one block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from subbyte.train.layers.fold import Line, Thresholds, fold
from subbyte.train.layers.norm import ChannelNorm
from subbyte.train.layers.signal import Signal
from subbyte.train.layers.trace import LinearCall, Shape
from subbyte.train.quantizers import ActivationQuantizer, WeightQuantizer


@dataclass(frozen=True)
class _Folded:
    """weight : float64, integers with the requantizer's gain."""

    weight: Tensor
    requantizer: Thresholds | Line


class Block(nn.Module):
    """Linear map, BatchNorm, and the quantizer of what comes out.

    In training all numbers are real. In evaluation, unless a quantizer is a float one, codes come in and codes go out,
    computed in integers.

    Parameters
    ----------
    op : Conv2d (zero padding, which here is operand 0) or Linear
    weights : quantizer of its weights
    out : quantizer of the output
    norm : whether there is a BatchNorm; else a bias, if `op` has one
    exact : as in `fold`
    """

    def __init__(
        self, op: nn.Conv2d | nn.Linear, weights: WeightQuantizer, out: ActivationQuantizer, norm: bool = True,
        exact: bool | None = None,
    ) -> None:
        super().__init__()
        self.op, self.weights, self.out, self.exact = op, weights, out, exact
        self.norm = ChannelNorm(op.weight.shape[0]) if norm else None
        self._folded: dict[tuple[float, float], _Folded] = {}

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return isinstance(self.op, nn.Conv2d) and self.op.groups == self.op.in_channels > 1

    @property
    def is_float(self) -> bool:
        """Whether the block has no integers."""
        return self.weights.is_float or self.out.is_float

    def train(self, mode: bool = True) -> Block:
        self.unfold()
        return super().train(mode)

    def unfold(self) -> None:
        """Forget the integers: weights or quantizers are others now."""
        self._folded = {}

    def _load_from_state_dict(self, *arguments: object) -> None:
        self.unfold()
        super()._load_from_state_dict(*arguments)

    def forward(self, signal: Signal, skip: Signal | None = None) -> Signal:
        """`skip`: added before the output's quantizer, whose grid its numbers are on."""
        if signal.form is None or self.is_float:
            return self._real(signal, skip)
        return self._integer(signal, skip)

    def _apply_weight(self, x: Tensor, weight: Tensor, pad: float) -> Tensor:
        if isinstance(self.op, nn.Linear):
            return functional.linear(x.flatten(1), weight)
        down, right = self.op.padding
        if pad and (down or right):
            x = functional.pad(x, (right, right, down, down), value=pad)
            return functional.conv2d(x, weight, stride=self.op.stride, groups=self.op.groups)
        return functional.conv2d(x, weight, stride=self.op.stride, padding=self.op.padding, groups=self.op.groups)

    def linear(self, signal: Signal) -> Tensor:
        """The sums in real numbers, before BatchNorm."""
        weight = self.weights(self.op.weight)
        y = self._apply_weight(signal.real().to(weight.dtype), weight, signal.offset)
        return y if self.op.bias is None else y + self.op.bias.reshape(1, -1, *[1] * (y.dim() - 2))

    def before_quantizer(self, signal: Signal, skip: Signal | None = None) -> Tensor:
        """Real numbers that the output's quantizer sees."""
        y = self.linear(signal)
        y = y if self.norm is None else self.norm(y)
        return y if skip is None else y + skip.real()

    def _real(self, signal: Signal, skip: Signal | None) -> Signal:
        return Signal(self.out(self.before_quantizer(signal, skip)), offset=self.out.offset)

    def fold(self, scale: float, offset: float) -> _Folded:
        """Integers for inputs worth scale * operand + offset."""
        key = scale, offset
        if key not in self._folded:
            with torch.no_grad():
                self._folded[key] = self._fold(scale, offset)
        return self._folded[key]

    def _fold(self, scale: float, offset: float) -> _Folded:
        integers, unit = self.weights.integers(self.op.weight)
        gain, start = unit.numpy() * scale, np.zeros(len(unit))
        if self.op.bias is not None:
            start = start + self.op.bias.double().numpy()
        if offset:
            start = start + offset * unit.numpy() * integers.reshape(len(integers), -1).sum(dim=1).numpy()
        if self.norm is not None:
            more, shift = self.norm.affine()
            gain, start = gain * more, start * more + shift
        requantizer = fold(self.out, gain, start, int(integers.abs().max()), self.exact)
        factor = requantizer.weight_gain if isinstance(requantizer, Line) else 1
        return _Folded(factor * integers.double(), requantizer)

    def _integer(self, signal: Signal, skip: Signal | None) -> Signal:
        assert signal.form is not None
        folded = self.fold(signal.form.scale, signal.offset)
        acc = self._apply_weight(signal.operands(), folded.weight, 0.0)
        requantizer = folded.requantizer
        tensor = self._traced(signal, skip, acc, folded) if signal.trace else ""
        if skip is None:
            codes = requantizer.codes(acc)
        else:
            assert isinstance(requantizer, Line)
            codes = requantizer.codes(acc, skip.operands().long())
        return Signal(codes, self.out.format(), self.out.offset, tensor, signal.trace)

    def _traced(self, signal: Signal, skip: Signal | None, acc: Tensor, folded: _Folded) -> str:
        assert signal.trace is not None
        weight = folded.weight.long().numpy()
        spatial = {}
        if isinstance(self.op, nn.Conv2d):
            weight = weight.transpose(0, 2, 3, 1)
            down, right = self.op.padding
            spatial = {
                "stride": tuple(self.op.stride), "padding": (down, right, down, right), "groups": self.op.groups
            }
        else:
            height, width, channels = code_shape(signal.x)
            weight = weight.reshape(len(weight), channels, height, width).transpose(0, 2, 3, 1)
        return signal.trace.linear(LinearCall(
            self, signal.tensor, np.ascontiguousarray(weight), self.weights.format(), isinstance(self.op, nn.Linear),
            code_shape(acc), folded.requantizer, self.out.format(), skip="" if skip is None else skip.tensor, **spatial,
        ))


def code_shape(x: Tensor) -> Shape:
    """(height, width, channels) of (n, channels, height, width) or (n, features)."""
    if x.dim() == 2:
        return 1, 1, x.shape[1]
    return x.shape[2], x.shape[3], x.shape[1]
