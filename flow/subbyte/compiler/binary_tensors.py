"""Which binary tensors lie four codes to a nibble, and what weights meet such nibbles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.fusion import readers
from subbyte.spec.binary import pack_codes
from subbyte.spec.engine import PACKED_CODES, EngineConfig, Lane
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat
from subbyte.spec.network import Concat, Conv2d, Dense, Layer, Lookup, Network


def packed(network: Network, tensor: str, engine: EngineConfig) -> bool:
    """Whether `tensor` is packed: on xnor lanes, when all that read it have odd weights and a binary border.

    Odd weights, those of -1 and 1 among them, are sums of -1 and 1, of -2 and 2 and so on: a row each. A border
    of PAD_ZERO needs a third code, which only a nibble of its own has; so does a max pool, whose weights are 0 and 1,
    and a tensor that nothing reads may as well have them. Nor are channels packed that have a place in a
    concatenation, or that a lookup writes, which may make ones of the zeros behind the last channel.
    """
    form = network.tensors[tensor].format
    every = readers(network, tensor)
    if engine.lane is not Lane.XNOR or form.kind is not Kind.BIN or not every:
        return False
    written = any(layer.output == tensor and isinstance(layer, Concat | Lookup) for layer in network.layers)
    return not written and all(_binary(layer, form) for layer in every)


def _binary(layer: Layer, form: TensorFormat) -> bool:
    if not isinstance(layer, Conv2d | Dense) or not (layer.weight % 2).all():
        return False
    if isinstance(layer, Dense):
        return True
    return layer.groups == 1 and (not any(layer.padding) or form.pad_code != BinaryPad.PAD_ZERO)


def packed_weights(signs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Weights -1 and 1 (..., channels) -> lane codes (..., ceil(channels / 4)).

    Behind the last channel the weight is 1, which counts nothing where the codes are 0.
    """
    spare = -signs.shape[-1] % PACKED_CODES
    full = np.pad(signs, [(0, 0)] * (signs.ndim - 1) + [(0, spare)], constant_values=1)
    return pack_codes((full + 1) // 2)
