"""Weight formats with codes of their own, exhaustively."""

from __future__ import annotations

import numpy as np

from subbyte.spec.weight_formats import BinaryWeights
from subbyte.spec.weights import WeightFormat, WeightSet


def test_lane_formats() -> None:
    form = WeightFormat(WeightSet.DIGIT4, 8)
    assert form.name == "digit4x8" and form.values.tolist() == list(range(-153, 103))


def test_binary() -> None:
    form = BinaryWeights()
    assert (form.name, form.bits, form.low, form.high, form.values.tolist()) == ("bin", 1, -1, 1, [-1, 1])
    assert form.encode(np.array([-1, 1])).tolist() == [0, 1]
    assert form.decode(np.array([0, 1])).tolist() == [-1, 1]
