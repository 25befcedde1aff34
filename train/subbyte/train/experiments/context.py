"""What experiments share: data, effort, networks that were trained already, and how a section looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from subbyte.train.data import Dataset
from subbyte.train.experiments.on_engine import ENGINES, Hardware, engine_row
from subbyte.train.loop import Training, accuracy
from subbyte.train.networks import NETWORKS, QuantNetwork
from subbyte.train.recipe import TrainRecipe
from subbyte.train.scheme import FLOAT, Scheme
from subbyte.train.statistics import measure_statistics


@dataclass(frozen=True)
class Effort:
    """How much is trained: samples, epochs of the float network and of each stage behind it, seeds."""

    train: int
    test: int
    float_epochs: int
    epochs: int
    seeds: tuple[int, ...]
    options: dict[str, dict[str, int]] = field(default_factory=dict)


TINY = {name: {"width": 4} for name in NETWORKS}

EFFORTS = {
    "tiny": Effort(96, 64, 1, 1, (1,), TINY),
    "quick": Effort(2000, 5000, 8, 5, (1, 2, 3)),
    "full": Effort(10000, 5000, 15, 10, (1, 2, 3)),
}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    header, rows : of a table, cells are text
    engines : under `on_engine.HEADER`, networks on engines
    bars : (what must be, what was measured, whether it is met)
    figure : file name beside the page, "" for none
    """

    title: str
    text: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    engines: tuple[tuple[str, ...], ...] = ()
    bars: tuple[tuple[str, str, bool], ...] = ()
    figure: str = ""


def _unheard(line: str) -> None:
    """A note that nobody takes."""


class Context:
    """Trains, and remembers the float networks.

    folder : where figures go
    note : takes a line about what is done
    hardware : levels below the machine
    """

    def __init__(
        self, data: Dataset, effort: Effort, folder: Path, note: Callable[[str], None] = _unheard,
        hardware: Hardware | None = None,
    ) -> None:
        self.data = data.limited(effort.train, effort.test)
        self.effort, self.folder, self.note, self._hardware = effort, folder, note, hardware or Hardware()
        self._floats: dict[tuple[str, int], Training] = {}
        self._longer: dict[tuple[str, int, int], float] = {}

    def silent(self) -> Context:
        """The same for another process: nothing trained as yet, no notes."""
        return Context(self.data, self.effort, self.folder, hardware=self._hardware)

    def recipe(self, network: str, scheme: Scheme, seed: int, **changes: Any) -> TrainRecipe:
        """A recipe of the effort."""
        base = TrainRecipe(
            network=network, options=self.effort.options.get(network, {}), scheme=scheme, seed=seed,
            epochs=self.effort.epochs, float_epochs=0, batch=min(64, len(self.data.x) // 4), rate=0.005,
        )
        return dataclasses.replace(base, **changes)

    def float_run(self, network: str, seed: int) -> Training:
        """The trained float network."""
        if (network, seed) not in self._floats:
            self.note(f"{network}, seed {seed}: float")
            training = Training(self.recipe(
                network, FLOAT, seed, schedule="float", float_epochs=self.effort.float_epochs, rate=0.01
            ), self.data)
            training.run(every_epoch=False)
            self._floats[network, seed] = training
        return self._floats[network, seed]

    def float_accuracy(self, network: str, seed: int, epochs: int | None = None) -> float:
        """Of the float network trained for `epochs` more, those of a stage unless told: as long as quantized ones.

        Quantized networks start from the float one: against that alone, more training would pass for a better method.
        """
        more = self.effort.epochs if epochs is None else epochs
        if (network, seed, more) not in self._longer:
            self.note(f"{network}, seed {seed}: float, {more} epochs more")
            training = Training(self.recipe(network, FLOAT, seed, schedule="float", float_epochs=more), self.data)
            training.start_from(self.float_run(network, seed))
            training.run(every_epoch=False)
            self._longer[network, seed, more] = training.value
        return self._longer[network, seed, more]

    def trained(self, network: str, scheme: Scheme, seed: int, **changes: Any) -> Training:
        """A network trained with quantizers, from the float one."""
        self.note(f"{network}, seed {seed}: {scheme.weights} {scheme.weight_bits}, {scheme.activations} "
                  f"{scheme.activation_bits} {' '.join(map(str, changes.values()))}")
        training = Training(self.recipe(network, scheme, seed, **changes), self.data)
        training.start_from(self.float_run(network, seed))
        training.run(every_epoch=False)
        return training

    def untrained(self, network: str, scheme: Scheme, seed: int) -> QuantNetwork:
        """The float network with quantizers started from a batch: post-training quantization.

        BatchNorm's statistics are measured with quantized weights, as at the end of a stage: what is left is what
        quantization loses, not sums that have moved.
        """
        training = Training(self.recipe(network, scheme, seed), self.data)
        training.start_from(self.float_run(network, seed))
        images = torch.from_numpy(self.data.x)
        training.model.calibrate(images[:256])
        measure_statistics(training.model, images)
        training.model.eval()
        return training.model

    def accuracy(self, model: QuantNetwork) -> float:
        """On the test images."""
        return accuracy(model, self.data.x_test, self.data.y_test)

    def on_engine(self, label: str, model: QuantNetwork, engines: Sequence[str] = ENGINES) -> tuple[str, ...]:
        """A row of `Section.engines`."""
        self.note(f"{label}: on an engine")
        return engine_row(label, model, self.data.x_test, self._hardware, engines)

    def over_seeds(self, measure: Callable[[int], float]) -> list[float]:
        """What `measure` gives for every seed."""
        return [measure(seed) for seed in self.effort.seeds]


def shown(values: Sequence[float]) -> str:
    """Mean and, of several, spread of accuracies in percent."""
    mean = 100 * float(np.mean(values))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {100 * float(np.std(values)):.1f}"


def points(a: Sequence[float], b: Sequence[float]) -> float:
    """How many percentage points the mean of a is above that of b."""
    return 100 * (float(np.mean(a)) - float(np.mean(b)))


def bar(must: str, measured: float, met: bool, unit: str = "points") -> tuple[str, str, bool]:
    """A row of `Section.bars`."""
    return must, f"{measured:+.2f} {unit}", met
