"""Training recipes: TOML files that say all of a run."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subbyte.train.data import KINDS
from subbyte.train.errors import TrainError
from subbyte.train.networks import NETWORKS
from subbyte.train.profiles import PROFILES
from subbyte.train.scheme import WIDE_BITS, Scheme
from subbyte.train.stages import SCHEDULES

LARGEST_NUMBER = 1e6
MOST_SEED = 1 << 40
"""Seeds of epochs are made of it, and have 64 bits."""


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
        if problems := [*self._wrong_kinds()] or [*self._problems()]:
            raise TrainRecipeError("; ".join(problems))

    def _wrong_kinds(self) -> Iterator[str]:
        """What is wrong with single values, whatever the others are."""
        for subject, table, fits, what in (
            ("options", self.options, lambda value: _is(int, value) and value >= 1, "integers of at least 1"),
            ("data", self.data, lambda value: isinstance(value, str), "texts"),
            ("backward", self.backward, lambda value: isinstance(value, int | float), "numbers"),
        ):
            if not isinstance(table, dict) or not all(fits(value) for value in table.values()):
                yield f"Recipe {subject} must be a table of {what}, not {table!r}"
        for subject, number, low in (
            ("epochs", self.epochs, 0), ("float_epochs", self.float_epochs, 0), ("norm_epochs", self.norm_epochs, 0),
            ("batch", self.batch, 2), ("shift", self.shift, 0), ("seed", self.seed, 0),
            ("train", 2 if self.train is None else self.train, 2), ("test", 1 if self.test is None else self.test, 1),
        ):
            if not _is(int, number) or number < low:
                yield f"Recipe {subject} must be an integer of at least {low}, not {number!r}"
        if _is(int, self.seed) and self.seed > MOST_SEED:
            yield f"Recipe seed must be at most {MOST_SEED}, not {self.seed}"
        for subject, real, least in (("rate", self.rate, False), ("temperature", self.temperature, False),
                                     ("decay", self.decay, True), ("distillation", self.distillation, True)):
            fits = _is(int | float, real) and 0 <= real <= LARGEST_NUMBER
            if not fits or (real == 0 and not least):
                yield (f"Recipe {subject} must be a number {'of at least' if least else 'above'} 0 and at most "
                       f"{LARGEST_NUMBER:g}, not {real!r}")
        for subject, bits in (("ladder", self.ladder), ("levels", self.levels)):
            if not all(_is(int, one) and 1 <= one <= WIDE_BITS for one in bits) or (subject == "levels" and not bits):
                yield f"Recipe {subject} must be a list of integers in 1..{WIDE_BITS}, not {list(bits)!r}"

    def _problems(self) -> list[str]:
        found = []
        for subject, value, known in (
            ("network", self.network, tuple(NETWORKS)), ("schedule", self.schedule, SCHEDULES),
            ("profile", self.profile, ("", *PROFILES)), ("data kind", self.data.get("kind"), tuple(KINDS)),
        ):
            if value not in known:
                found.append(f"Recipe {subject} must be one of {', '.join(filter(None, known))}, not {value!r}")
        if self.profile and self.schedule != "plain":
            found.append(f"Recipe profile needs schedule plain, whose stages leave bits alone, not {self.schedule}")
        if self.distillation > 1:
            found.append(f"Recipe distillation must be in 0..1, not {self.distillation!r}")
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
        if isinstance(given.get(key), list):
            given[key] = tuple(given[key])
        elif key in given:
            raise TrainRecipeError(f"Recipe {key} must be a list of integers, not {given[key]!r}")
    try:
        given["scheme"] = Scheme(**_known(Scheme, "scheme", given.get("scheme", {})))
        return TrainRecipe(**_known(TrainRecipe, "recipe", given))
    except TrainRecipeError:
        raise
    except (TypeError, ValueError) as error:
        raise TrainRecipeError(str(error)) from None


def _is(kind: Any, value: object) -> bool:
    """Whether it is a number of that kind; truths are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _known(kind: type[Any], subject: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TrainRecipeError(f"{subject} must be a table, not {values!r}")
    names = [one.name for one in dataclasses.fields(kind)]
    if unknown := sorted(set(values) - set(names)):
        raise TrainRecipeError(f"{subject} has no field {', '.join(unknown)}; fields: {', '.join(names)}")
    return values
