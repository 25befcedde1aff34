"""The layer IR: a `Network` is a list of integer layers with exact meaning.

Axis order is channels last: a tensor without its batch axis has shape (height, width, channels), a
flat vector of n features has shape (1, 1, n). Layers are listed in execution order; every tensor is
written by one layer (or is the input) before it is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.layers import (
    MULTIPLIER_BITS,
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Relu,
    Requantize,
    Threshold,
)


@dataclass(frozen=True)
class Tensor:
    """A named activation or accumulator tensor, shape (height, width, channels)."""

    name: str
    shape: tuple[int, int, int]
    format: TensorFormat


@dataclass(frozen=True)
class Network:
    """Layers in execution order and the tensors they connect.

    Parameters
    ----------
    name : str
    tensors : mapping of name to `Tensor`
    layers : tuple of layers
    input, output : tensor names; the output is a code tensor
    """

    name: str
    tensors: dict[str, Tensor]
    layers: tuple[Layer, ...]
    input: str
    output: str

    def producer(self, tensor: str) -> Layer | None:
        """The layer that writes `tensor`, None for the network's input."""
        return next((layer for layer in self.layers if layer.output == tensor), None)


__all__ = [
    "MULTIPLIER_BITS", "Add", "AveragePool2d", "Concat", "Conv2d", "Dense", "Kind", "Layer", "Lookup", "MaxPool2d",
    "Network", "Relu", "Requantize", "Tensor", "Threshold",
]
