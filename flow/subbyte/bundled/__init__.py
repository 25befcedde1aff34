"""The bundled network and its samples, made by `subbyte.train.digits`; NOTICE names the data's authors."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def digits_model() -> Path:
    """ONNX model (float): input `input` ('N', 1, 8, 8) of pixels / 16, output `output` ('N', 10)."""
    return _FOLDER / "digits_cnn.onnx"


def digits_data() -> Path:
    """Arrays, uint8: images x_calib (100, 8, 8), x (797, 8, 8), values 0..16; classes y_calib (100,), y (797,).

    x and y were not used for training; the calibration images were.
    """
    return _FOLDER / "digits.npz"
