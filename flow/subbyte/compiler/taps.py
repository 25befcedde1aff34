"""Tensors of the float graph on calibration samples, each computed when it is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import Graph, run_node
from subbyte.golden.settled import settled


class Taps:
    """`taps[name]` is a tensor, float64 (n, height, width, channels), `settled`.

    What it comes from must not be dropped before.
    """

    def __init__(self, graph: Graph, fed: NDArray[np.float64]) -> None:
        self._producers = graph.producers()
        self._values = {graph.input: fed}

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._values:
            node = self._producers[name]
            self._values[name] = settled(run_node(node, *(self[source] for source in node.inputs)))
        return self._values[name]

    def drop(self, name: str) -> None:
        """Forget a tensor that nothing asks for any more."""
        self._values.pop(name, None)
