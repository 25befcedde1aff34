"""Metrics on outputs: top-1, area under the ROC curve, mean squared error, likeness to the float network's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import DataError

METRICS = ("top1", "auc", "mse")


def _check_classes(labels: NDArray[Any], classes: int) -> None:
    """DataError unless labels (n,) are integers of 0..classes - 1, whatever their dtype."""
    wrong = labels[(labels < 0) | (labels >= classes) | (labels != np.floor(labels))]
    if wrong.size:
        raise DataError(f"Labels must be classes, integers in 0..{classes - 1}, not {wrong[0]:g}")


def check_labels(y: NDArray[Any], classes: int) -> None:
    """DataError unless y suits a model with so many outputs: classes (n,), or targets (n, ...) that are not one-hot.

    With one output there are no classes; every number is a target then.
    """
    if classes == 1:
        return
    if y.ndim == 1:
        _check_classes(y, classes)
    elif y.size != len(y) * classes:
        raise DataError(f"Labels must have shape (n,), or {classes} targets per sample, not {y.shape}")
    elif np.isin(y, (0, 1)).all() and (y.reshape(len(y), -1).sum(axis=1) == 1).all():
        raise DataError(f"Labels must be classes, integers in 0..{classes - 1}, not one-hot: y.argmax(axis=1)")


def _top1(outputs: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Fraction of samples whose largest output, the first of equal ones, is the label's."""
    if labels.ndim != 1:
        raise DataError(f"Labels for top1 must have shape (n,), not {labels.shape}")
    _check_classes(labels, outputs.shape[1])
    return float((outputs.argmax(axis=1) == labels).mean())


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal scores sharing the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks: NDArray[np.float64] = mean_ranks[inverse]
    return ranks


def _auc(outputs: NDArray[np.float64], labels: NDArray[Any], fed: NDArray[np.float64]) -> float:
    """Area under the ROC curve, classes 0 and 1.

    The score is the output; with two outputs the second minus the first; with as many outputs as inputs
    (an autoencoder) the mean squared error of the reconstruction.
    """
    if labels.ndim != 1 or set(np.unique(labels).tolist()) != {0, 1}:
        shown = np.unique(labels)[:5].tolist()
        raise DataError(f"Labels for auc must be 0 and 1, shape (n,), not {shown} of shape {labels.shape}")
    if outputs.shape == fed.shape:
        scores = np.square(outputs - fed).mean(axis=1)
    elif outputs.shape[1] <= 2:
        scores = outputs[:, -1] - (outputs[:, 0] if outputs.shape[1] == 2 else 0)
    else:
        raise DataError(f"Metric auc needs 1, 2 or {fed.shape[1]} outputs, the model has {outputs.shape[1]}")
    positive = labels == 1
    count = int(positive.sum())
    return float((_ranks(scores)[positive].sum() - count * (count + 1) / 2) / (count * (len(labels) - count)))


def _mse(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    if targets.size != outputs.size:
        raise DataError(f"Targets for mse must have {outputs.shape[1]} values per sample, not shape {targets.shape}")
    return float(np.square(outputs - targets.reshape(outputs.shape)).mean())


def agreement(outputs: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """Fraction of samples whose largest output is that of `wanted`, both (n, features)."""
    return float((outputs.argmax(axis=1) == wanted.argmax(axis=1)).mean())


def relative_error(outputs: NDArray[np.float64], wanted: NDArray[np.float64]) -> float | None:
    """Mean square of what `outputs` differ from `wanted` by, both (n, ...), as a part of its variance.

    The variance is that of each feature over the samples; None where they are all alike.
    """
    if (wanted == wanted[0]).all():
        return None
    return float(np.square(outputs - wanted).mean() / wanted.var(axis=0).mean())


def measure(metric: str, outputs: NDArray[np.float64], fed: NDArray[np.float64], y: NDArray[Any] | None) -> float:
    """One of `METRICS`.

    Parameters
    ----------
    outputs : real outputs (n, features)
    fed : what the model was fed, (n, features)
    y : labels (n,) for top1 and auc; targets (n, ...) for mse, None there for a reconstruction of the input

    top1 and auc are fractions 0..1. DataError when y does not suit the metric.
    """
    if metric not in METRICS:
        raise DataError(f"Metric must be one of {', '.join(METRICS)}, not {metric!r}")
    if metric == "mse":
        return _mse(outputs, fed if y is None else np.asarray(y, dtype=np.float64))
    if y is None:
        raise DataError(f"Metric {metric} needs labels, the data file has no y")
    return _top1(outputs, y) if metric == "top1" else _auc(outputs, y, fed)
