"""Adaptive rounding: which neighbour of each weight on the grid leaves a layer's output the least error.

AdaRound (arXiv 2004.10568, section 3.1) states it as a quadratic problem, the error e of the weights of one output
channel costing e gram e', and relaxes it to a continuous one that is trained. Here it is descended as it stands: the
one step of one weight that lowers the cost most is made, until none lowers it. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.settled import settled
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights

LEAST_GAIN = 1e-9
"""Of a channel's cost, what a step must gain: less may be rounding errors of the sums, and go round for ever."""


def descended(
    integers: NDArray[np.int64], wanted: NDArray[np.float64], scales: NDArray[np.float64], form: AnyWeightFormat,
    gram: NDArray[np.float64], wide: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    """Integers (out, k) of `form`, no step of one of which to a neighbouring weight lowers its channel's cost.

    integers : to begin with; wanted : (out, k) real weights; scales : (out,), real value of an integer step
    gram : (k, k), symmetric, positive definite
    wide : (out, k), which weights of an `OutlierWeights` form may have an outlier; the others stay dense
    """
    integers = integers.copy()
    error = scales[:, None] * integers - wanted
    slope, power = error @ gram, np.diag(gram)
    least = LEAST_GAIN * (slope * error).sum(axis=1)
    steps = scales[:, None] * _steps(integers, form, wide)
    gains = -steps * (2 * slope + steps * power)
    active = np.arange(len(integers))
    while len(active):
        flat = settled(gains[:, active]).transpose(1, 0, 2).reshape(len(active), -1)
        chosen = flat.argmax(axis=1)
        moving = flat[np.arange(len(active)), chosen] > least[active]
        active, chosen = active[moving], chosen[moving]
        direction, place = np.divmod(chosen, integers.shape[1])
        step = steps[direction, active, place]
        integers[active, place] += np.rint(step / scales[active]).astype(np.int64)
        slope[active] += step[:, None] * gram[place]
        at = (active, place)
        changed = _steps(integers[at], form, None if wide is None else wide[at])
        steps[:, active, place] = scales[active] * changed
        moves = steps[:, active]
        gains[:, active] = -moves * (2 * slope[active] + moves * power)
    return integers


def _steps(
    integers: NDArray[np.int64], form: AnyWeightFormat, wide: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    """(2, *shape): how far it is to the weight below and above, 0 at the ends."""
    if not isinstance(form, OutlierWeights) or wide is None:
        return _steps_among(form.values, integers)
    dense = _steps_among(form.dense.values, integers)
    return np.where(wide, _steps_among(form.values, integers), dense)


def _steps_among(values: NDArray[np.int64], integers: NDArray[np.int64]) -> NDArray[np.int64]:
    place = np.searchsorted(values, integers).clip(max=len(values) - 1)
    return np.stack([values[(place - 1).clip(min=0)], values[(place + 1).clip(max=len(values) - 1)]]) - integers
