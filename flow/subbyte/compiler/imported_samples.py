"""Samples for a model that brings its own integers: what the user's numbers are, random ones if there are none."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import Samples
from subbyte.compiler.feed import InputTransform, per_channel
from subbyte.compiler.graph import Graph
from subbyte.compiler.input_codes import InputCoding
from subbyte.spec.formats import TensorFormat

DRAWN = 16
"""Random samples that are kept where the user gives none."""

SIGN = 128
"""An int8 number q is the code q + this."""


def own_transform(transform: InputTransform, samples: Samples | None, form: TensorFormat) -> InputTransform:
    """What makes the real numbers of `form` out of int8 samples that are the model's own.

    They are taken for that where the user says neither offset nor scale; without samples to look at too. All else
    is fed as `transform` says.
    """
    said = (transform.offset, transform.scale) != (InputTransform.offset, InputTransform.scale)
    if said or (samples is not None and samples.x.dtype != np.int8):
        return transform
    return dataclasses.replace(transform, offset=(float(form.zero_point - SIGN),), scale=(form.scale,))


def drawn_samples(graph: Graph, form: TensorFormat, transform: InputTransform, seed: int) -> Samples:
    """Samples that become random codes; int8 where these are the model's own."""
    codes = np.random.default_rng(seed).integers(0, 1 << form.bits, (DRAWN, *graph.feed))
    if transform != own_transform(dataclasses.replace(InputTransform(), axes=transform.axes), None, form):
        return _as_given((codes - form.zero_point) * form.scale, graph, transform)
    return _in_order((codes - SIGN).astype(np.int8), transform)


def made_up_samples(graph: Graph, coding: InputCoding, transform: InputTransform, seed: int) -> Samples:
    """Samples all over the range of `coding`, a quantizer of the model's own, and beyond its ends."""
    borders = [side.value for row in coding.sides for side in row if not isinstance(side, bool)]
    low, high = float(min(borders)), float(max(borders))
    room = (high - low) / 4 or 1.0
    fed = np.random.default_rng(seed).uniform(low - room, high + room, (DRAWN, *graph.feed))
    return _as_given(fed, graph, transform)


def _as_given(fed: NDArray[np.floating[Any]], graph: Graph, transform: InputTransform) -> Samples:
    """What a user would give for the model to be fed this."""
    return _in_order(fed / per_channel(transform.scale, graph) + per_channel(transform.offset, graph), transform)


def _in_order(x: NDArray[Any], transform: InputTransform) -> Samples:
    """Samples with their axes as a user has them."""
    return Samples("drawn samples", x if transform.axes is None else x.transpose(np.argsort(transform.axes)))
