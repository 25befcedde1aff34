"""Recipes: how many bits every tensor gets and how its range is found."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from subbyte.golden.quantize import Method

SHARED = "shared"

ACTIVATIONS = ("lin4", "lin8", "log", "fitted", SHARED)
"""Formats of activations behind a ReLU: linear in 4 or 8 bits, the engine's log table, a table fitted on the tensor's
samples (`golden.fit_table.fitted_format`), one fitted for all such tensors (`golden.fit_table.shared_table`)."""

EQUALIZATIONS = ("none", "weights", "activations")
"""See `subbyte.compiler.equalize`."""

WEIGHTS = (3, 4, 8, "log4", "weq4")
"""Bits of linear weights, or another format: see `subbyte.compiler.weight_choice`."""

CHOSEN_BY_AUTO = ("weights", "first", "last", "activations", "equalization", "outliers")
"""Fields of a recipe."""

METHODS = tuple(method.value for method in Method)
KERNELS = ("litert", "tflite", "single")
"""Whose integers an imported TFLite model gives, see `subbyte.compiler.tflite_scales.Kernels`."""


class RecipeError(ValueError):
    """A recipe that does not exist or has a wrong field; lists what is known."""


def _check_choice(subject: str, value: object, known: tuple[object, ...]) -> None:
    if isinstance(value, bool | float) or value not in known:
        raise RecipeError(f"{subject} must be one of {', '.join(map(str, known))}, not {value!r}")


def _is_name(value: object) -> bool:
    """Whether a value is a text with something in it, which UTF-8 has: parts of file names need not be."""
    try:
        return isinstance(value, str) and bool(value.strip()) and bool(value.encode())
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True)
class Override:
    """What one layer does differently; None keeps the recipe's choice."""

    weights: int | str | None = None
    activations: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Bits and calibration of a network.

    Parameters
    ----------
    name : str, not empty
    weights, first, last : int or str
        Weights of the hidden layers, the first and the last one, of `WEIGHTS`. A single layer is the last.
    activations : str
        Format behind a ReLU, one of `ACTIVATIONS`. Tensors that can be negative, and the network's output,
        are linear in 8 bits with zero point 128 whatever it says.
    weight_method, activation_method : str
        Values of `Method`: how scales are chosen. The output's range is always that of its samples.
        Activations start from it and are then tuned, see `compensation`.
    bias_correction : bool
        Add the mean error of each channel on the calibration samples to its bias.
    compensation : bool
        Choose weights and activation scales for the outputs of layers on the calibration samples (`compensate`,
        `formats.tuned_scale`), not each number for itself.
    adaptive_rounding : bool
        Move single weights to neighbours behind compensation, which it needs (`adaptive_rounding`).
    equalization : str
        One of `EQUALIZATIONS`: factors that channels get before anything is quantized.
    outliers : bool
        Fill the engine's outlier slots in layers whose weights have 3 or 4 bits, where they remove the most error.
    layers : dict of layer name to `Override`
    auto : bool
        Choose `weights`, `first`, `last`, `activations`, `equalization` and `outliers` for the engine, which must be
        left out, and what `layers` leave open, see `subbyte.compiler.auto`.
    target : float
        Of `auto`: the error of the output, as a part of its variance, that is small enough.
    imported : bool
        For quantized models, whose own integers are kept; of the other fields only `kernels` then means something.
    kernels : str
        One of `KERNELS`.
    """

    name: str
    weights: int | str = 4
    first: int | str = 8
    last: int | str = 8
    activations: str = "log"
    weight_method: str = "mse"
    activation_method: str = "min_max"
    bias_correction: bool = True
    compensation: bool = True
    adaptive_rounding: bool = False
    equalization: str = EQUALIZATIONS[0]
    outliers: bool = False
    layers: dict[str, Override] = field(default_factory=dict)
    auto: bool = False
    target: float = 0.02
    imported: bool = False
    kernels: str = KERNELS[0]

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise RecipeError(f"Recipe name must be a text that is not empty, not {self.name!r}")
        for key in ("weights", "first", "last"):
            _check_choice(f"Recipe {self.name}: {key}", getattr(self, key), WEIGHTS)
        _check_choice(f"Recipe {self.name}: activations", self.activations, ACTIVATIONS)
        for key in ("weight_method", "activation_method"):
            _check_choice(f"Recipe {self.name}: {key}", getattr(self, key), METHODS)
        _check_choice(f"Recipe {self.name}: equalization", self.equalization, EQUALIZATIONS)
        _check_choice(f"Recipe {self.name}: kernels", self.kernels, KERNELS)
        for key in ("bias_correction", "compensation", "adaptive_rounding", "outliers", "auto", "imported"):
            if not isinstance(getattr(self, key), bool):
                raise RecipeError(f"Recipe {self.name}: {key} must be true or false, not {getattr(self, key)!r}")
        if self.adaptive_rounding and not self.compensation:
            raise RecipeError(f"Recipe {self.name}: compensation must be true for adaptive_rounding, not False")
        chosen = {f.name: f.default for f in dataclasses.fields(self) if f.name in CHOSEN_BY_AUTO}
        for key in [key for key, default in chosen.items() if self.auto and getattr(self, key) != default]:
            raise RecipeError(f"Recipe {self.name}: {key} must be left to auto, not {getattr(self, key)!r}")
        if isinstance(self.target, bool) or not isinstance(self.target, int | float) or not 0 <= self.target <= 1:
            raise RecipeError(f"Recipe {self.name}: target must be a number from 0 to 1, not {self.target!r}")
        for layer, override in self.layers.items():
            subject = f"Recipe {self.name}: layer {layer}"
            if override.weights is not None:
                _check_choice(f"{subject} weights", override.weights, WEIGHTS)
            if override.activations is not None:
                _check_choice(f"{subject} activations", override.activations, ACTIVATIONS)

    def weight_choice(self, layer: str, index: int, count: int) -> int | str:
        """Weights of linear layer number `index` of `count`."""
        override = self.layers.get(layer, Override()).weights
        if override is not None:
            return override
        if index == count - 1:
            return self.last
        return self.first if index == 0 else self.weights

    def activation(self, layer: str) -> str:
        """Format behind the ReLU of a layer."""
        return self.layers.get(layer, Override()).activations or self.activations


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("w4-a4log"),
        Recipe("w4-a4", activations="lin4"),
        Recipe("w4o-a4log", outliers=True),
        Recipe("w4o-a4", activations="lin4", outliers=True),
        Recipe("w4o-a4fit", first=4, activations=SHARED, equalization="activations", outliers=True),
        Recipe("w4o-a8", activations="lin8", outliers=True),
        Recipe("int8", weights=8, activations="lin8"),
        Recipe("auto", auto=True),
        Recipe("import", imported=True),
    )
}
DEFAULT_RECIPE = "w4-a4log"
IMPORT_RECIPE = "import"


def _known(kind: type[Any], subject: str, values: object) -> dict[str, Any]:
    """`values` if it is a table whose keys are fields of `kind`."""
    if not isinstance(values, dict):
        raise RecipeError(f"{subject} must be a table, not {values!r}")
    fields = [f.name for f in dataclasses.fields(kind)]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"{subject} has no field {', '.join(unknown)}; fields: {', '.join(fields)}")
    return values


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Inverse of `dataclasses.asdict`. RecipeError names an unknown field or a wrong value."""
    subject = f"Recipe {values.get('name')}"
    layers = _known_layers(subject, values.get("layers", {}))
    return Recipe(**{**_known(Recipe, subject, values), "layers": layers})


def _known_layers(subject: str, values: object) -> dict[str, Override]:
    if not isinstance(values, dict):
        raise RecipeError(f"{subject} layers must be a table, not {values!r}")
    return {name: Override(**_known(Override, f"{subject} layer {name}", entry)) for name, entry in values.items()}


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or a TOML file whose keys are fields of `Recipe`. RecipeError when there is neither."""
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise RecipeError(f"Recipe must be one of {', '.join(RECIPES)} or a .toml file, not {name!r}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"Recipe file {name}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"Recipe file {name}: {error}") from None
    return recipe_from_dict({"name": path.stem, **values})


def dump_recipe(recipe: Recipe) -> str:
    """TOML text that `load_recipe` reads back to the same recipe."""
    values = dataclasses.asdict(recipe)
    layers = {
        name: {key: value for key, value in override.items() if value is not None}
        for name, override in values.pop("layers").items()
    }
    return tomli_w.dumps(values | ({"layers": layers} if layers else {}))
