"""Equalization: the same function in real numbers, of alike ranges or scales."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compiler_lower import POOL, RELU, chain, conv, dense

from subbyte.compiler.equalize import activations_equalized, channel_scales, equalized, weights_equalized
from subbyte.compiler.graph import AveragePoolNode, ConvNode, Graph, ReluNode, run_float
from subbyte.compiler.recipe import EQUALIZATIONS, Override, Recipe

AVERAGE = AveragePoolNode("", "", "", (2, 2), (2, 2))
ACTIVATIONS = Recipe("r", activations="lin4", equalization="activations")


def uneven(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights of which each output channel has another range."""
    return rng.normal(size=shape) * np.exp(rng.normal(0, 1.5, (shape[0], *[1] * (len(shape) - 1))))


def network(rng: np.random.Generator, top: float = np.inf) -> Graph:
    """Convolutions, dense, depthwise and in two groups, with ReLUs and both pools between; 8 x 8 x 3."""
    relu = dataclasses.replace(RELU, top=top)
    return chain(
        (3, 8, 8),
        conv(uneven(rng, 8, 3, 3, 3), rng.normal(size=8), padding=(1, 1, 1, 1)), relu,
        conv(uneven(rng, 8, 3, 3, 1), rng.normal(size=8), groups=8, padding=(1, 1, 1, 1)), relu, POOL,
        conv(uneven(rng, 6, 1, 1, 4), rng.normal(size=6), groups=2), relu, AVERAGE,
        dense(uneven(rng, 5, 2, 2, 6), rng.normal(size=5)),
        dense(uneven(rng, 4, 1, 1, 5), rng.normal(size=4)),
    )


def weights(graph: Graph) -> list[np.ndarray]:
    return [node.weight for node in graph.nodes if hasattr(node, "weight")]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(EQUALIZATIONS))
def test_float_output_stays(seed: int, equalization: str) -> None:
    rng = np.random.default_rng(seed)
    graph, x = network(rng), rng.normal(size=(5, 8, 8, 3))
    changed = equalized(graph, x, dataclasses.replace(ACTIVATIONS, equalization=equalization))
    wanted = run_float(graph, x)
    assert np.allclose(run_float(changed, x), wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
    alike = [np.array_equal(a, b) for a, b in zip(weights(graph), weights(changed), strict=True)]
    assert all(alike) if equalization == "none" else not any(alike[:4])


def test_weights_get_one_range(rng: np.random.Generator) -> None:
    """Nagel et al., equation 11: at the end both sides of every channel have the same largest magnitude."""
    first, second, third, fourth, last = weights(weights_equalized(network(rng)))
    assert np.abs(first).max(axis=(1, 2, 3)) == pytest.approx(np.abs(second).max(axis=(1, 2, 3)), rel=1e-3)
    read = np.abs(third).reshape(2, 3, 4).max(axis=1).reshape(-1)
    assert np.abs(second).max(axis=(1, 2, 3)) == pytest.approx(read, rel=1e-3)
    assert np.abs(third).max(axis=(1, 2, 3)) == pytest.approx(np.abs(fourth).max(axis=(0, 1, 2)), rel=1e-3)
    assert np.abs(fourth).max(axis=(1, 2, 3)) == pytest.approx(np.abs(last).max(axis=(0, 1, 2)), rel=1e-3)


def test_channel_without_weights_stays(rng: np.random.Generator) -> None:
    first, second = rng.normal(size=(2, 1, 1, 3)), rng.normal(size=(4, 1, 1, 2))
    first[0], second[..., 0] = 0.0, 2.0
    graph = weights_equalized(chain((3, 1, 1), conv(first), RELU, conv(second)))
    assert not weights(graph)[0][0].any() and (weights(graph)[1][..., 0] == 2).all()


@pytest.mark.parametrize("equalization", ["weights", "activations"])
def test_clipped_channels_stay(equalization: str, rng: np.random.Generator) -> None:
    """Behind a ReLU6 only the pair without one, of the two dense layers, can move."""
    graph = network(rng, top=6.0)
    recipe = dataclasses.replace(ACTIVATIONS, equalization=equalization)
    alike = map(np.array_equal, weights(graph), weights(equalized(graph, rng.normal(size=(5, 8, 8, 3)), recipe)))
    assert list(alike) == [True, True, True, *[equalization == "activations"] * 2]


def test_channels_get_the_scale_they_want(rng: np.random.Generator) -> None:
    """Behind it channels that a depthwise layer or an average pool reads are alike; others go half the way."""
    graph, x = network(rng), rng.normal(size=(64, 8, 8, 3))
    changed = activations_equalized(graph, x, ACTIVATIONS)

    def spread(graph: Graph, last: int) -> float:
        cut = dataclasses.replace(graph, nodes=graph.nodes[: last + 1], output=f"t{last}")
        return float(np.log(channel_scales(run_float(cut, x))).std())

    for tensor, left in ((1, 0.1), (3, 0.6), (6, 0.1)):
        assert spread(graph, tensor) > 0.5 and spread(changed, tensor) < left * spread(graph, tensor)


def test_eight_bits_stay(rng: np.random.Generator) -> None:
    graph, x = network(rng), rng.normal(size=(5, 8, 8, 3))
    recipe = dataclasses.replace(ACTIVATIONS, activations="lin8", layers={"n5": Override(activations="lin4")})
    alike = map(np.array_equal, weights(graph), weights(equalized(graph, x, recipe)))
    assert list(alike) == [True, True, False, False, True]


def test_channel_scales(rng: np.random.Generator) -> None:
    """They follow the units of a channel; a channel that is never above 0 has 1."""
    x = rng.normal(size=(50, 4, 4, 1)) * np.array([1.0, 4.0, -0.0, 16.0])
    x[..., 2] = -1
    scales = channel_scales(x)
    assert scales == pytest.approx([0.25, 1, 1, 4]) and (channel_scales(-np.abs(x)) == 1).all()


def test_identity_of_a_sum_stays(rng: np.random.Generator) -> None:
    identity = ConvNode("", "", "", np.ones((4, 1, 1, 1)), np.zeros(4), groups=4)
    graph = chain((3, 4, 4), conv(uneven(rng, 4, 1, 1, 3)), ReluNode("", "", ""), identity)
    for change in (weights_equalized(graph), activations_equalized(graph, rng.normal(size=(5, 4, 4, 3)), ACTIVATIONS)):
        assert all(map(np.array_equal, weights(graph), weights(change)))
