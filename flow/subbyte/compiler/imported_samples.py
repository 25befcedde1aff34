"""Samples for a model that brings its own input codes: what the user's numbers are, random ones if there are none."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import Samples
from subbyte.compiler.feed import InputTransform, per_channel
from subbyte.compiler.graph import Graph
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
    x: NDArray[Any] = (codes - SIGN).astype(np.int8)
    if transform != own_transform(dataclasses.replace(InputTransform(), axes=transform.axes), None, form):
        real = (codes - form.zero_point) * form.scale
        x = real / per_channel(transform.scale, graph) + per_channel(transform.offset, graph)
    if transform.axes is not None:
        x = x.transpose(np.argsort(transform.axes))
    return Samples("drawn samples", x)
