"""What `random_engines` and `random_graphs` draw: everything that there is, machine = reference, refusals counted."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz import engines
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, tried
from random_engines import OPTIONS, any_engine, options_of
from random_graphs import random_graph

from subbyte.spec.engine import PRESETS, Family, Lane
from subbyte.spec.formats import BinaryPad, Kind, linear
from subbyte.spec.network import Conv2d, Layer, Network, Requantize
from subbyte.spec.rounding import Rounding
from subbyte.spec.weight_formats import CodebookWeights, LogWeights, OutlierWeights

PRESET = PRESETS["up5k-plain"]
GRAPHS = 60


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(Lane))
def test_machine(seed: int, lane: Lane) -> None:
    """One input after the other in one memory, all of them twice."""
    rng = np.random.default_rng(seed)
    engine = any_engine(rng, lane)
    checked(random_graph(rng, engine)[0], engine, rng, runs=2)


def test_engines_of_the_suite() -> None:
    """The first drawn ones: every lane kind, family and option."""
    drawn = engines(len(PRESETS) + len(Lane))[len(PRESETS) :]
    assert [one.lane for one in drawn] == list(Lane)
    assert {one.family for one in drawn} == set(Family)
    assert {option for one in drawn for option in options_of(one)} == set(OPTIONS)


def features(network: Network) -> set[object]:
    """Kinds of layers, of what is special in them, of formats; whether a tensor has several readers."""
    found: set[object] = {one.format.kind for one in network.tensors.values()}
    found |= {BinaryPad(one.format.pad_code) for one in network.tensors.values() if one.format.kind is Kind.BIN}
    for layer in network.layers:
        found |= layer_features(network, layer)
    read = [name for layer in network.layers for name in layer.inputs]
    return found | ({"several readers"} if len(set(read)) < len(read) else set())


def layer_features(network: Network, layer: Layer) -> set[object]:
    """Of one layer."""
    found: set[object] = {layer.op}
    if isinstance(layer, Conv2d):
        channels = network.tensors[layer.input].shape[2]
        kind = "plain" if layer.groups == 1 else "depthwise" if layer.groups == channels else "grouped"
        found |= {kind, type(layer.weight_format)}
    if isinstance(layer, Requantize):
        found |= {layer.rounding, *(["skip"] if layer.skip else [])}
    return found


def test_every_feature() -> None:
    """On the preset with the most options."""
    rng, engine = np.random.default_rng(1), PRESETS["asic"]
    found = set[object]().union(*(features(random_graph(rng, engine)[0]) for _ in range(GRAPHS)))
    layers = {
        "conv2d", "dense", "relu", "requantize", "threshold", "maxpool2d", "averagepool2d", "concat", "add", "lookup",
    }
    kinds = {"plain", "grouped", "depthwise", "skip", "several readers"}
    assert found >= layers | kinds | {*Kind, *BinaryPad, *Rounding} | {CodebookWeights, LogWeights, OutlierWeights}


def one_layer(bits: int, skip: str = "") -> Network:
    """A convolution whose log weights are beyond the lanes of the preset where they have five bits."""
    builder = NetworkBuilder(np.random.default_rng(1), PRESET, (2, 2, 2), linear(4))
    return builder.conv(2, (1, 1), linear(4), weight_format=LogWeights(bits), skip=skip).network()


def test_refused_networks_are_counted() -> None:
    draws = iter([one_layer(5), one_layer(5), one_layer(4)])
    network, refused = tried(lambda: next(draws), PRESET)
    assert refused == 2 and network.layers[0].weight_format == LogWeights(4)  # type: ignore[union-attr]
    with pytest.raises(AssertionError, match=r"ran none of 3 networks$"):
        tried(lambda: one_layer(5), PRESET, 3)


def test_invalid_networks_are_not_drawn_again() -> None:
    with pytest.raises(ValueError, match="tensor nothing does not exist"):
        tried(lambda: one_layer(4, skip="nothing"), PRESET)
