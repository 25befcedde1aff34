"""Images to train on: scikit-learn's digits, or files that the user names. Nothing is downloaded."""

from __future__ import annotations

import gzip
import hashlib
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.train.errors import TrainError

CIFAR_RECORD, CIFAR_CLASSES = 1 + 3 * 32 * 32, 10
DIGITS_TRAIN = 1000
MOST_CLASSES = 1 << 12
"""A label beyond is a mistake, and a last layer for it would fill the memory."""


class DataFileError(TrainError):
    """Data that cannot be read, or has another shape than the kind says."""


@dataclass(frozen=True)
class Dataset:
    """Bytes and classes.

    x, x_test : uint8 (n, channels, height, width); y, y_test : int64 (n,)
    scale : what a byte is multiplied with for the network
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    scale: float = 1 / 255

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.x.shape[1], self.x.shape[2], self.x.shape[3]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.y.max(), self.y_test.max())) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, with the shapes."""
        found = hashlib.sha256(f"{self.scale!r}".encode())
        for array in (self.x, self.y, self.x_test, self.y_test):
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    def limited(self, train: int | None, test: int | None) -> Dataset:
        """The first so many samples."""
        return Dataset(self.x[:train], self.y[:train], self.x_test[:test], self.y_test[:test], self.scale)


def load_data(kind: str, **files: str) -> Dataset:
    """The data set of a kind, "digits", "npz", "idx" or "cifar", from the files that it wants. DataFileError."""
    if kind not in KINDS:
        raise DataFileError(f"Data kind must be one of {', '.join(KINDS)}, not {kind!r}")
    names, loader = KINDS[kind]
    if set(files) != set(names):
        wanted = f"the files {', '.join(names)}" if names else "no files"
        raise DataFileError(f"Data of kind {kind} needs {wanted}, not {', '.join(sorted(files)) or 'none'}")
    return _checked(kind, loader(*(Path(files[name]) for name in names)))


IDX_NAMES = {
    "images": "train-images", "labels": "train-labels", "test_images": "t10k-images", "test_labels": "t10k-labels",
}
"""Files of MNIST and its likes, whose names begin so, whatever follows: -idx3-ubyte, .idx3-ubyte, .gz."""


def data_at(path: Path) -> Dataset:
    """The data set of an .npz file, or of a folder with MNIST's idx files or CIFAR-10's binary ones. DataFileError."""
    if not path.is_dir():
        return load_data("npz", file=str(path))
    if any(path.glob("data_batch_*.bin")):
        return load_data("cifar", folder=str(path))
    found = {name: sorted(path.glob(f"{start}*")) for name, start in IDX_NAMES.items()}
    for name, files in found.items():
        if len(files) != 1:
            raise DataFileError(f"Data folder {path} must hold data_batch_*.bin, or one {IDX_NAMES[name]}* as of "
                                f"MNIST; of those it has {len(files)}")
    return load_data("idx", **{name: str(files[0]) for name, files in found.items()})


def _checked(kind: str, data: Dataset) -> Dataset:
    for subject, x, y in (("training", data.x, data.y), ("test", data.x_test, data.y_test)):
        if x.dtype != np.uint8 or x.ndim != 4 or not len(x):
            raise DataFileError(f"Data {kind}: {subject} images must be bytes of shape (n, [channels,] height, width), "
                                f"not {x.dtype} of {x.shape}")
        if y.shape != x.shape[:1] or y.min() < 0:
            raise DataFileError(f"Data {kind}: {subject} classes must be {len(x)} integers of 0 or more, not {y.shape}")
        if (largest := int(y.max())) >= MOST_CLASSES:
            raise DataFileError(f"Data {kind}: {subject} classes must be below {MOST_CLASSES}, not {largest}")
    if len(data.x) < 2:
        raise DataFileError(f"Data {kind}: there must be at least 2 training images, BatchNorm's least batch, not 1")
    if data.x.shape[1:] != data.x_test.shape[1:]:
        raise DataFileError(f"Data {kind}: test images must be {data.x.shape[1:]}, not {data.x_test.shape[1:]}")
    return data


def _images(x: NDArray[Any]) -> NDArray[Any]:
    """With an axis of channels."""
    return x[:, None] if x.ndim == 3 else x


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataFileError("Data digits needs scikit-learn, which the extra `train` installs") from None
    data = load_digits()
    x, y = data.images.astype(np.uint8)[:, None], data.target.astype(np.int64)
    return Dataset(x[:DIGITS_TRAIN], y[:DIGITS_TRAIN], x[DIGITS_TRAIN:], y[DIGITS_TRAIN:], 1 / 16)


def _npz(path: Path) -> Dataset:
    """x_train, y_train or x_calib, y_calib; x, y for the test."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(f"Data file {path} must be an .npz of arrays: {error}") from None
    prefix = "train" if "x_train" in arrays else "calib"
    missing = [name for name in (f"x_{prefix}", f"y_{prefix}", "x", "y") if name not in arrays]
    if missing:
        raise DataFileError(f"Data file {path} lacks {', '.join(missing)}; it has {', '.join(sorted(arrays))}")
    for name in (f"y_{prefix}", "y"):
        if arrays[name].dtype.kind not in "iu":
            raise DataFileError(f"Data file {path}: {name} must hold integers, the classes, not {arrays[name].dtype}")
    return Dataset(
        _images(arrays[f"x_{prefix}"]), arrays[f"y_{prefix}"].astype(np.int64), _images(arrays["x"]),
        arrays["y"].astype(np.int64),
    )


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"Data file {path}: {error}") from None


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of an idx file of bytes (MNIST's format), gzip or not. DataFileError when it is none."""
    content = _bytes(path)
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise DataFileError(f"Data file {path} must be an idx file of bytes, it begins with {content[:4].hex()!r}")
    head = 4 + 4 * content[3]
    shape = tuple(int(size) for size in np.frombuffer(content[4:head], dtype=">u4"))
    if len(content) - head != math.prod(shape):
        raise DataFileError(f"Data file {path} must hold {math.prod(shape)} bytes behind its head for {shape}, "
                            f"not {len(content) - head}")
    return np.frombuffer(content[head:], dtype=np.uint8).reshape(shape)


def _idx(images: Path, labels: Path, test_images: Path, test_labels: Path) -> Dataset:
    x, y, x_test, y_test = (read_idx(path) for path in (images, labels, test_images, test_labels))
    return Dataset(_images(x), y.astype(np.int64), _images(x_test), y_test.astype(np.int64))


def _cifar_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = np.frombuffer(_bytes(path), dtype=np.uint8)
    if not len(content) or len(content) % CIFAR_RECORD:
        raise DataFileError(f"Data file {path} must be records of {CIFAR_RECORD} bytes, it has {len(content)} bytes")
    records = content.reshape(-1, CIFAR_RECORD)
    if (largest := int(records[:, 0].max())) >= CIFAR_CLASSES:
        raise DataFileError(f"Data file {path} must have classes below {CIFAR_CLASSES}, not {largest}")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _cifar(folder: Path) -> Dataset:
    """CIFAR-10's binary version: data_batch_*.bin and test_batch.bin in a folder."""
    batches = sorted(folder.glob("data_batch_*.bin"))
    if not batches:
        raise DataFileError(f"Data folder {folder} must hold data_batch_1.bin and so on, it has none")
    parts = [_cifar_file(path) for path in batches]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Dataset(x, y, *_cifar_file(folder / "test_batch.bin"))


KINDS: dict[str, tuple[tuple[str, ...], Callable[..., Dataset]]] = {
    "digits": ((), _digits),
    "npz": (("file",), _npz),
    "idx": (("images", "labels", "test_images", "test_labels"), _idx),
    "cifar": (("folder",), _cifar),
}
"""Kind -> names of its files, and what reads them."""
