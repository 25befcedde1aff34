"""The training loop: stages of a recipe, with a checkpoint at the end of every epoch.

The order of samples and what moves them follow from seed, stage and epoch alone, in one thread: a run that was killed
and goes on from its checkpoint ends with the same numbers as one that was not.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from subbyte.train.aiwq import Aiwq, freeze
from subbyte.train.data import Dataset
from subbyte.train.distill import distillation_loss
from subbyte.train.errors import TrainError
from subbyte.train.files import replaced
from subbyte.train.layers.norm import ChannelNorm
from subbyte.train.networks import NETWORKS, QuantNetwork
from subbyte.train.profiles import apply_profile
from subbyte.train.recipe import TrainRecipe
from subbyte.train.stages import Stage, stages
from subbyte.train.statistics import measure_statistics
from subbyte.train.value_aware import QuantizedBackward

Progress = Callable[[float, str], None]
"""Takes the fraction that is done, and a line about it."""

EVALUATION_BATCH = 500
DIGEST_BYTES = 32
"""In front of a checkpoint's content."""

SMALLEST_EXTENT = 0.01
"""Of a quantizer's parameter, to which its rate is in proportion."""


class CheckpointError(TrainError):
    """A checkpoint that is none, or of another recipe or other data."""


class Training:
    """One run.

    model : the network; its quantizers are off in float stages
    history : one entry per epoch: stage, epoch, loss, accuracy (without `every_epoch` of the last one
        alone), seconds, and bytes of saved activations if packed
    aiwq : block name -> metric, when a stage has measured it; frozen : names of frozen blocks
    """

    def __init__(self, recipe: TrainRecipe, data: Dataset) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        self.recipe, self.data = recipe, data.limited(recipe.train, recipe.test)
        self.model = self._network()
        scheme = recipe.scheme
        self.stages = stages(
            recipe.schedule, recipe.epochs, recipe.float_epochs, (scheme.weight_bits, scheme.activation_bits),
            recipe.ladder, recipe.norm_epochs,
        )
        self.history: list[dict[str, Any]] = []
        self.aiwq: dict[str, float] = {}
        self.frozen: list[str] = []
        self.float_value: float | None = None
        self.teacher: QuantNetwork | None = None
        self._value: float | None = None
        self._x, self._y = torch.from_numpy(self.data.x), torch.from_numpy(self.data.y)
        self._done = 0, 0
        self._optimizer: torch.optim.AdamW | None = None
        self._meter: Aiwq | None = None

    def _network(self) -> QuantNetwork:
        recipe = self.recipe
        model = NETWORKS[recipe.network](
            recipe.scheme, self.data.shape, self.data.classes, self.data.scale, **recipe.options
        )
        if recipe.profile:
            apply_profile(model, recipe.profile, recipe.levels)
        return model

    def _taught_by(self, state: dict[str, Tensor]) -> None:
        """The float network, with quantizers off as in its stage, becomes the teacher."""
        self.teacher = self._network()
        self.teacher.set_active(False)
        self.teacher.load_state_dict(state)
        self.teacher.eval()

    def start_from(self, other: Training) -> None:
        """Weights and BatchNorm of another run's float network of the same shape, which is the teacher if there is one.
        """
        own = self.model.state_dict()
        state = {k: v for k, v in other.model.state_dict().items() if k in own and (".op." in k or ".norm." in k)}
        self.model.load_state_dict(state, strict=False)
        self.float_value = other.float_value
        if self.recipe.distillation:
            self._taught_by(self.model.state_dict())

    # The run

    def run(
        self, checkpoint: Path | None = None, progress: Progress | None = None, every_epoch: bool = True
    ) -> None:
        """Train to the end, from where the run is. Without `every_epoch` accuracy is that of the end alone."""
        total = sum(stage.epochs for stage in self.stages) or 1
        index, epoch = self._done
        while index < len(self.stages):
            stage = self.stages[index]
            if epoch == 0:
                self._begin(stage)
            while epoch < stage.epochs:
                start = time.monotonic()
                entry = self._epoch(index, epoch)
                epoch += 1
                self._done = index, epoch
                last = epoch == stage.epochs
                if last:
                    self._end(stage)
                    self._done = index + 1, 0
                if every_epoch or self._done[0] == len(self.stages):
                    self._value = self.float_value if last and not stage.quantized else self.accuracy()
                    entry["accuracy"] = self._value
                self.history.append(entry | {"seconds": time.monotonic() - start})
                if checkpoint:
                    self.save(checkpoint)
                if progress:
                    told = ", ".join(f"{key} {entry[key]:.4f}" for key in ("loss", "accuracy") if key in entry)
                    progress(len(self.history) / total, f"{stage.name} {epoch}/{stage.epochs}: {told}")
            if stage.epochs == 0:
                self._end(stage)
            index, epoch = index + 1, 0
            self._done = index, 0
        self.model.eval()

    def _begin(self, stage: Stage) -> None:
        """Settings of a stage, from which its first epoch starts."""
        self._value = None
        self._apply(stage)
        if stage.quantized:
            self.model.calibrate(self._x[: self.recipe.batch], training=True)
        self._optimizer = self._new_optimizer()
        if stage.measured:
            self._meter = Aiwq(self.model)

    def _apply(self, stage: Stage) -> None:
        self.model.set_active(stage.quantized)
        if stage.bits:
            self.model.set_bits(*stage.bits)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        if stage.norms_only:
            norms = {p for m in self.model.modules() if isinstance(m, ChannelNorm) for p in m.parameters()}
            for parameter in self.model.parameters():
                parameter.requires_grad_(parameter in norms)
        elif stage.frozen:
            self.frozen = freeze(self.model, self.aiwq, stage.frozen)

    def _end(self, stage: Stage) -> None:
        """What a stage leaves behind: its weights get statistics of their own."""
        if self._meter is not None:
            self.aiwq = dict(self._meter.values)
            self._meter.detach()
            self._meter = None
        measure_statistics(self.model, self._x)
        if not stage.quantized:
            self.float_value = self.accuracy()
            if self.recipe.distillation:
                self._taught_by(self.model.state_dict())

    def _new_optimizer(self) -> torch.optim.AdamW:
        """Filters decay here, and PACT's clips by their gradients, see `_step`; nothing else does.

        Adam's steps do not depend on the size of gradients, so a quantizer's parameter has a rate in proportion to
        its `extent`, its `share` of the recipe's.
        """
        filters = [block.op.weight for _, block in self.model.blocks()]
        learned = {
            p: quantizer.extent(p) for quantizer in self.model.quantizers() for p in quantizer.parameters(recurse=False)
        }
        others = [p for p in self.model.parameters() if p not in {*filters, *learned}]
        groups = [
            {"params": filters, "weight_decay": self.recipe.decay, "share": 1.0},
            {"params": others, "weight_decay": 0.0, "share": 1.0},
        ]
        for parameter, extent in learned.items():
            groups.append({"params": [parameter], "weight_decay": 0.0, "share": max(extent, SMALLEST_EXTENT)})
        return torch.optim.AdamW(groups, lr=self.recipe.rate)

    # An epoch

    def _epoch(self, index: int, epoch: int) -> dict[str, Any]:
        """Train on all samples once; the entry of the history but for what is measured behind it."""
        stage = self.stages[index]
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + index * 1009 + epoch)
        order = torch.randperm(len(self._x), generator=generator)
        batches = [pick for pick in order.split(self.recipe.batch) if len(pick) > 1]
        self.model.train()
        losses, full, kept = 0.0, 0, 0
        for number, pick in enumerate(batches):
            part = (epoch + number / len(batches)) / stage.epochs
            assert self._optimizer is not None
            for group in self._optimizer.param_groups:
                group["lr"] = group["share"] * self.recipe.rate * 0.5 * (1 + math.cos(math.pi * part))
            loss, saved = self._step(shifted(self._x[pick], self.recipe.shift, generator), self._y[pick], stage)
            losses += loss
            full, kept = full + saved[0], kept + saved[1]
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise TrainError(f"Training diverged in stage {stage.name}: there are weights beyond any number; "
                             "try a lower rate")
        entry = {"stage": stage.name, "epoch": epoch, "loss": losses / len(batches)}
        return entry | ({"saved_bytes_full": full, "saved_bytes": kept} if full else {})

    def _step(self, x: Tensor, y: Tensor, stage: Stage) -> tuple[float, tuple[int, int]]:
        """(loss, bytes of saved activations without and with packing)."""
        assert self._optimizer is not None
        self._optimizer.zero_grad()
        # The loss stays outside: what it saves are few numbers of the largest effect, logarithms of probabilities.
        packing = QuantizedBackward(self.model, **self.recipe.backward) if self.recipe.backward else None
        with packing or nullcontext():
            logits = self.model(x)
        loss = self._loss(logits, x, y, stage)
        loss.backward()
        # The L2 term of PACT's loss. AdamW's own decay is in proportion to the rate, and moves nothing in so few steps.
        for quantizer in self.model.quantizers():
            for parameter in (getattr(quantizer, name) for name in getattr(quantizer, "decayed", ())):
                if parameter.grad is not None:
                    parameter.grad += 2 * self.recipe.decay * parameter.detach()
        self._optimizer.step()
        return float(loss.detach()), (packing.full_bytes, packing.kept_bytes) if packing else (0, 0)

    def _loss(self, logits: Tensor, x: Tensor, y: Tensor, stage: Stage) -> Tensor:
        if self.teacher is None or not stage.quantized:
            return functional.cross_entropy(logits, y)
        with torch.no_grad():
            soft = self.teacher(x).to(logits.dtype)
        return distillation_loss(logits, soft, y, self.recipe.distillation, self.recipe.temperature)

    @property
    def value(self) -> float:
        """Accuracy at the end of the last stage; of a run without stages, of the network that it starts with."""
        if self._value is None:
            self._value = self.accuracy()
        return self._value

    def accuracy(self) -> float:
        """Part of the test images whose largest logit, the first of equal ones, is their class."""
        return accuracy(self.model, self.data.x_test, self.data.y_test)

    # Checkpoints

    def save(self, path: Path) -> None:
        """Everything that the rest of the run depends on; complete or not at all."""
        assert self._optimizer is not None
        index, _ = self._done
        state = {
            "recipe": self.recipe.to_dict(), "data": self.data.digest, "done": self._done,
            "model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(), "history": self.history,
            "aiwq": self.aiwq, "frozen": self.frozen, "float_value": self.float_value,
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "meter": None if self._meter is None else (self._meter.values, self._meter._old),
            "stage": asdict(self.stages[index]) if index < len(self.stages) else None,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(state, content)
        with replaced(path) as new:
            new.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. CheckpointError when it is damaged, or of another recipe or other data."""
        content = path.read_bytes()
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            raise CheckpointError(f"Checkpoint {path} is damaged, or of another version of Subbyte")
        state = torch.load(io.BytesIO(content[DIGEST_BYTES:]), weights_only=True)
        recipe, data = state["recipe"], state["data"]
        if recipe != self.recipe.to_dict():
            different = sorted(k for k in self.recipe.to_dict() if recipe.get(k) != self.recipe.to_dict()[k])
            raise CheckpointError(f"Checkpoint {path} is of another recipe, in {', '.join(different)}")
        if data != self.data.digest:
            raise CheckpointError(f"Checkpoint {path} is of other data than the recipe's files have now")
        index, epoch = self._done = state["done"]
        self.history, self.aiwq, self.frozen = state["history"], state["aiwq"], state["frozen"]
        self.float_value = state["float_value"]
        for stage in self.stages[: index + (epoch > 0)]:
            self._apply(stage)
        self.model.load_state_dict(state["model"])
        self._optimizer = self._new_optimizer()
        self._optimizer.load_state_dict(state["optimizer"])
        if state["teacher"] is not None:
            self._taught_by(state["teacher"])
        if state["meter"] is not None:
            self._meter = Aiwq(self.model)
            self._meter.values, self._meter._old = state["meter"]


def shifted(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Images (n, channels, height, width), each moved by -most..most pixels both ways; black comes in."""
    if not most:
        return x
    size = 2 * most + 1
    rows, columns = (torch.randint(0, size, (len(x),), generator=generator).tolist() for _ in range(2))
    full = functional.pad(x, (most, most, most, most))
    height, width = x.shape[2:]
    return torch.stack([
        image[:, row : row + height, column : column + width]
        for image, row, column in zip(full, rows, columns, strict=True)
    ])


def accuracy(model: QuantNetwork, x: Any, y: Any) -> float:
    """Part of images (n, channels, height, width), uint8 arrays, that `model` in evaluation puts into their class."""
    was_training = model.training
    model.eval()
    hits = 0
    with torch.no_grad():
        for start in range(0, len(x), EVALUATION_BATCH):
            logits = model(torch.from_numpy(x[start : start + EVALUATION_BATCH])).numpy()
            hits += int((logits.argmax(axis=1) == y[start : start + EVALUATION_BATCH]).sum())
    model.train(was_training)
    return hits / len(x)
