"""The runs of channels that a grouped convolution keeps apart."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.spec.network import Conv2d, Dense


def channel_runs(layer: Conv2d | Dense, channels: int) -> Iterator[tuple[slice, slice]]:
    """(output channels, the input channels that they see) of each group; `channels` are those of the input."""
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    out, seen = len(layer.weight) // groups, channels // groups
    for group in range(groups):
        yield slice(group * out, (group + 1) * out), slice(group * seen, (group + 1) * seen)
