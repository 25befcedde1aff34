"""Which quantizers a network gets, by the names of the registry."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from subbyte.train.quantizers import (
    ACTIVATIONS,
    LANES,
    WEIGHTS,
    ActivationQuantizer,
    DuqActivation,
    FloatActivation,
    LsqActivation,
    LsqPlusActivation,
    MinMaxActivation,
    UniformActivation,
    WeightQuantizer,
)
from subbyte.train.quantizers.duq import HSWISH_SHIFT

WIDE_BITS = 8
GRIDDED = ("lsq", "min_max")
"""Weights whose first and last layers have integers that every lane holds."""

SIGNED = ("min_max", "lsq", "duq", "float")
"""Activations that have a signed form; the others of a scheme with another name have LSQ's."""


@dataclass(frozen=True)
class Scheme:
    """Quantizers of a network.

    weights, activations : names in `WEIGHTS` and `ACTIVATIONS`
    weight_bits, activation_bits : of hidden layers, and of what linear maps read
    edge_weights, edge_bits : of the first and of the last layer
    highway : whether residual sums keep 8 bits, else they have those of the activations
    weight_options, activation_options : more arguments of the quantizers
    ValueError names what is not known.
    """

    weights: str = "lsq"
    activations: str = "lsq"
    weight_bits: int = 4
    activation_bits: int = 4
    edge_weights: str = "lsq"
    edge_bits: int = 8
    highway: bool = True
    weight_options: dict[str, Any] = field(default_factory=dict)
    activation_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for subject, name, known in (
            ("weights", self.weights, WEIGHTS), ("edge_weights", self.edge_weights, WEIGHTS),
            ("activations", self.activations, ACTIVATIONS),
        ):
            if name not in known:
                raise ValueError(f"Scheme {subject} must be one of {', '.join(known)}, not {name!r}")
        for subject, bits in (
            ("weight_bits", self.weight_bits), ("activation_bits", self.activation_bits), ("edge_bits", self.edge_bits)
        ):
            if not isinstance(bits, int) or not 1 <= bits <= WIDE_BITS:
                raise ValueError(f"Scheme {subject} must be an integer in 1..{WIDE_BITS}, not {bits!r}")
        if not isinstance(self.highway, bool):
            raise ValueError(f"Scheme highway must be true or false, not {self.highway!r}")

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized."""
        return self.weights == "float"

    def weight(self, edge: bool = False) -> WeightQuantizer:
        """Of a hidden layer, or of the first or last one."""
        if edge and not self.is_float:
            options = {"grid": "lanes"} if self.edge_weights in GRIDDED and self.edge_bits in LANES else {}
            return WEIGHTS[self.edge_weights](self.edge_bits, **options)
        return WEIGHTS[self.weights](self.weight_bits, **self.weight_options)

    def activation(self, signed: bool = False) -> ActivationQuantizer:
        """Of what a linear map reads: behind a ReLU, or `signed`."""
        if not signed:
            return ACTIVATIONS[self.activations](self.activation_bits, **self.activation_options)
        if self.activation_bits < 2:
            raise ValueError("Scheme activation_bits must be at least 2 in a network that reads signed numbers, not 1")
        name = self.activations if self.activations in SIGNED else "lsq"
        return ACTIVATIONS[name](self.activation_bits, signed=True)

    def hswish(self) -> ActivationQuantizer:
        """Of h-swish: LSQ+, or DuQ with the shift of 3/8; padding is -3/8 without it too."""
        if self.is_float:
            return FloatActivation(signed=True, pad=-HSWISH_SHIFT)
        if self.activations == "lsq_plus":
            return LsqPlusActivation(self.activation_bits, hswish=True)
        return DuqActivation(self.activation_bits, hswish=True)

    def wide(self, signed: bool = False) -> UniformActivation | FloatActivation:
        """8 bits: sums of residual blocks and what h-swish reads."""
        if self.is_float:
            return FloatActivation(signed=signed)
        grid = (MinMaxActivation if self.activations == "min_max" else LsqActivation)(WIDE_BITS, signed=signed)
        grid.wide = True
        return grid


FLOAT = Scheme("float", "float", edge_weights="float")


def method(name: str, bits: int) -> Scheme:
    """Weights and activations of one method at the same bits; PACT with DoReFa's weights, as its paper has it."""
    weights = {"pact": "dorefa"}.get(name, name)
    edge = "min_max" if name == "min_max" else "lsq"
    return dataclasses.replace(FLOAT, weights=weights, activations=name, weight_bits=bits, activation_bits=bits,
                               edge_weights=edge)
