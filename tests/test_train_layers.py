"""Layers of `subbyte.train`: what training sees and the integers of evaluation are the same quantizers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from subbyte.golden.hswish import hswish_table, shift_bias
from subbyte.golden.requant import requantize
from subbyte.golden.thresholds import thresholds_of
from subbyte.spec.formats import linear

torch = pytest.importorskip("torch")
nets = import_module("train_networks")
codes_layers = import_module("subbyte.train.layers.codes")
fold_module = import_module("subbyte.train.layers.fold")
linear_layers = import_module("subbyte.train.layers.linear")
norms = import_module("subbyte.train.layers.norm")
quantizers = import_module("subbyte.train.quantizers")
residuals = import_module("subbyte.train.layers.residual")
schemes = import_module("subbyte.train.scheme")
signals = import_module("subbyte.train.layers.signal")
to_network = import_module("subbyte.train.to_network")

PAIRS = [
    ("cnn", "lsq"), ("cnn", "qil3"), ("cnn", "ternary"), ("cnn", "log2"), ("cnn", "log4h"), ("cnn", "refined"),
    ("resnet", "lsq"), ("resnet", "pact2"), ("resnet", "coarse"), ("ds_cnn", "digit"), ("ds_cnn", "min_max"),
    ("ds_cnn", "log"), ("ds_cnn", "outliers"), ("mobilenet", "duq"), ("mobilenet", "pact2"), ("xnor", "xnor"),
    ("xnor", "bnn"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def calls(model: Any, x: Any) -> Iterator[tuple[Any, tuple[Any, ...], Any]]:
    """(block, its arguments, its result) of every block in one evaluation."""
    seen: list[tuple[Any, tuple[Any, ...], Any]] = []
    hooks = [
        block.register_forward_hook(lambda module, given, result: seen.append((module, given, result)))
        for _, block in model.blocks()
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    yield from seen


def room(block: Any, signal: Any) -> Any:
    """How far from the real number a line may see it: half an accumulator, and 16 bits of the gain; 0 of thresholds."""
    folded = block.fold(signal.form.scale, signal.offset)
    line = folded.requantizer
    if isinstance(line, fold_module.Thresholds):
        return torch.zeros(1, 1, 1, 1)
    acc = block._apply_weight(signal.operands(), folded.weight, 0.0)
    most = acc.abs().amax() + np.abs(line.bias).max()
    unit = fold_module._unit(block.out, block.out.format())
    wide = unit * line.multiplier / 2.0**line.shift * (0.5 + 2.0**-15 * most.item())
    return torch.from_numpy(wide).reshape(1, -1, *[1] * (acc.dim() - 2))


@pytest.mark.parametrize(("name", "scheme"), PAIRS)
def test_blocks_give_the_codes_of_their_quantizers(name: str, scheme: str) -> None:
    """Real numbers through weights, BatchNorm and quantizer, in float64, against the integers of the same inputs.

    A code is that of the real number, or of one as near as rounding the offset to an accumulator moves it.
    """
    model = nets.settled(name, scheme).double()
    blocks = 0
    for block, given, result in calls(model, nets.images()):
        with torch.no_grad():
            real = block.before_quantizer(*(signals.Signal(s.real(), offset=s.offset) for s in given))
            far = room(block, given[0]).reshape(1, -1, *[1] * (real.dim() - 2)) + 1e-9
        assert (block.out.codes(real - far) <= result.x).all() and (result.x <= block.out.codes(real + far)).all()
        blocks += 1
    assert blocks == len(list(model.blocks()))


def test_exact_folding_equals_batchnorm_for_every_accumulator() -> None:
    """All accumulators of a layer, channel by channel, through BatchNorm and LSQ in rationals, and by thresholds."""
    torch.manual_seed(1)
    norm, quantizer = norms.ChannelNorm(5), quantizers.LsqActivation(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.7, -1.3, 0.05, 2.0, 0.0]))
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        quantizer.size.fill_(0.37)
    gain, offset = norm.affine()
    gain = 0.021 * gain
    folded = fold_module.fold(quantizer, gain, offset, exact=True)
    assert np.array_equal(folded.levels, thresholds_of(quantizer.borders(), gain, offset))
    acc = torch.arange(-600, 600).reshape(-1, 1).repeat(1, 5)
    found = folded.codes(acc).numpy()
    step = Fraction(quantizer.format().scale)
    for channel in range(5):
        for value, code in zip(acc[:, channel].tolist(), found[:, channel].tolist(), strict=True):
            y = Fraction(gain[channel]) * value + Fraction(offset[channel])
            assert code == min(max((y / step + Fraction(1, 2)).__floor__(), 0), 7)


@pytest.mark.parametrize("kind", ["lsq", "signed", "log", "fitted"])
def test_lines_are_the_requantizer(rng: np.random.Generator, kind: str) -> None:
    """`Line.codes` is golden's requantizer, bit by bit."""
    make = {
        "lsq": lambda: quantizers.LsqActivation(8), "signed": lambda: quantizers.LsqActivation(8, signed=True),
        "log": lambda: quantizers.LogQuantActivation(4), "fitted": lambda: quantizers.FittedActivation(),
    }
    quantizer = make[kind]()
    quantizer(torch.from_numpy(rng.exponential(1.0, (100, 7))).float())
    line = fold_module.fold(quantizer, rng.uniform(0.001, 0.01, 7), rng.normal(0, 1, 7), exact=False)
    acc = torch.from_numpy(rng.integers(-3000, 3000, (400, 7)))
    layer = to_network.requantize("r", "a", "b", line)
    assert np.array_equal(line.codes(acc).numpy(), requantize(layer, line.form, acc.numpy() + line.bias))


def test_narrow_lines_ask_for_larger_weights() -> None:
    """A code that is 0.6 accumulators wide: weights times four make it 2.4."""
    quantizer = quantizers.LsqActivation(8)
    with torch.no_grad():
        quantizer.size.fill_(0.6)
    line = fold_module.fold(quantizer, np.ones(1), np.zeros(1), largest_weight=7)
    assert line.weight_gain == 4
    assert line.codes(4 * torch.tensor([[0], [1], [2], [3]])).flatten().tolist() == [0, 2, 3, 5]
    for largest, gain in ((50, 2), (52, 1)):
        assert fold_module.fold(quantizer, np.ones(1), np.zeros(1), largest_weight=largest).weight_gain == gain


def test_norm_is_batchnorm_with_the_gains_size() -> None:
    x = torch.randn(8, 3, 4, 4)
    norm, other = norms.ChannelNorm(3), torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        other.weight.copy_(norm.weight.abs())
    assert torch.allclose(norm(x), other(x), atol=1e-6)
    norm.eval()
    gain, offset = norm.affine()
    expected = x.double() * torch.from_numpy(gain).reshape(1, 3, 1, 1) + torch.from_numpy(offset).reshape(1, 3, 1, 1)
    assert torch.allclose(norm(x).double(), expected, atol=1e-5)


def test_hswish_codes_are_goldens() -> None:
    """The table of x + 3/8, and the constant that its readers add, at borders too: padding is code 0, -3/8."""
    source, out = quantizers.LsqActivation(8, signed=True), quantizers.DuqActivation(4, hswish=True)
    with torch.no_grad():
        source.size.fill_(0.04)
        out.a.fill_(quantizers.duq.inverse_softplus(2.3))
        out.c.fill_(quantizers.duq.inverse_softplus(3.0))
    signal = signals.Signal(torch.arange(256).reshape(1, 1, 16, 16), source.format())
    layer = codes_layers.Recode(out, codes_layers.hswish)
    found = layer(signal)
    clip = float(torch.nn.functional.softplus(out.a.detach())[()].double())
    assert np.array_equal(found.x.flatten().numpy(), hswish_table(source.format(), 4, clip))
    assert found.offset == -0.375 and found.form.pad_code == 0
    weights = quantizers.LsqWeights(4)
    block = linear_layers.Block(
        torch.nn.Conv2d(1, 3, 3, padding=1, bias=False), weights, quantizers.LsqActivation(8, signed=True), norm=False
    )
    block(signals.Signal(found.real().float(), offset=found.offset))  # starts the quantizers
    block.eval()
    folded = block.fold(found.form.scale, found.offset)
    assert np.array_equal(folded.requantizer.bias, shift_bias(folded.weight.long().numpy(), found.form.scale))
    real = block.double().before_quantizer(signals.Signal(found.real(), offset=found.offset))
    assert (block.out.codes(real) - block(found).x).abs().max() <= 1


def test_negative_padding_is_the_offset() -> None:
    """What is beyond the border is -3/8 in training as well."""
    block = linear_layers.Block(
        torch.nn.Conv2d(1, 1, 3, padding=1, bias=False), quantizers.FloatWeights(),
        quantizers.FloatActivation(signed=True), norm=False,
    )
    torch.nn.init.ones_(block.op.weight)
    out = block(signals.Signal(torch.zeros(1, 1, 3, 3), offset=-0.375)).x
    assert out[0, 0].tolist() == [[-1.875, -1.125, -1.875], [-1.125, 0.0, -1.125], [-1.875, -1.125, -1.875]]


def test_highway_adds_on_its_grid() -> None:
    """clamp(round(branch) + identity): the same as quantizing the sum, as training does."""
    model = nets.settled("resnet", "lsq").double()
    sums = 0
    for block, given, result in calls(model, nets.images()):
        if len(given) == 2:
            signal, skip = given
            assert skip.form.bits == 8 and skip.form.scale == result.form.scale
            folded = block.fold(signal.form.scale, signal.offset)
            branch = block._apply_weight(signal.operands(), folded.weight, 0.0).long()
            line = folded.requantizer
            bias, multiplier, shift = (
                torch.from_numpy(v).reshape(1, -1, 1, 1) for v in (line.bias, line.multiplier, line.shift)
            )
            rounded = torch.floor((branch + bias) * multiplier / 2.0**shift + 0.5).long()
            assert torch.equal(result.x, torch.clamp(rounded + skip.operands().long(), 0, 255))
            sums += 1
    assert sums == 3


def test_a_coarse_identity_has_few_values() -> None:
    """Without a highway the identity of a block has passed the low-bit quantizer."""
    for scheme, most in (("lsq", 256), ("coarse", 8)):
        model = nets.settled("resnet", scheme)
        skips = [given[1].x for _, given, _ in calls(model, nets.images()) if len(given) == 2]
        assert len(torch.unique(skips[0])) <= most
        assert scheme != "lsq" or len(torch.unique(skips[0])) > 8


def test_average_of_codes_clips_nothing() -> None:
    """8-bit codes of the mean, at most half a step away."""
    form = linear(4, 0.3)
    x = torch.randint(0, 16, (5, 3, 7, 7))
    x[0] = 15
    found = codes_layers.GlobalAverage()(signals.Signal(x, form))
    mean = 0.3 * x.double().mean(dim=(2, 3), keepdim=True)
    assert (found.real() - mean).abs().max() <= found.form.scale * 0.501
    assert found.x.max() <= 255 and abs(found.real()[0].max() - 4.5) < found.form.scale


def test_averages_of_few_pixels_stay_within_the_requantizer() -> None:
    form = linear(4, 0.3)
    x = torch.randint(0, 16, (5, 3, 2, 2))
    found = codes_layers.GlobalAverage()(signals.Signal(x, form))
    mean = 0.3 * x.double().mean(dim=(2, 3), keepdim=True)
    assert (found.real() - mean).abs().max() <= found.form.scale * 0.501


def test_folding_is_forgotten_when_parameters_change() -> None:
    model = nets.settled("cnn", "lsq")
    before = model(nets.images())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["layers.conv2.norm.bias"] += 1.0
    model.load_state_dict(state)
    assert not torch.equal(model(nets.images()), before)
    model.train()
    with torch.no_grad():
        model.layers["conv2"].norm.bias -= 1.0
    model.eval()
    assert torch.equal(model(nets.images()), before)


def test_pixels_take_bytes_and_fractions() -> None:
    x = nets.images()
    model = nets.settled("cnn", "lsq")
    assert torch.equal(model(x), model(x.float() / 255))


@pytest.mark.parametrize("training", [False, True])
def test_networks_start_quantizers_without_moving_batchnorm(training: bool) -> None:
    model = nets.NETWORKS["ds_cnn"](nets.SCHEMES["min_max"], nets.SHAPE, 4, 1 / 255, 8)
    model.calibrate(nets.images(), training)
    assert all(bool(quantizer.ready) for quantizer in model.quantizers())
    assert model.layers["stem"].norm.running_mean.abs().max() == 0 and not model.training


@pytest.mark.parametrize("name", sorted(nets.NETWORKS))
def test_gradients_reach_every_parameter(name: str) -> None:
    scheme = {"xnor": "xnor", "mobilenet": "duq"}.get(name, "lsq")
    model = nets.settled(name, scheme).train()
    model(nets.images()).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not without


def test_scheme_refusals() -> None:
    for values, message in (
        ({"weights": "lsk"}, "Scheme weights must be one of float, min_max"),
        ({"activations": "x"}, "Scheme activations must be one of"),
        ({"weight_bits": 9}, r"weight_bits must be an integer in 1\.\.8, not 9"),
        ({"edge_bits": True + 0.5}, "edge_bits must be an integer"),
    ):
        with pytest.raises(ValueError, match=message):
            schemes.Scheme(**values)


def test_other_bits_in_evaluation() -> None:
    """Integers are those of the bits that are set, without a step of training in between."""
    model, x = nets.settled("cnn", "min_max"), nets.images()
    other = nets.settled("cnn", "min_max")
    with torch.no_grad():
        first = model(x)
        model.set_bits(2, 2)
        other.set_bits(2, 2)
        assert torch.equal(model(x), other(x)) and not torch.equal(model(x), first)
        model.set_active(False)
        other.set_active(False)
        assert torch.equal(model(x), other(x))


def test_the_code_that_symmetric_ones_leave_out() -> None:
    """A signed DuQ gives no code 0, behind a layer too, of 8 bits as of 4."""
    for bits in (4, 8):
        quantizer = quantizers.DuqActivation(bits, signed=True)
        folded = fold_module.fold(quantizer, np.array([1e-4]), np.array([0.0]))
        acc = torch.tensor([[-100_000], [0], [100_000]])
        assert folded.codes(acc).flatten().tolist() == [1, 1 << (bits - 1), (1 << bits) - 1]
