"""What compiling takes from samples and tells of layers, whether it quantizes the model or imports its integers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.accuracy import agreement, measure, relative_error
from subbyte.compiler.compiled import Compiled
from subbyte.compiler.data import Samples
from subbyte.compiler.evaluate import flat, run_reference
from subbyte.compiler.feed import InputTransform, arrange, check_calibration
from subbyte.compiler.graph import Graph, run_float
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense, MaxPool2d, Network, Relu

CALIBRATION_SAMPLES = 512
KEPT_SAMPLES = 100


def chosen_samples(samples: Samples, graph: Graph, transform: InputTransform, seed: int) -> Samples:
    """At most `CALIBRATION_SAMPLES`, drawn by `seed`, with all axes present in the user's order.

    DataError for samples that cannot be used, see `arrange` and `check_calibration`.
    """
    arranged = arrange(samples, graph, transform)
    keep = np.arange(len(arranged))
    if len(keep) > CALIBRATION_SAMPLES:
        keep = np.sort(np.random.default_rng(seed).choice(keep, CALIBRATION_SAMPLES, replace=False))
    x: NDArray[Any] = arranged[keep]
    check_calibration(x, graph, transform)
    if transform.axes is not None:
        x = x.transpose(np.argsort(transform.axes))
    return dataclasses.replace(samples, x=x, y=None if samples.y is None else samples.y[keep])


def kept_samples(samples: Samples, transform: InputTransform) -> Samples:
    """The first `KEPT_SAMPLES`."""
    x = samples.x.take(np.arange(min(KEPT_SAMPLES, samples.x.shape[transform.batch_axis])), transform.batch_axis)
    return dataclasses.replace(samples, x=x, y=None if samples.y is None else samples.y[:KEPT_SAMPLES])


def _format_name(form: TensorFormat) -> str:
    return f"{form.kind.value}{form.bits}"


def act_format(network: Network, layer: Conv2d | Dense) -> str:
    """Format of the codes that the requantizer behind `layer` writes."""
    tensor = layer.output
    for following in network.layers:
        if tensor in following.inputs and not isinstance(following, MaxPool2d):
            tensor = following.output
            if not isinstance(following, Relu):
                break
    return _format_name(network.tensors[tensor].format)


def quality(compiled: Compiled, samples: Samples) -> dict[str, dict[str, Any] | None]:
    """What the network makes of the samples, {accuracy, fidelity}.

    accuracy : {float_value, value, n}, top-1; None without class labels, or where a single output has no classes
    fidelity : {agreement, error, n}, how like the float network's outputs are, see `subbyte.compiler.accuracy`.
        `agreement` is None where no output is a class: a single one, or as many as inputs (an autoencoder)
    """
    graph, fed = compiled.graph, compiled.fed(samples)
    wanted = flat(run_float(graph, fed), graph.output_order)
    outputs = flat(compiled.real(run_reference(compiled, compiled.codes(samples))), graph.output_order)
    n, features = wanted.shape
    classes = features > 1 and features != fed[0].size
    found: dict[str, Any] = {
        "agreement": agreement(outputs, wanted) if classes else None, "error": relative_error(outputs, wanted), "n": n,
    }
    if samples.y is None or samples.y.ndim != 1 or features == 1:
        return {"accuracy": None, "fidelity": found}
    float_value, value = (measure("top1", values, fed, samples.y) for values in (wanted, outputs))
    return {"accuracy": {"float_value": float_value, "value": value, "n": n}, "fidelity": found}
