"""From a user's samples to what the model is fed: missing axes, transpose, offset, scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import DataError, Samples
from subbyte.compiler.graph import Graph

USABLE = (1e-30, 1e30)
"""The largest value that a model is fed on calibration samples is between these, or 0; none of any samples is larger.
Layers multiply such numbers with others and square them, in float64 that has 1e-308 to 1e308."""


@dataclass(frozen=True)
class InputTransform:
    """The model is fed (float64(x) - offset) * scale.

    Missing batch or channel axes of size 1 are added to x, then its axes are transposed, then offset
    and scale apply: one value each, or one per channel of the model's input.

    Parameters
    ----------
    offset, scale : tuples of finite floats, scale without zeros
    axes : order in which the model wants the axes of x, batch included; None leaves them
    """

    offset: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for subject, values in (("offset", self.offset), ("scale", self.scale)):
            if not values or not np.isfinite(values).all():
                raise ValueError(f"Input {subject} must be finite numbers, not {values}")
        if 0 in self.scale:
            raise ValueError(f"Input scale must not be 0, not {self.scale}")
        if self.axes is not None and sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"Input axes must be a permutation of 0..{len(self.axes) - 1}, not {self.axes}")

    @property
    def batch_axis(self) -> int:
        """Axis of the samples, when all axes are there."""
        return 0 if self.axes is None else self.axes[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"offset": list(self.offset), "scale": list(self.scale), "axes": self.axes and list(self.axes)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> InputTransform:
        """Inverse of `to_dict`."""
        return InputTransform(
            tuple(values["offset"]), tuple(values["scale"]), tuple(values["axes"]) if values["axes"] else None
        )


def _with_axes(x: NDArray[Any], expected: list[int], batch: int, channel: int) -> NDArray[Any] | None:
    """x with batch and channel axes of size 1 added where that gives it the expected shape, -1 for any size."""
    for missing in ((), (channel,), (batch,), tuple(sorted({batch, channel}))):
        if x.ndim + len(missing) == len(expected):
            full = np.expand_dims(x, missing)
            if all(want in (-1, size) for size, want in zip(full.shape, expected, strict=True)):
                return full
    return None


def arrange(samples: Samples, graph: Graph, transform: InputTransform) -> NDArray[Any]:
    """Samples in the layout of the model's input, (n, *graph.feed), values and dtype untouched.

    DataError when the shape does not fit or the lists per channel have another length.
    """
    rank = len(graph.feed) + 1
    axes = transform.axes or tuple(range(rank))
    if len(axes) != rank:
        raise DataError(f"Input axes must be a permutation of the model's {rank} axes, not {axes}")
    expected = [0] * rank
    for position, axis in enumerate(axes):
        expected[axis] = -1 if position == 0 else graph.feed[position - 1]
    full = _with_axes(samples.x, expected, axes[0], axes[graph.channel_axis])
    if full is None:
        shown = ["n" if size == -1 else size for size in expected]
        raise DataError(f"{samples.source} must have shape {shown} for this model, not {list(samples.x.shape)}")
    for subject, values in (("offset", transform.offset), ("scale", transform.scale)):
        count = graph.feed[graph.channel_axis - 1]
        if len(values) not in (1, count):
            raise DataError(f"Input {subject} must be one value or one per channel ({count}), not {len(values)}")
    arranged = full.transpose(axes)
    if samples.y is not None and len(samples.y) != len(arranged):
        counts = f"{len(arranged)} and {len(samples.y)}"
        raise DataError(f"{samples.source} must have as many samples as labels, not {counts}")
    return arranged


def per_channel(values: tuple[float, ...], graph: Graph) -> NDArray[np.float64]:
    """Offset or scale broadcast against (n, *graph.feed). float64, as long as `values` along the channels, else 1."""
    shape = [1] * (1 + len(graph.feed))
    shape[graph.channel_axis] = -1
    return np.asarray(values, dtype=np.float64).reshape(shape)


FLOAT32 = float(np.finfo(np.float32).max)


def feed(arranged: NDArray[Any], graph: Graph, transform: InputTransform) -> NDArray[np.float64]:
    """What the float graph reads, (n, height, width, channels) float64, of `arrange`'s result.

    DataError when it is beyond the range that is `USABLE`.
    """
    with np.errstate(over="ignore"):
        values = arranged.astype(np.float64) - per_channel(transform.offset, graph)
        values = values * per_channel(transform.scale, graph)
    peak = float(np.abs(values).max())
    if not peak <= USABLE[1]:
        raise DataError(f"Samples, (x - offset) * scale, must be at most {USABLE[1]:g} in size, not {peak:.3g}")
    return graph.to_internal(values)


def check_calibration(arranged: NDArray[Any], graph: Graph, transform: InputTransform) -> None:
    """DataError for calibration samples that are beyond what is `USABLE`, or all of them next to nothing."""
    peak = float(np.abs(feed(arranged, graph, transform)).max())
    if 0 < peak < USABLE[0]:
        raise DataError(
            f"Calibration samples, (x - offset) * scale, must reach {USABLE[0]:g} in size, not only {peak:.3g}"
        )
