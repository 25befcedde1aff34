"""What stands between two integers of a quantized model: nodes that treat each number by itself, and max pools."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from subbyte.compiler.borders import Side
from subbyte.compiler.exact_nodes import AffineNode, ClipNode
from subbyte.compiler.graph import MaxPoolNode
from subbyte.compiler.onnx_window import Unsupported
from subbyte.spec.formats import TensorFormat

Step = AffineNode | ClipNode | MaxPoolNode


@dataclass(frozen=True)
class Codes:
    """A code tensor of the network; channel c of it stands for scale[c] * operand, `scale` one entry or one each."""

    tensor: str
    form: TensorFormat
    scale: tuple[Fraction, ...]
    channels: int

    def scale_of(self, channel: int) -> Fraction:
        """Of one channel."""
        return self.scale[channel if len(self.scale) > 1 else 0]


def before(chain: tuple[Step, ...], side: Side, channel: int) -> Side:
    """Numbers in front of the chain that come out of it in `side`; max pools do not change numbers."""
    for step in reversed(chain):
        if not isinstance(step, MaxPoolNode):
            side = step.before(side, channel)
    return side


def through(chain: tuple[Step, ...], x: Fraction, channel: int) -> Fraction:
    """What becomes of one number."""
    for step in chain:
        if not isinstance(step, MaxPoolNode):
            x = step.exact(x, channel)
    return x


def check_pools(chain: tuple[Step, ...]) -> None:
    """Unsupported unless pools can be moved to the end of the chain: what is behind them must not turn the order."""
    pooled = False
    for step in chain:
        pooled |= isinstance(step, MaxPoolNode)
        if pooled and isinstance(step, AffineNode) and min(step.gain) < 0:
            raise Unsupported(
                f"{step.name} between a MaxPool and it must not have negative factors, one is "
                f"{float(min(step.gain)):g}: the pool can only be computed on codes"
            )


def affine(chain: tuple[Step, ...], source: Codes) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """(gain, offset) per channel, or one for all, with which a chain behind codes is gain * operand + offset.

    A clip that changes no value of a code is none. Unsupported names one that does.
    """
    count = max([len(source.scale), *(len(step.gain) for step in chain if isinstance(step, AffineNode)),
                 *(len(step.offset) for step in chain if isinstance(step, AffineNode))])
    if count > 1:
        count = source.channels
    ends = source.form.bounds()
    gains, offsets = [], []
    for channel in range(count):
        gain, offset = source.scale_of(channel), Fraction(0)
        for step in chain:
            if isinstance(step, AffineNode):
                zero = step.exact(Fraction(0), channel)
                factor = step.exact(Fraction(1), channel) - zero
                gain, offset = gain * factor, offset * factor + zero
            elif isinstance(step, ClipNode) and any(
                step.exact(gain * end + offset, channel) != gain * end + offset for end in ends
            ):
                raise Unsupported(f"{step.name} changes codes in front of it: put a Quant between")
        gains.append(gain)
        offsets.append(offset)
    return tuple(gains), tuple(offsets)
