"""Training runs: schedules, what is frozen, and that a killed run ends like one that was not."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from subbyte.cli.main import main
from subbyte.compiler.schedule import schedule
from subbyte.spec.engine import PRESETS
from subbyte.spec.network_io import load_network
from subbyte.train.errors import TrainError
from subbyte.train.stages import Stage, stages

torch = pytest.importorskip("torch")
loops = import_module("subbyte.train.loop")
aiwq = import_module("subbyte.train.aiwq")
distill = import_module("subbyte.train.distill")
quantizers = import_module("subbyte.train.quantizers")
profiles = import_module("subbyte.train.profiles")
commands = import_module("subbyte.train.command")
recipes = import_module("subbyte.train.recipe")
schemes = import_module("subbyte.train.scheme")
small = import_module("small_data")
nets = import_module("train_networks")


def recipe(**values: Any) -> Any:
    given = {"epochs": 1, "float_epochs": 1, "batch": 16, "rate": 0.01, "options": {"width": 4}, **values}
    return recipes.TrainRecipe(**given)


def digest(training: Any) -> list[float]:
    return [float(value.double().sum()) for value in training.model.state_dict().values()]


def test_it_learns() -> None:
    training = loops.Training(recipe(epochs=4, float_epochs=6, shift=1), small.bars(320))
    training.run()
    assert training.float_value > 0.8 and training.accuracy() > 0.8
    assert [entry["stage"] for entry in training.history] == ["float"] * 6 + ["quantized"] * 4


@pytest.mark.parametrize("values", [
    {"schedule": "plain", "epochs": 2, "shift": 1},
    {"schedule": "profit", "network": "ds_cnn", "options": {"width": 4, "blocks": 1}, "ladder": (5,),
     "scheme": {"weights": "duq", "activations": "duq"}},
    {"schedule": "plain", "epochs": 2, "distillation": 0.5, "scheme": {"weights": "weq", "weight_bits": 2}},
    {"schedule": "progressive", "ladder": (8,), "backward": {"bits": 3, "ratio": 0.02}},
], ids=["plain", "profit", "distilled", "packed"])
def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path, values: dict[str, Any]) -> None:
    """Stopped after every single epoch, and each time continued by a new process' worth of objects."""
    scheme = schemes.Scheme(**values.pop("scheme", {}))
    one, data = recipe(scheme=scheme, **values), small.bars()
    whole = loops.Training(one, data)
    whole.run()

    class Killed(Exception):
        pass

    def kill(fraction: float, line: str) -> None:
        raise Killed

    path, parts = tmp_path / "checkpoint.pt", 0
    while True:
        part = loops.Training(one, data)
        if path.exists():
            part.load(path)
        try:
            part.run(path, kill)
        except Killed:
            parts += 1
            continue
        break
    assert parts == len(whole.history) > 2
    assert digest(part) == digest(whole)
    drop = [{k: v for k, v in entry.items() if k != "seconds"} for entry in part.history]
    assert drop == [{k: v for k, v in entry.items() if k != "seconds"} for entry in whole.history]
    assert (part.aiwq, part.frozen, part.float_value) == (whole.aiwq, whole.frozen, whole.float_value)


def test_nothing_of_the_loss_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it saves, logarithms of probabilities in a batch of more than 256, decides what every weight learns."""
    shapes, pack = set(), loops.QuantizedBackward._pack

    def seen(self: Any, x: Any) -> Any:
        shapes.add(tuple(x.shape))
        return pack(self, x)

    monkeypatch.setattr(loops.QuantizedBackward, "_pack", seen)
    data = small.bars(320)
    loops.Training(recipe(schedule="float", batch=100, backward={"bits": 3, "ratio": 0.02}), data).run()
    classes = int(data.y.max()) + 1
    assert shapes and (100, classes) not in shapes


def test_quantizers_start_from_what_training_will_see() -> None:
    """DoReFa's weights are the same for filters of any size, so PACT's clips are too, whatever BatchNorm had seen of
    the float network's."""
    runs, data = [], small.bars()
    for size in (1.0, 2.0**-6):
        training = loops.Training(recipe(scheme=schemes.method("pact", 2), float_epochs=0), data)
        block = training.model.layers["conv2"]
        with torch.no_grad():
            block.op.weight.copy_(torch.ones_like(block.op.weight).cumsum(0) * size)
            block.norm.running_mean.mul_(size)
            block.norm.running_var.mul_(size**2)
        training._begin(training.stages[0])
        runs.append((float(block.out.alpha.detach()), float(block.norm.running_var.mean()) / size**2))
    assert runs[0][0] == pytest.approx(runs[1][0], rel=0.05) and runs[0][1] == runs[1][1] == 1


def test_a_clip_above_everything_decays() -> None:
    """The loss says nothing of it, its L2 term does; the decay of the filters' kind would take thousands of epochs."""
    training = loops.Training(recipe(scheme=schemes.method("pact", 4), float_epochs=0), small.bars())
    training._begin(training.stages[0])
    clip = training.model.layers["conv2"].out.alpha
    with torch.no_grad():
        clip.fill_(1e3)
    training._optimizer = training._new_optimizer()
    training._epoch(0, 0)
    assert 500 < float(clip.detach()) < 990


def test_seeds_matter() -> None:
    runs = [loops.Training(recipe(seed=seed), small.bars()) for seed in (1, 1, 2)]
    for run in runs:
        run.run()
    assert digest(runs[0]) == digest(runs[1]) != digest(runs[2])


def test_checkpoints_of_other_recipes_and_data_are_refused(tmp_path: Path) -> None:
    training = loops.Training(recipe(), small.bars())
    training.run(tmp_path / "checkpoint.pt")
    with pytest.raises(loops.CheckpointError, match="is of another recipe, in rate"):
        loops.Training(recipe(rate=0.02), small.bars()).load(tmp_path / "checkpoint.pt")
    with pytest.raises(loops.CheckpointError, match="is of other data than the recipe's files have now"):
        loops.Training(recipe(), small.bars(seed=1)).load(tmp_path / "checkpoint.pt")
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(loops.CheckpointError, match="is damaged, or of another version of Subbyte$"):
        loops.Training(recipe(), small.bars()).load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("place", [0, 40, -40, -1])
def test_damaged_checkpoints_are_refused(tmp_path: Path, place: int) -> None:
    """A bit anywhere; and a file that ends early."""
    path = tmp_path / "checkpoint.pt"
    loops.Training(recipe(), small.bars()).run(path)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 4
    for content in (bytes(bad), good[:-1], good[:30], b""):
        path.write_bytes(content)
        with pytest.raises(loops.CheckpointError, match="is damaged"):
            loops.Training(recipe(), small.bars()).load(path)
    path.write_bytes(good)
    loops.Training(recipe(), small.bars()).load(path)


@pytest.mark.parametrize("resumed", [False, True])
def test_quantized_without_training(tmp_path: Path, resumed: bool) -> None:
    """Stages without epochs: the accuracy is that of the quantized network, not of the float one before."""
    one = recipe(scheme=schemes.method("min_max", 2), epochs=0, float_epochs=6, shift=1)
    run = loops.Training(one, small.bars(320))
    run.run(tmp_path / "checkpoint.pt")
    if resumed:
        run = loops.Training(one, small.bars(320))
        run.load(tmp_path / "checkpoint.pt")
        run.run()
    assert run.value == run.accuracy() != run.float_value


@pytest.mark.parametrize(("network", "scheme"), [
    ("xnor", schemes.Scheme("xnor", "sign", 1, 1)), ("mobilenet", schemes.Scheme("duq", "duq")),
    ("resnet", schemes.Scheme(highway=False)), ("ds_cnn", schemes.Scheme("weq", weight_bits=2)),
])
def test_the_teacher_is_the_float_network(network: str, scheme: Any) -> None:
    """That of the float stage, with its own activations; it gives what that gave."""
    run = loops.Training(
        recipe(network=network, scheme=scheme, float_epochs=3, distillation=0.5, ladder=()), small.bars(320)
    )
    run.run()
    assert loops.accuracy(run.teacher, run.data.x_test, run.data.y_test) == run.float_value
    assert not any(quantizer.active for quantizer in run.teacher.quantizers())


def test_a_run_that_diverges_says_so() -> None:
    run = loops.Training(recipe(rate=1e6, epochs=20, float_epochs=0), small.bars())
    with pytest.raises(TrainError, match="^Training diverged in stage quantized: .*; try a lower rate$"):
        run.run()


# Schedules


def test_progressive_stages() -> None:
    found = stages("progressive", 2, 1, (4, 4), (8, 5, 4))
    assert [(s.name, s.bits) for s in found] == [
        ("float", None), ("activations-8", (8, 8)), ("activations-5", (8, 5)), ("activations-4", (8, 4)),
        ("weights-5", (5, 4)), ("weights-4", (4, 4)),
    ]


def test_profit_freezes_in_thirds_and_ends_with_batchnorm() -> None:
    found = stages("profit", 2, 0, (4, 4), (5,), norm_epochs=3)[-4:]
    assert [round(s.frozen, 2) for s in found] == [0.0, 0.33, 0.67, 1.0]
    assert [s.measured for s in found] == [True, False, False, False]
    assert found[-1] == Stage("norms", 3, bits=(4, 4), frozen=1.0, norms_only=True)
    with pytest.raises(ValueError, match="must be one of float, plain, progressive, profit, unfrozen, not 'x'"):
        stages("x", 1, 1, (4, 4))


def test_profit_is_compared_with_the_same_stages() -> None:
    frozen, unfrozen = (stages(schedule, 2, 0, (4, 4), (5,), norm_epochs=3) for schedule in ("profit", "unfrozen"))
    assert [(s.epochs, s.bits, s.measured) for s in frozen] == [(s.epochs, s.bits, s.measured) for s in unfrozen]
    assert frozen[-1] == unfrozen[-1] and not any(s.frozen for s in unfrozen[:-1])


def test_frozen_weights_do_not_move_and_batchnorm_does() -> None:
    one = recipe(schedule="profit", network="ds_cnn", options={"width": 4, "blocks": 1}, ladder=())
    training = loops.Training(one, small.bars())
    before: dict[str, dict[str, Any]] = {}

    def note(fraction: float, line: str) -> None:
        before[line.split()[0]] = {k: v.clone() for k, v in training.model.state_dict().items()}

    training.run(progress=note)
    moved = {
        stage: {name for name in before[stage] if not torch.equal(before[stage][name], before[previous][name])}
        for previous, stage in zip(before, list(before)[1:], strict=False)
    }
    blocks = dict(training.model.blocks())
    order = sorted(blocks, key=lambda name: -training.aiwq[name])
    assert all(value > 0 for value in training.aiwq.values())
    for stage, part in (("profit-0.33", 1 / 3), ("profit-0.67", 2 / 3)):
        still = order[: round(part * len(order))]
        for name in blocks:
            assert (f"layers.{name}.op.weight" in moved[stage]) == (name not in still)
    assert training.frozen == order[: round(2 / 3 * len(order))]
    assert moved["norms"] and all(".norm." in name for name in moved["norms"])
    assert "layers.stem.norm.weight" in moved["norms"]


def test_aiwq_divergence_is_that_of_normal_distributions() -> None:
    """KL(N(1, 4) || N(0, 1)) = (4 + 1 - 1 - log 4) / 2, on numbers with exactly these moments.

    A channel that is constant in one of the two has none.
    """
    old = torch.tensor([-1.0, 1.0]).reshape(2, 1)
    new = torch.tensor([-1.0, 3.0]).reshape(2, 1)
    assert aiwq.divergence(new, old).item() == pytest.approx((4 + 1 - 1 - math.log(4)) / 2)
    assert aiwq.divergence(old, old).item() == pytest.approx(0.0)
    still = torch.ones(2, 1)
    for pair in ((still, old), (new, still)):
        assert aiwq.divergence(*pair).shape == (0,)
        assert aiwq.divergence(*(torch.cat([a, b], 1) for a, b in zip(pair, (new, old), strict=True))).shape == (1,)


def test_aiwq_sees_steps_of_the_weights_only() -> None:
    """0 while the quantized weights stay; a step that moves the layer by more than 1 does not count."""
    model = nets.settled("cnn", "min_max").train()
    meter = aiwq.Aiwq(model, momentum=0.5)
    for _ in range(2):
        model(nets.images())
    assert set(meter.values.values()) == {0.0}
    weight = model.layers["conv2"].op.weight
    with torch.no_grad():
        weight[1, 0] *= 1.3
    model(nets.images())
    measured = meter.values["conv2"]
    assert 0 < measured < 0.5 and meter.values["conv1"] == 0
    model(nets.images())
    assert meter.values["conv2"] == measured / 2
    with torch.no_grad():
        weight *= -1  # far
    model(nets.images())
    assert meter.values["conv2"] == measured / 2
    meter.detach()
    before = dict(meter.values)
    with torch.no_grad():
        weight *= 2
    model(nets.images())
    assert meter.values == before


@pytest.mark.parametrize(("name", "bits"), [
    ("DEC", [4, 4, 3, 3, 2, 2]), ("INC", [2, 2, 3, 3, 4, 4]), ("CONVEX", [4, 3, 2, 2, 3, 4]),
    ("CONCAVE", [2, 3, 4, 4, 3, 2]),
])
def test_profiles(name: str, bits: list[int]) -> None:
    assert profiles.profile(name, 6, (4, 3, 2)) == bits


def test_profiles_set_hidden_layers() -> None:
    model = nets.NETWORKS["resnet"](nets.SCHEMES["lsq"], nets.SHAPE, 4, 1 / 255, 4)
    found = profiles.apply_profile(model, "DEC", (4, 2))
    assert list(found.values()) == sorted(found.values(), reverse=True) and set(found.values()) == {4, 2}
    assert {name: block.weights.bits for name, block in model.blocks() if name in found} == found
    assert "stem" not in found and "dense" not in found
    with pytest.raises(ValueError, match="must be one of DEC, INC, CONCAVE, CONVEX, not 'FLAT'"):
        profiles.profile("FLAT", 3, (4,))


def test_distillation_loss_by_hand() -> None:
    """weight 1, T = 2: 4 times the divergence of the softened distributions; weight 0: cross entropy."""
    logits, teacher, y = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]]), torch.tensor([1])
    p = math.exp(1) / (math.exp(1) + 1)
    kl = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert distill.distillation_loss(logits, teacher, y, 1.0, 2.0).item() == pytest.approx(4 * kl, rel=1e-5)
    assert distill.distillation_loss(logits, teacher, y, 0.0, 2.0).item() == pytest.approx(math.log(2), rel=1e-5)


def test_fewer_bits_leave_wide_grids_alone() -> None:
    model = nets.settled("mobilenet", "duq")
    model.set_bits(3, 2)
    activations = [q for q in model.quantizers() if hasattr(q, "borders")]
    assert {q.bits for q in activations if not q.wide} == {2} and {q.bits for q in activations if q.wide} == {8}
    edges = model.edges()
    assert {b.weights.bits for _, b in model.blocks() if b not in edges} == {3}
    assert {b.weights.bits for b in edges} == {4}


def test_switched_off_is_the_float_network() -> None:
    """All quantizers off: the numbers of the float network with the same weights."""
    for name, scheme in (("cnn", "lsq"), ("mobilenet", "duq"), ("resnet", "pact2")):
        model = nets.settled(name, scheme)
        model.set_active(False)
        other = nets.NETWORKS[name](nets.FLOAT, nets.SHAPE, nets.CLASSES, 1 / 255, 8).eval()
        other.load_state_dict(model.state_dict(), strict=False)
        assert torch.allclose(model(nets.images()).float(), other(nets.images()).float(), atol=1e-5)


def test_shifts() -> None:
    x = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3)
    moved = loops.shifted(x.repeat(40, 1, 1, 1), 1, torch.Generator().manual_seed(0))
    assert any(image[0].tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]] for image in moved)
    assert loops.shifted(x, 0, torch.Generator()) is x


# Recipes and the command


def test_the_command_trains_exports_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe_file, out = small.write_recipe(tmp_path), tmp_path / "out"

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main(["train", "--recipe", str(recipe_file), "-o", str(out), *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    status, text, _ = command("--json", "--engine", "up5k")
    found = json.loads(text)
    assert status == 0 and found["accuracy"]["value"] == found["reference_value"] and not found["resumed"]
    assert found["qonnx_file"] == "model.onnx" and len(found["epochs"]) == 4
    assert {path.name for path in out.iterdir()} == {"checkpoint.pt", "train.json", "network.npz", "model.onnx"}
    schedule(load_network(out / "network.npz"), PRESETS["up5k"])
    status, text, _ = command()
    assert status == 0 and "by the reference of the exported integers" in text
    recipe_file.write_text(recipe_file.read_text().replace("epochs = 2\nfloat", "epochs = 3\nfloat"))
    status, _, told = command()
    assert status == 2 and "is of another recipe, in epochs" in told and len(told.splitlines()) == 1


def test_without_torch_one_line_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train", "--recipe", "r.toml", "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told == "subbyte: subbyte train needs torch, which is not installed: pip install 'subbyte[train]'\n"


def test_the_command_line_does_not_load_torch() -> None:
    code = "import sys, subbyte.cli.main, subbyte.cli.train_command; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("text", "message"), [
    ("netwrk = 'cnn'", "recipe has no field netwrk"),
    ("network = 'vgg'", "Recipe network must be one of cnn, resnet"),
    ("[scheme]\nweights = 'x'", "Scheme weights must be one of"),
    ("[scheme]\nfoo = 1", "scheme has no field foo"),
    ("epochs = -1\nrate = 0", "epochs must be an integer of at least 0, not -1; Recipe rate must be a number above 0"),
    ("options = { depth = 3 }", "Recipe options of cnn are width, not depth"),
    ("data = { kind = 'mnist' }", "Recipe data kind must be one of digits, npz, idx, cifar, not 'mnist'"),
    ("distillation = 2.0", r"distillation must be in 0\.\.1, not 2\.0"),
    ("backward = { bit = 3 }", "backward has no bit"),
    ("schedule = 1", "Recipe schedule must be one of"),
    ("ladder = 5", "Recipe ladder must be a list of integers, not 5"),
    ("ladder = ['a']", r"Recipe ladder must be a list of integers in 1\.\.8, not \['a'\]"),
    ("profile = 'DEC'\nlevels = []", r"Recipe levels must be a list of integers in 1\.\.8, not \[\]"),
    ("levels = [0]", r"Recipe levels must be a list of integers in 1\.\.8, not \[0\]"),
    ("profile = 'DEC'\nschedule = 'profit'", "Recipe profile needs schedule plain, .* not profit"),
    ("data = 'digits'", "Recipe data must be a table of texts, not 'digits'"),
    ("data = { kind = 'npz', file = 3 }", "Recipe data must be a table of texts"),
    ("options = 3", "Recipe options must be a table of integers of at least 1, not 3"),
    ("options = { width = 'a' }", "Recipe options must be a table of integers of at least 1"),
    ("options = { width = true }", "Recipe options must be a table of integers of at least 1"),
    ("options = { width = 0 }", "Recipe options must be a table of integers of at least 1, not {'width': 0}"),
    ("backward = 3", "Recipe backward must be a table of numbers, not 3"),
    ("train = 1", "Recipe train must be an integer of at least 2, not 1"),
    ("train = 'x'", "Recipe train must be an integer of at least 2, not 'x'"),
    ("test = 0", "Recipe test must be an integer of at least 1, not 0"),
    ("decay = 'x'", "Recipe decay must be a number of at least 0 and at most 1e.06, not 'x'"),
    ("distillation = 'x'", "Recipe distillation must be a number of at least 0 and at most 1e.06, not 'x'"),
    ("rate = nan", "Recipe rate must be a number above 0 and at most 1e.06, not nan"),
    ("rate = inf", "Recipe rate must be a number above 0 and at most 1e.06, not inf"),
    ("rate = 1e38", "Recipe rate must be a number above 0 and at most 1e.06, not 1e.38"),
    ("[scheme]\nhighway = 'no'", "Scheme highway must be true or false, not 'no'"),
    ("seed = 100000000000000000000", "Recipe seed must be at most 1099511627776, not 100000000000000000000"),
    ("a = [", "Recipe file"),
])
def test_recipe_refusals(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(recipes.TrainRecipeError, match=message) as caught:
        recipes.load_train_recipe(path)
    assert "\n" not in str(caught.value)


REHEARSED = [
    *(
        ({"scheme": {name: "float"}}, "schedule plain needs a scheme that quantizes weights, edge_weights and activ")
        for name in ("weights", "edge_weights", "activations")
    ),
    ({"backward": {"bits": 1}}, "Saved activations must have 2..8 bits and a ratio of 0..1, not 1 and 0.02"),
    ({"distillation": 0.5, "float_epochs": 0}, "distillation needs float_epochs, whose network is the teacher"),
    ({"backward": {"bits": 3.5}}, "Saved activations must have 2..8 bits and a ratio of 0..1, not 3.5 and 0.02"),
    ({"network": "mobilenet", "scheme": {"activation_bits": 1}},
     "activation_bits must be at least 2 in a network that reads signed numbers, not 1"),
    ({"scheme": {"activations": "pact", "activation_options": {"alpha": 0}}}, "PACT alpha must be above 0, not 0"),
    ({"scheme": {"weight_options": {"foo": 1}}}, "unexpected keyword argument 'foo'"),
    ({"scheme": {"weight_options": {"grid": "x"}}}, "Grid of 4-bit weights must be narrow, full, lanes or"),
    ({"scheme": {"activations": "fitted", "activation_bits": 3}}, "A fitted table has 4 bits, not 3"),
    ({"scheme": {"weight_bits": 1}}, "Bits of linear weights must be in 2..8, not 1"),
    ({"scheme": {"weights": "weq", "weight_bits": 5}}, "Bits of codebook weights must be in 2..4, not 5"),
    ({"scheme": {"weights": "weq", "weight_bits": 2}, "schedule": "progressive"}, "must be in 2..4, not 8"),
    ({"scheme": {"activations": "log"}, "schedule": "progressive"}, "must stay 4, not become 8"),
    ({"scheme": {"weights": "dorefa", "weight_bits": 8}}, "Bits of linear weights must be in 2..8, not 9"),
    ({"scheme": {"weights": "outliers", "weight_options": {"ratio": 2.0}}}, "Ratio of outliers must be in 0..1"),
    ({"scheme": {"activations": "log", "activation_options": {"rounding": "x"}}}, "not a valid TableRounding"),
]


@pytest.mark.parametrize(("values", "message"), REHEARSED)
def test_what_quantizers_refuse_is_told_before_training(
    values: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what only the bits of a later stage bring about, or the export; nothing is left behind."""
    given = {**values, "scheme": schemes.Scheme(**values.get("scheme", {}))}
    monkeypatch.setattr(commands, "load_data", lambda **files: small.bars())
    with pytest.raises(TrainError, match=re.escape(message)) as caught:
        commands.train(recipe(**given), tmp_path / "out")
    assert str(caught.value).startswith("Recipe cannot be trained: ") and not (tmp_path / "out").exists()


def test_a_rehearsal_changes_nothing() -> None:
    """The run behind it gives the same numbers."""
    made = recipe()
    runs = []
    for first in (False, True):
        if first:
            commands.rehearse(made, small.bars())
        runs.append(loops.Training(made, small.bars()))
        runs[-1].run()
    assert digest(runs[0]) == digest(runs[1])


def test_the_recipe_of_the_documentation(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "training.md"
    (example,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "recipe.toml").write_text(example)
    one = recipes.load_train_recipe(tmp_path / "recipe.toml")
    assert one.network == "cnn" and one.scheme.weight_options == {"grid": "digit"}
    text = page.read_text()
    named = {*quantizers.ACTIVATIONS, *quantizers.WEIGHTS, *nets.NETWORKS} - {"float"}
    assert not [name for name in named if f"`{name}`" not in text]


def test_recipes_come_back_from_plain_values() -> None:
    one = recipe(scheme=schemes.method("qil", 3), schedule="progressive")
    assert recipes.train_recipe(json.loads(json.dumps(one.to_dict()))) == one
    assert dataclasses.replace(one, seed=2) != one


def test_a_network_without_qonnx_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that of an earlier network, nor half of one when the disk is full."""
    monkeypatch.setattr(commands, "load_data", lambda **files: small.bars())
    commands.train(recipe(), tmp_path)
    before = (tmp_path / "model.onnx").read_bytes()

    def full(model: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(commands, "to_qonnx", full)
        with pytest.raises(OSError, match="no space"):
            commands.train(recipe(), tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == before and not list(tmp_path.glob(".new*"))
    (tmp_path / "checkpoint.pt").unlink()
    found = commands.train(recipe(scheme=schemes.Scheme(activations="log")), tmp_path)
    assert found["qonnx_refused"] and not (tmp_path / "model.onnx").exists()
