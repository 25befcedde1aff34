"""Training recipes: TOML files that say all of a run."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subbyte.train.data import KINDS
from subbyte.train.errors import TrainError
from subbyte.train.networks import NETWORKS
from subbyte.train.profiles import PROFILES
from subbyte.train.scheme import Scheme
from subbyte.train.stages import SCHEDULES


class TrainRecipeError(TrainError):
    """A recipe file with an unknown key or a wrong value."""


@dataclass(frozen=True)
class TrainRecipe:
    """What is trained, on what and how.

    network : name in `NETWORKS`; options : its width and so on
    data : kind and files, see `load_data`; train, test : so many samples of each, None for all
    schedule, ladder, epochs, float_epochs, norm_epochs : see `stages`
    profile : bits of the hidden layers' weights in the order of a bit profile, from `levels`; "" for all alike
    batch, rate, decay : of AdamW; `rate` is the largest of a cosine in each stage
    shift : images are moved by up to so many pixels
    distillation : part of the loss that is the teacher's, the float network at the end of its stage, and temperature
    backward : bits, ratio and two_zeros of saved activations, see `QuantizedBackward`; empty for none
    """

    network: str = "cnn"
    options: dict[str, int] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=lambda: {"kind": "digits"})
    train: int | None = None
    test: int | None = None
    scheme: Scheme = Scheme()
    schedule: str = "plain"
    ladder: tuple[int, ...] = (8, 5, 4)
    epochs: int = 10
    float_epochs: int = 10
    norm_epochs: int = 1
    profile: str = ""
    levels: tuple[int, ...] = (4, 3, 2)
    batch: int = 64
    rate: float = 0.005
    decay: float = 1e-4
    shift: int = 0
    seed: int = 1
    distillation: float = 0.0
    temperature: float = 4.0
    backward: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise TrainRecipeError("; ".join(problems))

    def _problems(self) -> list[str]:
        found = []
        for subject, value, known in (
            ("network", self.network, tuple(NETWORKS)), ("schedule", self.schedule, SCHEDULES),
            ("profile", self.profile, ("", *PROFILES)), ("data kind", self.data.get("kind"), tuple(KINDS)),
        ):
            if value not in known:
                found.append(f"Recipe {subject} must be one of {', '.join(filter(None, known))}, not {value!r}")
        for subject, number, low in (
            ("epochs", self.epochs, 0), ("float_epochs", self.float_epochs, 0), ("norm_epochs", self.norm_epochs, 0),
            ("batch", self.batch, 2), ("shift", self.shift, 0), ("seed", self.seed, 0),
        ):
            if not isinstance(number, int) or isinstance(number, bool) or number < low:
                found.append(f"Recipe {subject} must be an integer of at least {low}, not {number!r}")
        for subject, real in (("rate", self.rate), ("temperature", self.temperature)):
            if not isinstance(real, int | float) or isinstance(real, bool) or real <= 0:
                found.append(f"Recipe {subject} must be a number above 0, not {real!r}")
        if not 0 <= self.distillation <= 1:
            found.append(f"Recipe distillation must be in 0..1, not {self.distillation!r}")
        if self.distillation and not self.float_epochs:
            found.append("Recipe distillation needs float_epochs, whose network is the teacher")
        if unknown := set(self.backward) - {"bits", "ratio", "two_zeros"}:
            found.append(f"Recipe backward has no {', '.join(sorted(unknown))}; it has bits, ratio and two_zeros")
        if self.network in NETWORKS:
            known = set(list(inspect.signature(NETWORKS[self.network]).parameters)[4:])
            if unknown := set(self.options) - known:
                found.append(f"Recipe options of {self.network} are {', '.join(sorted(known))}, not "
                             f"{', '.join(sorted(unknown))}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for comparing with a checkpoint's."""
        return dataclasses.asdict(self)


def load_train_recipe(path: Path) -> TrainRecipe:
    """The recipe in a TOML file whose keys are fields of `TrainRecipe`, with a table `scheme`. TrainRecipeError."""
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainRecipeError(f"Recipe file {path}: {error}") from None
    try:
        return train_recipe(values)
    except TrainRecipeError as error:
        raise TrainRecipeError(f"Recipe file {path}: {error}") from None


def train_recipe(values: dict[str, Any]) -> TrainRecipe:
    """The recipe of plain values. TrainRecipeError names an unknown key or a wrong value."""
    given = dict(values)
    for key in ("ladder", "levels"):
        if key in given:
            given[key] = tuple(given[key])
    try:
        given["scheme"] = Scheme(**_known(Scheme, "scheme", given.get("scheme", {})))
        return TrainRecipe(**_known(TrainRecipe, "recipe", given))
    except TrainRecipeError:
        raise
    except (TypeError, ValueError) as error:
        raise TrainRecipeError(str(error)) from None


def _known(kind: type[Any], subject: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TrainRecipeError(f"{subject} must be a table, not {values!r}")
    names = [one.name for one in dataclasses.fields(kind)]
    if unknown := sorted(set(values) - set(names)):
        raise TrainRecipeError(f"{subject} has no field {', '.join(unknown)}; fields: {', '.join(names)}")
    return values
