"""Figures without a screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@contextmanager
def figure(path: Path, columns: int = 1, rows: int = 1, size: tuple[float, float] = (4.2, 3.0)) -> Iterator[list[Axes]]:
    """Axes of a figure that is written to `path`, SVG, when all is drawn; the same bytes for the same drawing."""
    with matplotlib.rc_context({"svg.hashsalt": "subbyte", "font.size": 8}):
        drawing = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        axes = drawing.subplots(rows, columns, squeeze=False)
        yield list(axes.flat)
        drawing.savefig(path, metadata={"Date": None})
