"""A data set that trains in seconds, and a recipe for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from subbyte.train.data import Dataset


def bars(count: int = 160, seed: int = 0) -> Dataset:
    """Upright or lying bars, diagonals, blobs: four classes on 8 x 8, a data set that trains in seconds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count)
    x = rng.integers(0, 60, (count, 1, 8, 8))
    for image, kind, place in zip(x, y, rng.integers(1, 6, count), strict=True):
        if kind == 0:
            image[0, place] += 180
        elif kind == 1:
            image[0, :, place] += 180
        elif kind == 2:
            image[0, np.arange(8), np.arange(8)] += 180
        else:
            image[0, place : place + 2, place : place + 2] += 180
    x = x.astype(np.uint8)
    half = count // 2
    return Dataset(x[:half], y[:half], x[half:], y[half:])


def write_recipe(tmp_path: Path) -> Path:
    """A recipe file, and the data that it names beside it."""
    data = bars()
    np.savez(tmp_path / "bars.npz", x_train=data.x[:, 0], y_train=data.y, x=data.x_test, y=data.y_test)
    path = tmp_path / "recipe.toml"
    path.write_text(f"""
network = "cnn"
epochs = 2
float_epochs = 2
batch = 16
options = {{ width = 4 }}
data = {{ kind = "npz", file = "{tmp_path}/bars.npz" }}

[scheme]
weights = "dorefa"
activations = "pact"
weight_bits = 2
activation_bits = 2
""")
    return path
