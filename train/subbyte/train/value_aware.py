"""Quantized back-propagation: activations saved for the backward pass in few bits (Park, Yoo, Vajda, ECCV 2018).

The forward pass is exact. What autograd keeps of activations is value-aware quantized: the `ratio` of the numbers with
the largest magnitudes stays in 16 bits with its places, the others become `bits`-bit codes over the range that is left,
packed bit by bit. With `two_zeros` (RV-Quant) numbers that are never negative have two codes for zero: "was zero" and
"was positive, rounds to zero", so that the mask of a ReLU survives; the second comes back as the smallest positive
number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor, nn

SMALLEST = torch.finfo(torch.float32).tiny
LARGEST_HALF = 6e4
LEAST_NUMBERS = 256
"""Of a tensor that is packed."""

SHARED = 4
"""Tensors that are kept a little longer, so that the next operation that saves the same one shares its codes."""


def pack_bits(codes: Tensor, bits: int) -> Tensor:
    """Codes 0..2**bits - 1, uint8 (n,), as bytes: eight codes in `bits` bytes, code 0 lowest. uint8."""
    groups = torch.nn.functional.pad(codes, (0, -len(codes) % 8)).reshape(-1, 8).long()
    words = (groups << (bits * torch.arange(8))).sum(dim=1)
    return ((words[:, None] >> (8 * torch.arange(bits))) & 255).to(torch.uint8).flatten()


def unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """Inverse of `pack_bits` for `count` codes, uint8 (count,)."""
    words = (packed.reshape(-1, bits).long() << (8 * torch.arange(bits))).sum(dim=1)
    codes = (words[:, None] >> (bits * torch.arange(8))) & ((1 << bits) - 1)
    return codes.to(torch.uint8).flatten()[:count]


@dataclass(frozen=True)
class Packed:
    """A tensor in packed codes.

    codes : uint8, `pack_bits`; places, large : int32 and float16 (float32 where that is too small) of the outliers
    step : distance of two codes; zero : code of 0; two_zeros : whether code 1 is a positive number that rounds to 0
    """

    shape: torch.Size
    bits: int
    codes: Tensor = field(repr=False)
    places: Tensor = field(repr=False)
    large: Tensor = field(repr=False)
    step: float
    zero: int
    two_zeros: bool

    @property
    def nbytes(self) -> int:
        """Of all arrays and the step."""
        return sum(t.numel() * t.element_size() for t in (self.codes, self.places, self.large)) + 4

    def restored(self) -> Tensor:
        """The numbers, float32."""
        codes = unpack_bits(self.codes, self.bits, self.shape.numel())
        if self.two_zeros:
            values = torch.clamp(codes.float() - 1, min=0) * self.step
            values = torch.where(codes == 1, torch.full_like(values, SMALLEST), values)
        else:
            values = (codes.float() - self.zero) * self.step
        values[self.places.long()] = self.large.float()
        return values.reshape(self.shape)


def value_aware(x: Tensor, bits: int, ratio: float, two_zeros: bool = False) -> Packed:
    """Packed codes of float32 numbers.

    Numbers that are never negative have 2**bits codes from 0 up, one less for `two_zeros`; others codes about a zero
    in the middle, as many on either side.
    """
    flat = x.detach().reshape(-1).float()
    count = int(ratio * flat.numel())
    size = flat.abs()
    places = torch.topk(size, count).indices.sort().values if count else torch.zeros(0, dtype=torch.int64)
    rest = flat.clone()
    rest[places] = 0
    positive = bool((flat >= 0).all())
    two_zeros = two_zeros and positive
    levels = (1 << bits) - 1 - two_zeros if positive else (1 << (bits - 1)) - 1
    step = float(rest.abs().max()) / levels or 1.0
    zero = 0 if positive else levels
    codes = torch.floor(rest / step + 0.5).clamp(-levels, levels) + zero
    if two_zeros:
        codes = torch.where(rest > 0, codes + 1, torch.zeros_like(codes))
    large = flat[places]
    half = large if large.numel() and float(large.abs().max()) > LARGEST_HALF else large.half()
    return Packed(x.shape, bits, pack_bits(codes.to(torch.uint8), bits), places.to(torch.int32), half, step, zero,
                  two_zeros)


class QuantizedBackward:
    """Context in which the activations that autograd saves of `model` are packed.

    Tensors of float numbers are activations unless they have the shape of a parameter, or of a turned matrix, as
    autograd keeps those of linear layers; those of fewer than 256 numbers stay. `full_bytes` and `kept_bytes` count
    what was saved since the context began, each tensor once, everything that is not packed in both.
    """

    def __init__(self, model: nn.Module, bits: int = 3, ratio: float = 0.02, two_zeros: bool = False) -> None:
        if not isinstance(bits, int) or not 1 < bits <= 8 or not 0 <= ratio <= 1:
            raise ValueError(f"Saved activations must have 2..8 bits and a ratio of 0..1, not {bits} and {ratio}")
        self.bits, self.ratio, self.two_zeros = bits, ratio, two_zeros
        self.full_bytes = self.kept_bytes = 0
        shapes = {p.shape for p in model.parameters()}
        self._parameters = shapes | {shape[::-1] for shape in shapes if len(shape) == 2}
        self._recent: deque[tuple[Tensor, int, Packed]] = deque(maxlen=SHARED)
        self._plain: set[tuple[int, int]] = set()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def __enter__(self) -> QuantizedBackward:
        self.full_bytes = self.kept_bytes = 0
        self._plain.clear()
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)
        self._recent.clear()

    def _is_activation(self, x: Tensor) -> bool:
        return x.dtype == torch.float32 and x.numel() >= LEAST_NUMBERS and x.shape not in self._parameters

    def _pack(self, x: Tensor) -> Tensor | Packed:
        size = x.numel() * x.element_size()
        if not self._is_activation(x):
            key = x.data_ptr(), size
            if key not in self._plain:
                self._plain.add(key)
                self.full_bytes += size
                self.kept_bytes += size
            return x
        for other, version, packed in self._recent:
            same = other.data_ptr() == x.data_ptr() and other.shape == x.shape and other.stride() == x.stride()
            if same and version == x._version:
                return packed
        packed = value_aware(x, self.bits, self.ratio, self.two_zeros)
        self.full_bytes += size
        self.kept_bytes += packed.nbytes
        # Of what is kept here the version goes on with that of x.
        self._recent.append((x.detach(), x._version, packed))
        return packed

    @staticmethod
    def _unpack(kept: Tensor | Packed) -> Tensor:
        return kept.restored() if isinstance(kept, Packed) else kept
