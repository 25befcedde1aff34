"""The bundled network and its samples, made by `subbyte.train.digits`; NOTICE names the data's authors. What presets
were measured to be, written by benchmarks/engines.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def digits_model() -> Path:
    """ONNX model (float): input `input` ('N', 1, 8, 8) of pixels / 16, output `output` ('N', 10)."""
    return _FOLDER / "digits_cnn.onnx"


def digits_data() -> Path:
    """Arrays, uint8: images x_calib (100, 8, 8), x (797, 8, 8), values 0..16; classes y_calib (100,), y (797,).

    x and y were not used for training; the calibration images were.
    """
    return _FOLDER / "digits.npz"


def engines_file() -> Path:
    """JSON: preset -> keys of `subbyte build --json`, those that do not depend on where it was built."""
    return _FOLDER / "engines.json"


def measured_engines() -> dict[str, dict[str, Any]]:
    """What place and route made of the presets, by their names; those without a board are absent."""
    measured: dict[str, dict[str, Any]] = json.loads(engines_file().read_text())
    return measured
