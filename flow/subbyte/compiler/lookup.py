"""A lookup of codes as an operation: by the decode tables before the array or by a requantizer table behind it."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.decoding import coding, table_coding
from subbyte.compiler.engine_options import having
from subbyte.compiler.operation import Operation, identity_operation
from subbyte.compiler.requantizing import IDENTITY_BITS, Requantizer, halved, identity_requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Lookup, Network


def lookup_operation(network: Network, layer: Lookup, engine: EngineConfig) -> Operation:
    """Codes of up to 4 bits become anything while they are read, wider ones while they are written.

    ScheduleError when both are wider and the engine's tables have entries of 4 bits, or when they are too small.
    """
    source, target = network.tensors[layer.input].format, network.tensors[layer.output].format
    channels = network.tensors[layer.input].shape[2]
    try:
        if source.nibbles == 1:
            return identity_operation(
                network, layer, table_coding(layer.table, engine), identity_requantizer(channels, engine), engine
            )
        return identity_operation(
            network, layer, coding(linear(source.bits), engine), _table(layer, target.bits, channels, engine), engine
        )
    except ScheduleError as error:
        raise ScheduleError(*(f"Layer {layer.name}: {text}" for text in error.problems)) from None


def _table(layer: Lookup, bits: int, channels: int, engine: EngineConfig) -> Requantizer:
    size = 1 << engine.lut_bits
    if bits > engine.lut_code_bits:
        raise ScheduleError(
            f"a lookup must go from or to codes of at most {engine.lut_code_bits} bits, not from "
            f"{(len(layer.table) - 1).bit_length()} to {bits}: that takes an engine with {having('wide_tables')}"
        )
    if len(layer.table) > size:
        raise ScheduleError(f"a lookup of {len(layer.table)} codes needs a requantizer table of as many, not {size}")
    lut = np.zeros(size, dtype=np.int64)
    lut[: len(layer.table)] = layer.table
    return Requantizer(*halved(channels, IDENTITY_BITS, engine), 0, lut)
