"""BatchNorm's statistics at the end of a stage."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

torch = pytest.importorskip("torch")
loops = import_module("subbyte.train.loop")
nets = import_module("train_networks")
norms = import_module("subbyte.train.layers.norm")
recipes = import_module("subbyte.train.recipe")
small = import_module("small_data")
statistics = import_module("subbyte.train.statistics")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def channel_norms(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, norms.ChannelNorm)]


def seen(model: Any, x: Any) -> list[Any]:
    """What reaches each BatchNorm, in training."""
    found: list[Any] = []
    hooks = [norm.register_forward_pre_hook(lambda _, given: found.append(given[0])) for norm in channel_norms(model)]
    model.train()
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("name", "scheme"), [("cnn", "lsq"), ("mobilenet", "duq"), ("ds_cnn", "lsq")])
def test_statistics_are_those_of_all_images(name: str, scheme: str) -> None:
    """One batch of all: each BatchNorm has mean and variance of what reaches it, whatever it had before."""
    model, x = nets.settled(name, scheme), nets.images()
    for norm in channel_norms(model):
        norm.running_mean.fill_(100.0)
    statistics.measure_statistics(model, x)
    measured = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in channel_norms(model)]
    for inputs, (mean, variance) in zip(seen(model, x), measured, strict=True):
        axes = [axis for axis in range(inputs.dim()) if axis != 1]
        assert torch.allclose(inputs.mean(dim=axes), mean, atol=1e-5)
        assert torch.allclose(inputs.var(dim=axes, correction=1), variance, rtol=1e-4, atol=1e-6)


def test_batches_count_the_same_and_take_images_from_everywhere() -> None:
    """Of sorted images each batch has every kind: the mean is that of all, up to what BatchNorm in front does."""
    model, x = nets.settled("cnn", "lsq"), nets.images(40)
    x = x[x.float().mean(dim=(1, 2, 3)).argsort()]
    first = channel_norms(model)[0]
    for batch, samples in ((40, 40), (10, 40), (10, 20)):
        part = x[:: 40 // samples]
        wanted = seen(model, part)[0].mean(dim=(0, 2, 3))
        statistics.measure_statistics(model, x, batch, samples)
        assert torch.allclose(first.running_mean, wanted, atol=1e-5), (batch, samples)


@pytest.mark.parametrize("scheme", ["min_max", "refined", "lsq", "outliers"])
def test_nothing_else_changes(scheme: str) -> None:
    """Ranges that follow batches, codebooks that are sought anew: all stays but the statistics."""
    model, x = nets.settled("cnn", scheme), nets.images()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    statistics.measure_statistics(model, x * 2)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith((".norm.running_mean", ".norm.running_var")) for name in changed)
    assert model.training and all(quantizer.training for quantizer in model.quantizers())
    assert {norm.momentum for norm in channel_norms(model)} == {0.1}


def test_a_stage_ends_with_them() -> None:
    """Each stage's weights have statistics of their own, the float one's too; the moving average is another."""
    data, ends = small.bars(320), []
    training = loops.Training(recipes.TrainRecipe(epochs=1, float_epochs=2, batch=16, options={"width": 4}), data)

    def note(fraction: float, line: str) -> None:
        ends.append([norm.running_var.clone() for norm in channel_norms(training.model)])
        statistics.measure_statistics(training.model, torch.from_numpy(data.x))
        measured = [norm.running_var for norm in channel_norms(training.model)]
        assert all(map(torch.equal, ends[-1], measured)) == ("1/2" not in line), line

    training.run(progress=note)
    assert len(ends) == 3


def test_accuracy_of_ends_only() -> None:
    """A run that tells the accuracy of every epoch ends as one that does not."""
    data, runs = small.bars(), []
    for every in (True, False):
        runs.append(loops.Training(
            recipes.TrainRecipe(epochs=2, float_epochs=2, batch=16, options={"width": 4}), data
        ))
        runs[-1].run(every_epoch=every)
    assert ["accuracy" in entry for entry in runs[1].history] == [False, False, False, True]
    assert all("accuracy" in entry for entry in runs[0].history)
    assert runs[0].value == runs[1].value == runs[1].accuracy() and runs[0].float_value == runs[1].float_value
    assert [e["loss"] for e in runs[0].history] == [e["loss"] for e in runs[1].history]
