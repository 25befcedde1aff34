"""Layers on codes: the input, tables, pools."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from subbyte.spec.formats import TensorFormat, linear
from subbyte.train.layers.fold import LARGEST_RATIO, Line, multiplier_shift
from subbyte.train.layers.linear import code_shape
from subbyte.train.layers.signal import Signal
from subbyte.train.layers.trace import Trace
from subbyte.train.quantizers import ActivationQuantizer


class Pixels(nn.Module):
    """Images as bytes q, real numbers q * scale; in evaluation the bytes are the network's input codes.

    x : (n, channels, height, width), uint8, or real numbers in steps of `scale`
    """

    def __init__(self, scale: float = 1 / 255, bits: int = 8) -> None:
        super().__init__()
        self.form = linear(bits, scale)
        self.integers = True  # False: evaluation in real numbers too, to compare with
        self.trace: Trace | None = None

    def forward(self, x: Tensor) -> Signal:
        if x.dtype != torch.uint8:
            x = torch.clamp(torch.floor(x.double() / self.form.scale + 0.5), 0, (1 << self.form.bits) - 1)
        if self.training or not self.integers:
            return Signal((x.double() * self.form.scale).to(torch.get_default_dtype()))
        tensor = self.trace.input(self.form, code_shape(x)) if self.trace else ""
        return Signal(x.long(), self.form, 0.0, tensor, self.trace)


def hswish(x: Tensor) -> Tensor:
    """x * clip(x + 3, 0, 6) / 6."""
    return x * torch.clamp(x + 3.0, 0.0, 6.0) / 6.0


class Recode(nn.Module):
    """Another quantizer for codes, behind a function of one number if there is one: a table of all codes.

    Reading a wide tensor with few bits, and h-swish, which no threshold of an accumulator can give, are such.
    """

    def __init__(self, out: ActivationQuantizer, function: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.out, self.function = out, function

    def forward(self, signal: Signal) -> Signal:
        if signal.form is None or self.out.is_float:
            x = signal.real() if self.function is None else self.function(signal.real())
            return Signal(self.out(x), offset=self.out.offset)
        real = torch.from_numpy(signal.form.scale * signal.form.operands().astype(np.float64) + signal.offset)
        table = self.out.codes(real if self.function is None else self.function(real))
        form, tensor = self.out.format(), ""
        if signal.trace:
            tensor = signal.trace.recode(self, signal.tensor, table.numpy(), form, code_shape(signal.x))
        return Signal(table[signal.x], form, self.out.offset, tensor, signal.trace)


class MaxPool(nn.Module):
    """Largest of square windows, without padding; codes are in the order of what they stand for."""

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride or kernel

    def forward(self, signal: Signal) -> Signal:
        if signal.form is None:
            return Signal(functional.max_pool2d(signal.x, self.kernel, self.stride), offset=signal.offset)
        codes = functional.max_pool2d(signal.x.double(), self.kernel, self.stride).long()
        tensor = ""
        if signal.trace:
            tensor = signal.trace.max_pool(self, signal.tensor, self.kernel, self.stride, code_shape(codes))
        return Signal(codes, signal.form, signal.offset, tensor, signal.trace)


class GlobalAverage(nn.Module):
    """Mean of each channel, as 8-bit codes that clip nothing: a code is so many accumulators that the top fits.

    Training has the mean itself; the codes are at most half a step, 1/510 of the range, away.
    """

    def forward(self, signal: Signal) -> Signal:
        if signal.form is None:
            return Signal(signal.x.mean(dim=(2, 3), keepdim=True), offset=signal.offset)
        acc = signal.operands().sum(dim=(2, 3), keepdim=True)
        line, form = self._line(signal.form, signal.x.shape[1], signal.x.shape[2] * signal.x.shape[3])
        tensor = ""
        if signal.trace:
            tensor = signal.trace.average_pool(self, signal.tensor, line, form, code_shape(acc))
        return Signal(line.codes(acc), form, signal.offset, tensor, signal.trace)

    @staticmethod
    def _line(source: TensorFormat, channels: int, pixels: int) -> tuple[Line, TensorFormat]:
        low, high = source.bounds()
        zero_point = 128 if low < 0 else 0
        width = max(1 / LARGEST_RATIO, high * pixels / (255 - zero_point), -low * pixels / max(zero_point, 1))
        form = linear(8, source.scale / pixels * width, zero_point)
        ratio = np.full(channels, 1 / width)
        return Line(np.zeros(channels, dtype=np.int64), *multiplier_shift(ratio), form), form
