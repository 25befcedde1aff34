"""What programs take of their engines: lanes, weights and memories, held to the programs' own words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.compiler.usage import memory_use, utilisation, weight_bytes
from subbyte.spec.engine import PRESETS
from subbyte.spec.formats import binary, linear
from subbyte.spec.program import Space
from subbyte.spec.weight_formats import BinaryWeights


@pytest.mark.parametrize("name", PRESETS)
def test_weight_bytes_add_up(name: str, rng: np.random.Generator) -> None:
    """Over all layers to the program's weights, line passes and column passes among them."""
    engine = dataclasses.replace(PRESETS[name], param_stream=True)
    builder = NetworkBuilder(rng, engine, (5, 4, 3), linear(4)).conv(8, (2, 2), linear(4))
    builder.conv(8, (3, 2), linear(4), groups=8, bits=8).average((2, 2), linear(8), alike=True)
    network = builder.dense(5, linear(8), 8).network()
    program = schedule(network, engine)
    layers = ("conv0", "conv2", "average4", "dense6")
    assert sum(weight_bytes(program, layer) for layer in layers) == program.weights.nbytes
    assert sum(one.weight_rows for one in program.passes) == len(program.weights)


@pytest.mark.parametrize("name", PRESETS)
def test_memory_use_is_that_of_the_image(name: str, rng: np.random.Generator) -> None:
    for param_stream in (False, True):
        engine = dataclasses.replace(PRESETS[name], param_stream=param_stream)
        program = schedule(random_network(rng, engine), engine)
        use, image = memory_use(program), program.image()
        main = use["main"]
        assert main["descriptors"] == len(image[0][2]) // 4 and main["weights"] == program.weights.size
        assert main["used"] == main["descriptors"] + main["activations"] + main["weights"] <= main["available"]
        largest = max(layout.words for layout in program.layouts.values())
        assert largest <= main["activations"] and program.tensor_words <= main["activations"]
        sizes = {space: len(units) for space, _, units in image}
        assert use["table_slots"]["used"] == sizes[Space.TABLES] // 32 <= use["table_slots"]["available"]
        assert use["lut_slots"]["used"] == sizes.get(Space.LUTS, 0) >> engine.lut_bits <= use["lut_slots"]["available"]
        assert use["parameters"]["used"] <= use["parameters"]["available"]


def test_utilisation(rng: np.random.Generator) -> None:
    """A layer that computes all the time, with weights of 4 and of 8 bits; four packed products in a step."""
    for bits in (4, 8):
        engine = PRESETS["up5k-plain"]
        builder = NetworkBuilder(rng, engine, (12, 12, 16), linear(4)).conv(64, (1, 1), linear(4), bits=bits)
        program = schedule(builder.network(), engine)
        cycles = estimate(program).cycles
        share = utilisation(program, "conv0", 144 * 64 * 16, cycles)
        assert share == 144 * 16 * (bits // 4) / cycles
    engine = PRESETS["up5k-binary"]
    builder = NetworkBuilder(rng, engine, (12, 12, 64), binary())
    builder.conv(64, (1, 1), binary(), weight_format=BinaryWeights())
    program = schedule(builder.network(), engine)
    assert utilisation(program, "conv0", 144 * 64 * 64, 5000) == 144 * 16 / 5000
