"""Accuracy of a compiled model on samples, at any level that turns input codes into output codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.accuracy import measure
from subbyte.compiler.compiled import Compiled
from subbyte.compiler.data import DataError, Samples
from subbyte.compiler.feed import arrange, feed
from subbyte.compiler.graph import run_float
from subbyte.compiler.input_codes import encode
from subbyte.golden import reference
from subbyte.spec.network import Network

Level = Callable[[Compiled, NDArray[np.int64]], NDArray[np.int64]]
"""(compiled, input codes (n, height, width, channels)) -> output codes, likewise."""


BATCH = 64
"""Samples that the reference computes at once; bounds its memory."""


def run_in_batches(network: Network, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Output codes of the reference, (n, height, width, channels), of input codes likewise."""
    pieces = (codes[start : start + BATCH] for start in range(0, len(codes), BATCH))
    return np.concatenate([reference.run(network, piece) for piece in pieces])


def run_reference(compiled: Compiled, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The level `reference`."""
    return run_in_batches(compiled.network, codes)


def flat(values: NDArray[np.float64], order: str = "chw") -> NDArray[np.float64]:
    """(n, height, width, channels) as (n, features) with the axes in the `order` that the model has them."""
    return values.transpose(0, *(1 + "hwc".index(axis) for axis in order)).reshape(len(values), -1)


def evaluate(
    compiled: Compiled, data: Samples, metric: str = "top1", limit: int | None = None, run: Level = run_reference
) -> dict[str, Any]:
    """A JSON object: n, metric, value, float_value, agreement_with_reference.

    `agreement_with_reference` is the fraction of samples all of whose output codes equal the
    reference's. `limit` keeps the first samples. DataError when data, metric and model do not suit.
    """
    if limit is not None and limit < 1:
        raise DataError(f"Limit must be at least 1, not {limit}")
    arranged = arrange(data, compiled.graph, compiled.transform)[:limit]
    y = None if data.y is None else data.y[:limit]
    codes = encode(arranged, compiled.graph, compiled.transform, compiled.coding)
    fed = feed(arranged, compiled.graph, compiled.transform)
    graph = compiled.graph
    flat_fed = flat(fed, graph.order)
    float_value = measure(metric, flat(run_float(graph, fed), graph.output_order), flat_fed, y)
    outputs = run(compiled, codes)
    expected = outputs if run is run_reference else run_reference(compiled, codes)
    return {
        "n": len(codes),
        "metric": metric,
        "value": measure(metric, flat(compiled.real(outputs), graph.output_order), flat_fed, y),
        "float_value": float_value,
        "agreement_with_reference": float((outputs == expected).all(axis=(1, 2, 3)).mean()),
    }
