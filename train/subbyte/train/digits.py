"""Trains the bundled network: a CNN of 23,680 multiply-accumulates on 8x8 handwritten digits.

The data are the 1797 test digits of UCI optdigits, as scikit-learn ships them: `load_digits`, values 0..16.
Samples 0..999 train, the first 100 of them calibrate, samples 1000..1796 test; the model sees x / 16.
Everything is seeded and runs in one thread: the same PyTorch on the same machine gives the same files.

    python -m subbyte.train.digits -o flow/subbyte/bundled
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from subbyte.train.export import to_onnx

TRAIN = 1000
CALIBRATION = 100
LARGEST = 16
EPOCHS = 300
BATCH = 50
RATE = 0.02


def digits_cnn() -> nn.Sequential:
    """CNN8: two 3x3 convolutions with ReLU and max pooling, one dense layer; input (n, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )


def distorted(x: Tensor, turn: float = 0.2, stretch: float = 0.15, shift: float = 0.8) -> Tensor:
    """Random affine maps of images (n, 1, 8, 8): rotation and shear up to `turn` radians, shift in pixels."""

    def spread(limit: float, *shape: int) -> Tensor:
        return (2 * torch.rand(len(x), *shape) - 1) * limit

    angle, scale, move = spread(turn), 1 + spread(stretch, 2), spread(2 * shift / x.shape[-1], 2)
    rows = (
        torch.stack([torch.cos(angle) * scale[:, 0], spread(turn) - torch.sin(angle), move[:, 0]], dim=1),
        torch.stack([torch.sin(angle), torch.cos(angle) * scale[:, 1], move[:, 1]], dim=1),
    )
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def train(x: Tensor, y: Tensor, seed: int) -> nn.Sequential:
    """A trained CNN for images x (n, 1, 8, 8) in 0..1 and classes y (n,)."""
    torch.manual_seed(seed)
    model = digits_cnn()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * (len(x) // BATCH))
    for _ in range(EPOCHS):
        for pick in torch.randperm(len(x)).split(BATCH):
            loss = functional.cross_entropy(model(distorted(x[pick])), y[pick], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of images whose largest output is their class."""
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).double().mean())


def main() -> None:
    """Train, print the accuracies, write digits_cnn.onnx and digits.npz."""
    parser = argparse.ArgumentParser(description="Train the bundled network on scikit-learn's digits.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for digits_cnn.onnx and digits.npz")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    data = load_digits()
    images, classes = data.images.astype(np.uint8), data.target.astype(np.uint8)
    x = torch.tensor(images, dtype=torch.float32)[:, None] / LARGEST
    y = torch.tensor(classes, dtype=torch.int64)
    model = train(x[:TRAIN], y[:TRAIN], arguments.seed)
    print(f"train {accuracy(model, x[:TRAIN], y[:TRAIN]):.4f}  test {accuracy(model, x[TRAIN:], y[TRAIN:]):.4f}")

    arguments.output.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(model, (1, 8, 8), "digits_cnn"), arguments.output / "digits_cnn.onnx")
    np.savez_compressed(
        arguments.output / "digits.npz",
        x_calib=images[:CALIBRATION], y_calib=classes[:CALIBRATION], x=images[TRAIN:], y=classes[TRAIN:],
    )


if __name__ == "__main__":
    main()
