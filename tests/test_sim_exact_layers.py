"""h-swish with PROFIT's shift and padding, and average pools that divide exactly, on the Verilog of every lane kind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.divide import exact_divider
from subbyte.golden.hswish import hswish_format, hswish_table, shift_bias
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import linear
from subbyte.spec.network import Conv2d, Network, Requantize
from subbyte.spec.rounding import Rounding

ENGINES = {
    **{name: PRESETS[name] for name in ("up5k", "up5k-shift", "up5k-binary", "ecp5-25")},
    "log": EngineConfig("log", Family.ICE40, Lane.LOG, operand_bits=4, depthwise=True),
}
POOLS = (((25, 5), 0), ((25, 5), 128), ((3, 3), 0), ((3, 3), 128))
"""Window and zero point of its codes: divisors 125 and 9."""
CLIP = 5.0


def hswish_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """8-bit codes, h-swish to 4 bits, and a convolution whose border is code 0, -3/8."""
    wide = linear(8, 1 / 16, 100)
    builder = NetworkBuilder(rng, engine, (6, 6, 4), linear(4)).conv(8, (1, 1), wide)
    builder.lookup(hswish_format(4, CLIP), hswish_table(wide, 4, CLIP))
    network = builder.conv(8, (3, 3), linear(8), padding=(1, 1, 1, 1)).network()
    *before, conv, last = network.layers
    assert isinstance(conv, Conv2d)
    conv = dataclasses.replace(conv, bias=conv.bias + shift_bias(conv.weight, CLIP / 15))
    return dataclasses.replace(network, layers=(*before, conv, last))


def pool_network(rng: np.random.Generator, engine: EngineConfig, window: tuple[int, int], zero_point: int) -> Network:
    """An average pool that divides by its window, rounding half up."""
    form, size = linear(8, zero_point=zero_point), window[0] * window[1]
    network = NetworkBuilder(rng, engine, (25, 6, 8), form).average(window, form).network()
    pool, divider = network.layers
    assert isinstance(divider, Requantize)
    multiplier, shift = exact_divider(size, (255 - zero_point) * size, -zero_point * size, Rounding.HALF_UP)
    divider = dataclasses.replace(
        divider, rounding=Rounding.HALF_UP, multiplier=np.full(8, multiplier), shift=np.full(8, shift)
    )
    return dataclasses.replace(network, layers=(pool, divider))


def means(codes: NDArray[np.int64], window: tuple[int, int], zero_point: int) -> NDArray[np.int64]:
    """The definition: floor(sum / n + 1/2), around the zero point."""
    size = window[0] * window[1]
    sums = sliding_window_view(codes - zero_point, window, axis=(1, 2)).sum(axis=(-1, -2))
    return (2 * sums + size) // (2 * size) + zero_point


@pytest.mark.cocotb
@pytest.mark.parametrize("name", ENGINES)
def test_exact_layers(name: str, rng: np.random.Generator) -> None:
    """All in one simulation: each network finds what the one before has left."""
    engine = ENGINES[name]
    networks = [hswish_network(rng, engine), *(pool_network(rng, engine, *pool) for pool in POOLS)]
    runs = [(schedule(network, engine), random_codes(rng, network, 2)) for network in networks]
    expected = [reference.run(network, codes, taps=True) for network, (_, codes) in zip(networks, runs, strict=True)]
    for pool, (program, codes), taps in zip(POOLS, runs[1:], expected[1:], strict=True):
        assert np.array_equal(taps[program.output], means(codes, *pool))
    for (program, codes), taps, result in zip(runs, expected, simulate_all(runs), strict=True):
        assert first_difference(program, taps, Machine(program).run(codes, taps=True)) is None
        assert first_difference(program, taps, result.taps) is None
