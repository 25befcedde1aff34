"""Data for training: each kind of file, and what is said about one that is none."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.train.data import DataFileError, data_at, load_data, read_idx


def idx(path: Path, values: Any, packed: bool = False) -> str:
    """An idx file of bytes."""
    content = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)
    return str(path)


def arrays(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x_train": rng.integers(0, 256, (6, 5, 4), dtype=np.uint8), "y_train": np.arange(6, dtype=np.uint8) % 3,
        "x": rng.integers(0, 256, (3, 5, 4), dtype=np.uint8), "y": np.arange(3, dtype=np.uint8),
    }


def test_npz(tmp_path: Path, rng: np.random.Generator) -> None:
    given = arrays(rng)
    np.savez(tmp_path / "d.npz", **given)
    data = load_data("npz", file=str(tmp_path / "d.npz"))
    assert data.shape == (1, 5, 4) and data.classes == 3 and data.y.dtype == np.int64
    assert np.array_equal(data.x[:, 0], given["x_train"]) and np.array_equal(data.x_test[:, 0], given["x"])
    assert len(data.limited(2, 1).x) == 2 and len(data.limited(2, 1).y_test) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, rng: np.random.Generator, packed: bool) -> None:
    given = arrays(rng)
    names = {"images": "x_train", "labels": "y_train", "test_images": "x", "test_labels": "y"}
    files = {kind: idx(tmp_path / kind, given[name], packed) for kind, name in names.items()}
    data = load_data("idx", **files)
    assert np.array_equal(data.x[:, 0], given["x_train"]) and np.array_equal(data.y, given["y_train"])


@pytest.mark.parametrize("ending", ["-idx3-ubyte.gz", ".idx3-ubyte"])
def test_a_folder_of_idx_files(tmp_path: Path, rng: np.random.Generator, ending: str) -> None:
    given = arrays(rng)
    starts = {"train-images": "x_train", "train-labels": "y_train", "t10k-images": "x", "t10k-labels": "y"}
    for start, name in starts.items():
        idx(tmp_path / f"{start}{ending}", given[name], packed=ending.endswith("gz"))
    data = data_at(tmp_path)
    assert np.array_equal(data.x[:, 0], given["x_train"]) and np.array_equal(data.y_test, given["y"])
    (tmp_path / f"train-labels{ending}.old").write_bytes(b"")
    with pytest.raises(DataFileError, match=r"must hold data_batch_\*.bin, or one train-labels\* .* it has 2$"):
        data_at(tmp_path)


def test_a_folder_of_nothing_and_a_file(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(DataFileError, match="or one train-images.* it has 0$"):
        data_at(tmp_path)
    assert data_at(Path(spoilt(tmp_path, rng))).shape == (1, 5, 4)


def test_cifar(tmp_path: Path, rng: np.random.Generator) -> None:
    records = rng.integers(0, 256, (3, 4, 3073), dtype=np.uint8)
    records[:, :, 0] %= 10
    for index, name in enumerate(("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin")):
        (tmp_path / name).write_bytes(records[index].tobytes())
    data = load_data("cifar", folder=str(tmp_path))
    assert data.digest == data_at(tmp_path).digest != data.limited(7, 4).digest
    assert data.shape == (3, 32, 32) and len(data.x) == 8 and len(data.x_test) == 4
    assert data.x[5, 2, 1, 3] == records[1, 1, 1 + 2048 + 32 + 3] and data.y[5] == records[1, 1, 0]


def test_digits() -> None:
    pytest.importorskip("sklearn")
    data = load_data("digits")
    assert data.shape == (1, 8, 8) and len(data.x) == 1000 and len(data.x_test) == 797 and data.classes == 10
    assert data.x.max() == 16 and data.scale == 1 / 16


def test_idx_of_an_enormous_shape(tmp_path: Path) -> None:
    """2**64 bytes are not none."""
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 1 << 31, 1 << 31, 4))
    with pytest.raises(DataFileError, match="must hold 18446744073709551616 bytes behind its head .* not 0$"):
        read_idx(path)


def spoilt(tmp_path: Path, rng: np.random.Generator, **changes: Any) -> str:
    given = {**arrays(rng), **changes}
    np.savez(tmp_path / "d.npz", **{name: value for name, value in given.items() if value is not None})
    return str(tmp_path / "d.npz")


@pytest.mark.parametrize(("changes", "message"), [
    ({"x_train": np.zeros((1, 5, 4), np.uint8), "y_train": np.zeros(1, np.int64)}, "at least 2 training images"),
    ({"y": None}, "lacks y; it has x, x_train, y_train"),
    ({"x": np.zeros((3, 5, 4))}, "test images must be bytes of shape .*, not float64"),
    ({"x": np.zeros((3, 9, 9), np.uint8)}, r"test images must be \(1, 5, 4\), not \(1, 9, 9\)"),
    ({"y_train": np.zeros(2, np.int64)}, "training classes must be 6 integers"),
    ({"y_train": np.full(6, 0.5)}, "y_train must hold integers, the classes, not float64"),
    ({"y_train": np.full(6, "cat")}, "y_train must hold integers, the classes, not <U3"),
    ({"y_train": np.full(6, 2_000_000_000)}, "training classes must be below 4096, not 2000000000"),
])
def test_npz_refusals(tmp_path: Path, rng: np.random.Generator, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        load_data("npz", file=spoilt(tmp_path, rng, **changes))


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"\0\0\x08\x01\0\0\0\x05abc")
    (tmp_path / "other").write_bytes(b"PNG and so on")
    (tmp_path / "test_batch.bin").write_bytes(b"abc")
    for call, message in (
        (lambda: load_data("mnist"), "kind must be one of digits, npz, idx, cifar, not 'mnist'"),
        (lambda: load_data("npz"), "needs the files file, not none"),
        (lambda: load_data("digits", file="x"), "needs no files, not file"),
        (lambda: load_data("npz", file=str(tmp_path / "absent.npz")), "absent.npz"),
        (lambda: load_data("npz", file=str(tmp_path / "other")), "other"),
        (lambda: read_idx(tmp_path / "short"), "must hold 5 bytes behind its head"),
        (lambda: read_idx(tmp_path / "other"), "must be an idx file of bytes"),
        (lambda: load_data("cifar", folder=str(tmp_path)), "must hold data_batch_1.bin"),
    ):
        with pytest.raises(DataFileError, match=message):
            call()
    (tmp_path / "data_batch_1.bin").write_bytes(b"abc")
    with pytest.raises(DataFileError, match="must be records of 3073 bytes, it has 3"):
        load_data("cifar", folder=str(tmp_path))
    (tmp_path / "data_batch_1.bin").write_bytes(bytes([200]) * 3073)
    with pytest.raises(DataFileError, match="must have classes below 10, not 200"):
        load_data("cifar", folder=str(tmp_path))


def test_damaged_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    whole = gzip.compress(bytes(4000))
    (tmp_path / "images.gz").write_bytes(whole[:12] + bytes(8) + whole[20:])
    for call in (
        lambda: load_data("npz", file=str(tmp_path / "one.npy")), lambda: read_idx(tmp_path / "images.gz"),
    ):
        with pytest.raises(DataFileError, match="^Data file .*(one.npy must be an .npz of arrays|images.gz): "):
            call()
