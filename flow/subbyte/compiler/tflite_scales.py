"""TFLite's arithmetic on scales: multipliers, ranges of fused activations, a requantizer's results."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.onnx_window import Unsupported
from subbyte.golden.requant import multiplier_shift, round_shift
from subbyte.spec.layer_checks import LINEAR_SHIFTS
from subbyte.spec.rounding import Rounding

MULTIPLIER_BITS = 31
LOWEST_SHIFT, HIGHEST_SHIFT = LINEAR_SHIFTS[MULTIPLIER_BITS]
INT32 = (-(1 << 31), (1 << 31) - 1)

UNSIGNED = 128
"""An int8 number q is the code q + this."""

TOP_CODE = 255

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
"""ActivationFunctionType of the schema."""


class Kernels(enum.Enum):
    """Whose integers a network gives: the kernels of TFLite differ in how they round."""

    TFLITE = "tflite"  #: reference kernels of TFLite and TFLite Micro: every multiplier rounds twice
    LITERT = "litert"  #: reference kernels of LiteRT 2: as before, but FULLY_CONNECTED rounds once, in float32
    SINGLE = "single"  #: kernels built with TFLITE_SINGLE_ROUNDING: every multiplier rounds once, ties up

    @property
    def rounding(self) -> Rounding:
        """Of all operators but FULLY_CONNECTED."""
        return Rounding.HALF_UP if self is Kernels.SINGLE else Rounding.TFLITE_DOUBLE

    @property
    def dense(self) -> Rounding:
        """Of FULLY_CONNECTED."""
        return Rounding.HALF_AWAY if self is Kernels.LITERT else self.rounding


@dataclass(frozen=True)
class Scales:
    """Multipliers of an accumulator's channels as TFLite makes them of real ratios; all int64, of one shape.

    multiplier : 31 bits, or 0 for a ratio below 2**-32, all of whose results are 0
    shift : the product is shifted right by so many bits, 31..62
    """

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]

    def results(self, acc: NDArray[np.int64], rounding: Rounding) -> NDArray[np.int64]:
        """acc * multiplier / 2**shift, rounded; acc inside int32."""
        return round_shift(acc * self.multiplier, self.shift, rounding, MULTIPLIER_BITS)


def scales(ratio: NDArray[np.float64]) -> Scales:
    """TFLite's QuantizeMultiplier. Unsupported for ratios that TFLite shifts left for."""
    multiplier, shift = multiplier_shift(ratio, MULTIPLIER_BITS)
    if shift.min() < LOWEST_SHIFT:
        raise Unsupported(
            f"scale of input x scale of weights / scale of output must be below 1, not {ratio.max():.3g}: "
            "quantize the model with a wider range of outputs"
        )
    nothing = shift > HIGHEST_SHIFT
    return Scales(np.where(nothing, 0, multiplier), np.where(nothing, HIGHEST_SHIFT, shift))


def activation_range(activation: int, scale: np.float32, zero_point: int) -> tuple[int, int]:
    """Smallest and largest code of a fused activation, in TFLite's float32. Unsupported for others than ReLUs."""
    name = ACTIVATIONS.get(activation, str(activation))
    if name not in ("NONE", "RELU", "RELU6"):
        raise Unsupported(f"fused activation must be NONE, RELU or RELU6, not {name}: make it a RELU before training")
    if name == "NONE":
        return 0, TOP_CODE
    low, high = max(0, zero_point), TOP_CODE
    if name == "RELU6":
        six = np.float32(6.0) / scale
        high = min(TOP_CODE, zero_point + int(np.floor(six + np.float32(0.5))))
    return low, high
