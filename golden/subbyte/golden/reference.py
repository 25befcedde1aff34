"""Execution of a `Network` on a batch, layer by layer: what every other implementation must equal."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.add import add
from subbyte.golden.ops import averagepool2d, conv2d, dense, maxpool2d, relu, wrap
from subbyte.golden.requant import requantize, threshold_codes
from subbyte.spec.formats import Kind
from subbyte.spec.network import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Network,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)


@overload
def run(network: Network, codes: NDArray[Any], taps: Literal[False] = False) -> NDArray[np.int64]: ...
@overload
def run(network: Network, codes: NDArray[Any], taps: Literal[True]) -> dict[str, NDArray[np.int64]]: ...
def run(
    network: Network, codes: NDArray[Any], taps: bool = False
) -> NDArray[np.int64] | dict[str, NDArray[np.int64]]:
    """Output codes of `network`, or with `taps` the codes of every code tensor by name, input included.

    Parameters
    ----------
    network : a valid network, see `subbyte.spec.validate`
    codes : integer array (n, height, width, channels) of the input tensor's codes

    Returns
    -------
    int64, shape (n, height, width, channels) of each tensor. Of a tensor with records whole values, dense code or
    record. TypeError when the codes are not integers, ValueError on a wrong shape or a code outside the input format.
    """
    values = _values(network, codes)
    if not taps:
        return values[network.output]
    return {name: v for name, v in values.items() if network.tensors[name].format.kind is not Kind.ACC}


def saturated(network: Network, codes: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """How many values of each tensor with records found no room and became its largest code, int64 (n,).

    Arguments and errors as for `run`.
    """
    values = _values(network, codes)
    counts: dict[str, NDArray[np.int64]] = {}
    for layer in network.layers:
        target = network.tensors[layer.output]
        if isinstance(layer, Requantize) and target.format.records:
            roomy = dataclasses.replace(target.format, records=target.shape[2])
            whole = requantize(layer, roomy, values[layer.input])
            counts[target.name] = (whole != values[target.name]).sum(axis=(1, 2, 3))
    return counts


def _values(network: Network, codes: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Codes and accumulators of every tensor."""
    source = network.tensors[network.input]
    values = {network.input: _checked(source, codes)}
    for layer in network.layers:
        values[layer.output] = _layer(network, layer, *(values[name] for name in layer.inputs))
    return values


def _checked(source: Tensor, codes: NDArray[Any]) -> NDArray[np.int64]:
    if not np.issubdtype(codes.dtype, np.integer):
        raise TypeError(f"Codes of {source.name} must be integers, not {codes.dtype}")
    if codes.ndim != 4 or codes.shape[1:] != source.shape:
        size = ", ".join(map(str, source.shape))
        raise ValueError(f"Codes of {source.name} must have shape (n, {size}), not {codes.shape}")
    top = (1 << source.format.bits) - 1
    if codes.size and not (codes.min() >= 0 and codes.max() <= top):
        raise ValueError(f"Codes of {source.name} must be in 0..{top}, not {codes.min()}..{codes.max()}")
    return codes.astype(np.int64)


def _layer(network: Network, layer: Layer, values: NDArray[np.int64], *others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values of the layer's output from those of its inputs; accumulators wrap to the bits of their format."""
    source, *more = (network.tensors[name].format for name in layer.inputs)
    target = network.tensors[layer.output].format
    if isinstance(layer, Conv2d):
        return wrap(conv2d(layer, source, values), target.bits)
    if isinstance(layer, Dense):
        return wrap(dense(layer, source, values), target.bits)
    if isinstance(layer, Relu):
        return relu(values)
    if isinstance(layer, Threshold):
        return threshold_codes(layer, values)
    if isinstance(layer, MaxPool2d):
        return maxpool2d(layer, source, values)
    if isinstance(layer, AveragePool2d):
        return wrap(averagepool2d(layer, source, values), target.bits)
    if isinstance(layer, Concat):
        return np.concatenate([values, *others], axis=-1)
    if isinstance(layer, Lookup):
        found: NDArray[np.int64] = layer.table.astype(np.int64)[values]
        return found
    if isinstance(layer, Add):
        return add(layer, target, source.operands()[values], more[0].operands()[others[0]])
    skips = (form.operands()[codes] for form, codes in zip(more, others, strict=True))
    return requantize(layer, target, values, *skips)
