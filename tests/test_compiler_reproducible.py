"""The same network whatever the processor's vectors, and in whatever order samples come that are all looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compile import compile_model
from subbyte.compiler.data import load_calibration
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import RECIPES
from subbyte.spec.engine import PRESETS

CHOSEN = ("w4o-a4fit", "w4-a4log", "int8")


def simd() -> list[str]:
    """Vector instructions that NumPy would use here, beyond those that it always does."""
    shown = np.show_config(mode="dicts")
    return list(shown["SIMD Extensions"].get("found", ())) if isinstance(shown, dict) else []


@pytest.mark.parametrize("recipe", CHOSEN)
def test_processors(tmp_path: Path, recipe: str) -> None:
    """As this one computes, and as one without its vectors, whose BLAS has other kernels."""
    if not simd():
        pytest.skip("NumPy has no vector instructions here that could be left out")
    found = []
    without = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": " ".join(simd())}
    for name, settings in (("here", {}), ("old", without)):
        out = tmp_path / name
        arguments = ["--calib", str(digits_data()), "--input-scale", "1/16", "--recipe", recipe, "-o", str(out)]
        subprocess.run(
            [sys.executable, "-m", "subbyte.cli.main", "compile", str(digits_model()), *arguments],
            env=os.environ | settings, check=True, capture_output=True,
        )
        found.append((out / "network.npz").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("recipe", CHOSEN)
def test_order_of_samples(tmp_path: Path, recipe: str, rng: np.random.Generator) -> None:
    """All 100 calibrate; of more than 128 the scales of activations are tuned on the first ones."""
    given = load_calibration(digits_data()).x
    networks = []
    for name, x in (("a", given), ("b", given[rng.permutation(len(given))])):
        np.savez(tmp_path / f"{name}.npz", x_calib=x)
        arguments = (tmp_path / f"{name}.npz", InputTransform(scale=(1 / 16,)), 0, tmp_path / name)
        compile_model(digits_model(), PRESETS["up5k"], RECIPES[recipe], *arguments)
        networks.append((tmp_path / name / "network.npz").read_bytes())
    assert networks[0] == networks[1]
