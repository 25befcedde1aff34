"""Tensors of the float graph on calibration samples, each computed when it is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import DataError
from subbyte.compiler.feed import USABLE
from subbyte.compiler.graph import Graph, run_node
from subbyte.golden.settled import settled


class Taps:
    """`taps[name]` is a tensor, float64 (n, height, width, channels), `settled`.

    What it comes from must not be dropped before. DataError for one that is larger than `feed` allows.
    """

    def __init__(self, graph: Graph, fed: NDArray[np.float64]) -> None:
        self._producers = graph.producers()
        self._values = {graph.input: fed}

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._values:
            node = self._producers[name]
            values = settled(run_node(node, *(self[source] for source in node.inputs)))
            if not np.abs(values).max(initial=0.0) <= USABLE[1]:
                raise DataError(
                    f"Calibration samples must keep all tensors within {USABLE[1]:g}, {name} goes beyond: "
                    "correct the samples or the input scale"
                )
            self._values[name] = values
        return self._values[name]

    def drop(self, name: str) -> None:
        """Forget a tensor that nothing asks for any more."""
        self._values.pop(name, None)
