"""Quantizers of `subbyte.train`: their integers are golden's, their gradients those of the papers."""

from __future__ import annotations

import dataclasses
import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from subbyte.golden import learned
from subbyte.golden.codebooks import codebook_error
from subbyte.golden.fit_table import fitted_format
from subbyte.golden.logquant import log_format, log_quant
from subbyte.golden.outliers import fixed_capacity, outlier_scales, unstructured, weight_rows
from subbyte.golden.quantize import linear_format, quantize_weights, to_codes, weight_scales
from subbyte.golden.refined_log import refined_log_codes, refined_log_format, refined_log_levels, refined_log_search
from subbyte.golden.weq import weq_weights
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear
from subbyte.spec.rounding import TableRounding
from subbyte.spec.weight_formats import LinearWeights, LogWeights, linear_weights
from subbyte.spec.weights import WeightFormat, WeightSet

torch = pytest.importorskip("torch")
base = import_module("subbyte.train.quantizers.base")
quantizers = import_module("subbyte.train.quantizers")


@pytest.fixture(autouse=True)
def _float64() -> Any:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def samples(rng: np.random.Generator, count: int = 4000) -> Any:
    return torch.from_numpy(rng.normal(0.3, 1.0, (count // 8, 8)))


def filters(rng: np.random.Generator) -> Any:
    return torch.from_numpy(rng.normal(0.0, 0.4, (6, 5, 3, 3)) * np.exp(rng.normal(0, 0.5, (6, 1, 1, 1))))


def gradient(module: Any, x: Any, **parameters: Any) -> tuple[Any, dict[str, Any]]:
    """(dy/dx, {parameter: d sum(y) / d parameter})."""
    x = x.clone().requires_grad_()
    module(x).sum().backward()
    return x.grad, {name: parameter.grad for name, parameter in module.named_parameters()}


# Activations: codes


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_pact_codes(rng: np.random.Generator, bits: int) -> None:
    x, module = samples(rng), quantizers.PactActivation(bits, alpha=1.7)
    wanted = learned.pact_codes(x.numpy(), bits, 1.7)
    assert np.array_equal(module.codes(x).numpy(), wanted)
    assert np.array_equal(to_codes(x.numpy(), module.format()), wanted)
    assert np.allclose(module(x).detach().numpy(), wanted * 1.7 / ((1 << bits) - 1), atol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", ["min_max", "lsq"])
def test_uniform_codes(rng: np.random.Generator, name: str, bits: int, signed: bool) -> None:
    x, module = samples(rng), quantizers.ACTIVATIONS[name](bits, signed=signed)
    module(x)
    module.eval()
    form = module.format()
    assert np.array_equal(module.codes(x).numpy(), to_codes(x.numpy(), form))
    wanted = learned.lsq_codes(x.numpy(), module.low, module.high, form.scale)
    assert np.array_equal(module.codes(x).numpy(), wanted + form.zero_point)
    assert np.allclose(module(x).detach().numpy(), wanted * form.scale, atol=1e-12)


@pytest.mark.parametrize("bits", [2, 4])
def test_lsq_plus_codes(rng: np.random.Generator, bits: int) -> None:
    x, module = samples(rng), quantizers.LsqPlusActivation(bits, hswish=True)
    module(x)
    wanted = learned.lsq_codes(x.numpy(), 0, module.high, module.format().scale, module.offset)
    assert module.offset < 0
    assert np.array_equal(module.codes(x).numpy(), wanted)
    assert np.allclose(module(x).detach().numpy(), wanted * module.format().scale + module.offset, atol=1e-12)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_qil_codes_have_a_dead_zone(rng: np.random.Generator, bits: int) -> None:
    x, module = samples(rng), quantizers.QilActivation(bits)
    module.ready.fill_(True)
    module.center.data.fill_(0.9)
    module.half_width.data.fill_(0.6)
    wanted = learned.qil_codes(x.numpy(), bits, 0.9, 0.6)
    assert np.array_equal(module.codes(x).numpy(), wanted)
    assert np.allclose(module(x).detach().numpy(), wanted / ((1 << bits) - 1), atol=1e-12)
    assert float(module.borders()[0]) == pytest.approx(0.3 + 0.6 / ((1 << bits) - 1))


def test_dorefa_activation_codes(rng: np.random.Generator) -> None:
    x, module = samples(rng), quantizers.DorefaActivation(3)
    assert np.array_equal(module.codes(x).numpy(), learned.pact_codes(x.numpy(), 3, 1.0))


@pytest.mark.parametrize(("signed", "hswish"), [(False, False), (True, False), (False, True)])
def test_duq_codes(rng: np.random.Generator, signed: bool, hswish: bool) -> None:
    x, module = samples(rng), quantizers.DuqActivation(4, signed=signed, hswish=hswish)
    module.ready.fill_(True)
    with torch.no_grad():
        module.c.add_(0.5)
    clip = math.log1p(math.exp(module.a.item()))
    shift = 0.375 if hswish else 0.0
    wanted = learned.duq_codes(x.numpy(), 4, clip, signed, shift)
    assert np.array_equal(module.codes(x).numpy() - module.zero_point, wanted)
    worth = math.log1p(math.exp(module.c.item())) / module.high
    assert np.allclose(module(x).detach().numpy(), wanted * worth - shift, atol=1e-12)
    assert not (signed and (module.codes(x) == 0).any()), "one code is unused"


@pytest.mark.parametrize("steps", [1, 2])
def test_log_codes(rng: np.random.Generator, steps: int) -> None:
    x, module = samples(rng), quantizers.LogQuantActivation(4, steps=steps, largest=63, guard_bits=16)
    module(x)
    form = module.format()
    assert form == log_format(np.maximum(x.numpy(), 0), form.table, "mse", TableRounding.LIN_NEAREST)
    assert np.array_equal(module.codes(x).numpy(), to_codes(x.numpy(), form, TableRounding.LIN_NEAREST))


def test_base_2_with_a_full_scale_range_is_the_paper(rng: np.random.Generator) -> None:
    """LogQuant(x, 4, FSR): 15 exponents FSR - 15 .. FSR - 1, a zero code, rounding in the logarithm."""
    x = torch.from_numpy(2.0 ** rng.uniform(-14, 6, 2000))
    module = quantizers.LogQuantActivation(4, steps=1, full_scale=3, rounding="log_nearest", guard_bits=16)
    assert np.array_equal(module(x).numpy(), log_quant(x.numpy(), 4, 3))


def test_refined_log_codes(rng: np.random.Generator) -> None:
    """Where the integer table is the levels themselves, steps of an octave, the codes are the authors'."""
    x = torch.from_numpy(2.0 ** rng.uniform(-4, 4, 2000))
    module = quantizers.RefinedLogActivation(3, guard_bits=16)
    form = refined_log_format(3, -8, 16, 64)
    module.table.copy_(torch.tensor(form.table))
    module.unit.fill_(form.scale)
    module.ready.fill_(True)
    module.eval()
    assert np.allclose(np.array(form.table) * form.scale, refined_log_levels(3, -8, 16))
    assert np.array_equal(module.codes(x).numpy(), refined_log_codes(x.numpy(), 3, -8, 16))


def test_refined_log_search_finds_the_largest_entropy(rng: np.random.Generator) -> None:
    """Better than any of many others, measured on the codes themselves."""
    x = np.abs(rng.normal(0, 1, 3000))

    def entropy(offset: int, step: int) -> float:
        codes = refined_log_codes(x, 3, offset, step)
        share = np.bincount(codes[codes > 0], minlength=8) / len(x)
        weight = np.bincount(codes[codes > 0], weights=x[codes > 0], minlength=8) / len(x)
        used = share > 0
        return float(-(weight[used] * np.log(share[used])).sum())

    best = entropy(*refined_log_search(x, 3))
    others = [entropy(offset, step) for offset in range(-60, 20, 3) for step in (2, 4, 8, 12, 16, 24, 32)]
    assert best >= max(others) - 0.02  # the search sees bins of a sixteenth of an octave
    assert refined_log_search(np.zeros(4), 3) == (0, 16)


def test_refined_log_starts_by_the_search(rng: np.random.Generator) -> None:
    x, module = samples(rng), quantizers.RefinedLogActivation(4, largest=63, every=2)
    module(x)
    wanted = refined_log_format(4, *refined_log_search(x.numpy(), 4), 63)
    assert module.format() == wanted
    module(4 * x)  # the second batch: sought again
    assert module.format() == refined_log_format(4, *refined_log_search(4 * x.numpy(), 4), 63)


def test_fitted_codes(rng: np.random.Generator) -> None:
    x, module = samples(rng), quantizers.FittedActivation(largest=31, guard_bits=16)
    module(x)
    assert module.format() == fitted_format(x.numpy(), 31)
    assert np.array_equal(module.codes(x).numpy(), to_codes(x.numpy(), module.format()))


def test_sign_codes() -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-9, 3.0])
    assert quantizers.SignActivation().codes(x).tolist() == [0, 1, 1, 1, 1]
    assert quantizers.SignActivation()(x).tolist() == [-1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", sorted(set(quantizers.ACTIVATIONS) - {"float", "sign"}))
def test_values_are_those_of_the_codes(rng: np.random.Generator, name: str) -> None:
    """forward = scale * operand(code) + offset, the same in training and evaluation."""
    x, module = samples(rng), quantizers.ACTIVATIONS[name](4)
    module(x)
    module.eval()
    form = module.format()
    real = form.scale * form.operands()[module.codes(x).numpy()] + module.offset
    assert np.allclose(module(x).detach().numpy(), real, atol=1e-12)
    assert form.kind in (Kind.LIN, Kind.LOG, Kind.CODEBOOK)
    borders = module.borders()
    assert len(borders) == 15 and all(a <= b for a, b in zip(borders, borders[1:], strict=False))


@pytest.mark.parametrize("name", ["min_max", "qil", "duq"])
def test_fewer_bits_keep_the_range(rng: np.random.Generator, name: str) -> None:
    x, module = samples(rng), quantizers.ACTIVATIONS[name](8)
    module(x)
    module.eval()
    before = module(20 * x).max()
    module.set_bits(3)
    assert module(20 * x).max().item() == pytest.approx(before.item(), rel=0.01)
    assert module.codes(20 * x).max() == 7


@pytest.mark.parametrize("name", ["lsq", "lsq_plus", "pact"])
def test_fewer_bits_start_anew(rng: np.random.Generator, name: str) -> None:
    """The best range depends on the bits: at two, most numbers would be 0 in that of eight."""
    x, ladder, fresh = samples(rng), quantizers.ACTIVATIONS[name](8), quantizers.ACTIVATIONS[name](2)
    ladder(x)
    ladder.set_bits(2)
    assert torch.equal(ladder(x), fresh(x))
    ladder.set_bits(2)
    assert ladder.ready


def test_weights_of_fewer_bits_start_anew(rng: np.random.Generator) -> None:
    w, ladder = filters(rng), quantizers.LsqWeights(8)
    ladder(w)
    ladder.set_bits(2)
    assert torch.equal(ladder(w), quantizers.LsqWeights(2)(w))
    assert ladder.integers(w)[0].count_nonzero() > w.numel() / 4


def test_extents(rng: np.random.Generator) -> None:
    """A step of a parameter by a small part of its extent changes what it stands for by this part of it."""
    for module, name, value in (
        (quantizers.LsqActivation(4), "size", lambda m: m.step().detach()),
        (quantizers.DuqActivation(4), "a", lambda m: m.step().detach()),
        (quantizers.DuqWeights(4), "c", lambda m: m.integers(filters(rng))[1][0]),
    ):
        with torch.no_grad():
            parameter = getattr(module, name)
            parameter.fill_(0.1)
            before = float(value(module))
            parameter.add_(1e-3 * module.extent(parameter))
        assert float(value(module)) / before == pytest.approx(1.001, abs=1e-5)
    plus = quantizers.LsqPlusActivation(4)
    assert plus.extent(plus.beta) == 15 * plus.extent(plus.size) == 15


def test_duq_starts_where_codes_are(rng: np.random.Generator) -> None:
    """Numbers below 0 have no say behind a ReLU."""
    x = samples(rng)
    x[:, 0] = -100.0
    for signed, most in ((False, x.max()), (True, 100.0)):
        module = quantizers.DuqActivation(4, signed=signed)
        module(x)
        assert float(most) / 2 < module.step().detach() * module.high <= float(most) + 1e-4


# Activations: gradients


def test_alpha_begins_with_the_smallest_error(rng: np.random.Generator) -> None:
    x = samples(rng)
    for given, wanted in ((None, 15 * linear_format(x.clamp(min=0).numpy(), 4, "mse", signed=False).scale), (2.5, 2.5)):
        module = quantizers.PactActivation(4, alpha=given).train()
        module(x)
        assert module.alpha.item() == pytest.approx(wanted)


def test_pact_gradient_is_the_papers() -> None:
    """dy/dx = 1 in (0, alpha); dy/dalpha = 1 for x >= alpha."""
    x = torch.tensor([-1.0, 0.2, 1.4, 1.5, 1.6, 9.0])
    grad, learned_by = gradient(quantizers.PactActivation(2, alpha=1.5), x)
    assert grad.tolist() == [0, 1, 1, 0, 0, 0]
    assert learned_by["alpha"].item() == 3


def lsq_case(module: Any, x: Any) -> tuple[Any, dict[str, Any]]:
    module.ready.fill_(True)
    return gradient(module, x)


def test_lsq_gradient_is_the_papers() -> None:
    """dy/ds = round(x/s) - x/s inside, -Q_N or Q_P outside, times 1 / sqrt(N Q_P)."""
    x = torch.tensor([[-3.0, 0.3, 1.2, 2.6, 3.4, 7.0]])
    module = quantizers.LsqActivation(2)  # step 1, codes 0..3
    grad, found = lsq_case(module, x)
    assert grad.tolist() == [[0, 1, 1, 1, 0, 0]]
    by_hand = 0 + (0 - 0.3) + (1 - 1.2) + (3 - 2.6) + 3 + 3
    assert found["size"].item() == pytest.approx(by_hand / math.sqrt(6 * 3))


def test_lsq_plus_gradient_is_the_papers() -> None:
    """The offset has gradient 1 outside of the range and none inside; the step sees x - offset."""
    x = torch.tensor([[-3.0, 0.3, 1.2, 7.0]])
    module = quantizers.LsqPlusActivation(2)
    with torch.no_grad():
        module.beta.fill_(-0.5)
    grad, found = lsq_case(module, x)
    assert grad.tolist() == [[0, 1, 1, 0]]
    scale = 1 / math.sqrt(4 * 3)
    assert found["beta"].item() == pytest.approx(2 * scale)
    assert found["size"].item() == pytest.approx((0 + (1 - 0.8) + (2 - 1.7) + 3) * scale)


def test_lsq_weights_gradient() -> None:
    w = torch.tensor([[-5.0, -0.7, 0.2, 2.4]])
    module = quantizers.LsqWeights(3)  # step 1, codes -3..3
    grad, found = lsq_case(module, w)
    assert grad.tolist() == [[0, 1, 1, 1]]
    assert found["step"].item() == pytest.approx((-3 + (-1 + 0.7) + (0 - 0.2) + (2 - 2.4)) / math.sqrt(4 * 3))


def finite_difference(function: Any, at: float, width: float = 1e-5) -> float:
    return float((function(at + width) - function(at - width)) / (2 * width))


def test_qil_gradients_are_those_of_the_transformer(rng: np.random.Generator) -> None:
    """Straight through the rounding: derivatives of sum(transform) by center, width, gamma, by finite differences."""
    x, w = samples(rng, 200), filters(rng)
    act, weights = quantizers.QilActivation(3), quantizers.QilWeights(3)
    for module in (act, weights):
        module.ready.fill_(True)
        with torch.no_grad():
            module.center.fill_(0.45)
            module.half_width.fill_(0.4)
    with torch.no_grad():
        weights.gamma.fill_(0.7)

    def transform(v: Any, center: float, width: float, gamma: float) -> Any:
        return torch.clamp(0.5 * (v - center) / width + 0.5, 0, 1) ** gamma

    def activation_sum(center: float, width: float) -> Any:
        return transform(x, center, width, 1.0).sum()

    def weight_sum(center: float, width: float, gamma: float) -> Any:
        return (torch.sign(w) * transform(w.abs(), center, width, gamma)).sum()

    grad, found = gradient(act, x)
    assert found["center"].item() == pytest.approx(finite_difference(lambda c: activation_sum(c, 0.4), 0.45), rel=1e-4)
    assert found["half_width"].item() == pytest.approx(
        finite_difference(lambda d: activation_sum(0.45, d), 0.4), rel=1e-4
    )
    inside = (x - 0.45).abs() < 0.4
    assert torch.allclose(grad, inside * 0.5 / 0.4)
    _, found = gradient(weights, w)
    assert found["gamma"].item() == pytest.approx(finite_difference(lambda g: weight_sum(0.45, 0.4, g), 0.7), rel=1e-4)
    assert found["center"].item() == pytest.approx(
        finite_difference(lambda c: weight_sum(c, 0.4, 0.7), 0.45, 1e-7), rel=1e-3
    )


def test_qil_pruned_weights_learn_nothing() -> None:
    module = quantizers.QilWeights(3)
    module.ready.fill_(True)
    with torch.no_grad():
        module.gamma.fill_(0.5)
        module.center.fill_(0.6)
        module.half_width.fill_(0.3)
    grad, found = gradient(module, torch.tensor([[0.1, -0.2, 0.0]]))
    assert grad.tolist() == [[0, 0, 0]]
    assert all(torch.isfinite(value) for value in found.values())


def test_duq_gradients(rng: np.random.Generator) -> None:
    """d/dc by finite differences of the quantizer itself, d/da of what is straight through the rounding."""
    x, module = samples(rng, 200), quantizers.DuqActivation(3)
    module.ready.fill_(True)
    grad, found = gradient(module, x)
    clip, levels = math.log1p(math.exp(module.a.item())), module.high

    def by_scale(raw: float) -> float:
        with torch.no_grad():
            q = torch.floor(torch.clamp(x / clip, 0, 1) * levels + 0.5) / levels
            return float(q.sum() * math.log1p(math.exp(raw)))

    def by_clip(raw: float) -> float:
        return float(torch.clamp(x / math.log1p(math.exp(raw)), 0, 1).sum() * clip)

    assert found["c"].item() == pytest.approx(finite_difference(by_scale, module.c.item()), rel=1e-6)
    assert found["a"].item() == pytest.approx(finite_difference(by_clip, module.a.item()), rel=1e-4)
    assert torch.allclose(grad, ((x > 0) & (x < clip)).double())


def test_sign_gradient_is_that_of_a_hard_tanh() -> None:
    grad, _ = gradient(quantizers.SignActivation(), torch.tensor([-1.5, -1.0, 0.3, 1.0, 1.1]))
    assert grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("name", ["log", "refined_log", "fitted"])
def test_tables_pass_gradients_up_to_the_top(rng: np.random.Generator, name: str) -> None:
    x, module = samples(rng), quantizers.ACTIVATIONS[name](4)
    module(x)
    top = module.format().scale * module.format().table[-1]
    grad, _ = gradient(module, x)
    assert torch.equal(grad, ((x > 0) & (x < top)).double())


def test_min_max_gradient(rng: np.random.Generator) -> None:
    module = quantizers.MinMaxActivation(3)
    module.largest.fill_(1.0)
    module.ready.fill_(True)
    module.eval()
    grad, _ = gradient(module, torch.tensor([-0.5, 0.0, 0.4, 0.99, 3.0]))
    assert grad.tolist() == [0, 1, 1, 1, 0]


# Weights


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_linear_weights_are_goldens(rng: np.random.Generator, bits: int) -> None:
    w, form = filters(rng), linear_weights(bits)
    module = quantizers.MinMaxWeights(bits, grid="narrow" if bits in (2, 3) else "full")
    assert module.format() == form
    q, unit = module.integers(w)
    scales = weight_scales(w.numpy(), form, "min_max")
    assert np.array_equal(q.numpy(), quantize_weights(w.numpy(), scales, form))
    assert np.array_equal(unit.numpy(), scales)


def test_one_scale_for_a_layer(rng: np.random.Generator) -> None:
    """The largest of those of the channels: no weight is clipped."""
    w = filters(rng)
    q, unit = quantizers.MinMaxWeights(3, layer=True).integers(w)
    assert torch.equal(unit, quantizers.MinMaxWeights(3).integers(w)[1].max().expand(len(w)))
    assert q.abs().max() == 3 and (q * unit[0] - w.double()).abs().max() <= unit[0] / 2


def test_lsq_weights_codes(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.LsqWeights(4, grid="digit")
    module(w)
    assert (module.format().low, module.format().high) == (-9, 6)
    q, unit = module.integers(w)
    assert np.array_equal(q.numpy(), learned.lsq_codes(w.numpy(), -9, 6, unit[0].item()))


@pytest.mark.parametrize(("bits", "most"), [(8, 102), (4, 6), (3, 3)])
def test_weights_that_every_lane_holds(rng: np.random.Generator, bits: int, most: int) -> None:
    """In as many rows as the bits say: both signs of 6 and 102 are in the ranges of digit and of lin4 lanes."""
    for name in ("min_max", "lsq"):
        module = quantizers.WEIGHTS[name](bits, grid="lanes")
        module(filters(rng))
        q, _ = module.integers(20 * filters(rng))
        assert q.abs().max() == most
        for weights in WeightSet if bits in (4, 8) else ():
            form = WeightFormat(weights, bits)
            assert form.low <= -most and most <= form.high


def test_qil_weights_codes(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.QilWeights(4)
    module.ready.fill_(True)
    with torch.no_grad():
        module.gamma.fill_(1.3)
    assert np.array_equal(module.integers(w)[0].numpy(), learned.qil_weights(w.numpy(), 4, 0.5, 0.5, 1.3))


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_dorefa_weights_are_odd_integers(rng: np.random.Generator, bits: int) -> None:
    w, module = filters(rng), quantizers.DorefaWeights(bits)
    q, unit = module.integers(w)
    assert np.array_equal(q.numpy(), learned.dorefa_weights(w.numpy(), bits))
    assert (q % 2 == 1).all() and q.abs().max() == (1 << bits) - 1
    bent = torch.tanh(w) / (2 * torch.tanh(w).abs().max()) + 0.5
    top = (1 << bits) - 1
    assert torch.allclose(module(w), 2 * torch.floor(bent * top + 0.5) / top - 1)
    assert set(np.unique(q)) <= set(module.format().values.tolist())


def test_dorefa_weights_gradient(rng: np.random.Generator) -> None:
    """Straight through the rounding: that of tanh(w) / max |tanh(w)|, the maximum included."""
    w = filters(rng)
    grad, _ = gradient(quantizers.DorefaWeights(3), w)
    x = w.clone().requires_grad_()
    (torch.tanh(x) / torch.tanh(x).abs().max()).sum().backward()
    assert torch.allclose(grad, x.grad)


def test_duq_weights(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.DuqWeights(4)
    module(w)
    q, unit = module.integers(w)
    clip = math.log1p(math.exp(module.a.item()))
    assert np.array_equal(q.numpy(), learned.duq_codes(w.numpy(), 4, clip, signed=True))
    assert q.abs().max() == 7


def test_log_weights_are_goldens(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.LogQuantWeights(4)
    q, unit = module.integers(w)
    scales = weight_scales(w.numpy(), LogWeights(4), "mse")
    assert np.array_equal(unit.numpy(), scales)
    assert np.array_equal(q.numpy(), quantize_weights(w.numpy(), scales, LogWeights(4)))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_half_octave_weights(rng: np.random.Generator, bits: int) -> None:
    """Both signs of powers of the square root of 2, in integers of 7 bits; every weight has the nearest."""
    w, module = filters(rng), quantizers.LogQuantWeights(bits, steps=2)
    q, unit = module.integers(w)
    sizes = [math.floor(63 / 2 ** (n / 2) + 0.5) for n in range((1 << (bits - 1)) - 1)]
    assert sorted({*sizes, 0, *(-size for size in sizes)}) == module.format().values.tolist()
    x = w.double() / unit.reshape(-1, 1, 1, 1)
    nearest = (x[..., None] - torch.tensor(module.format().values)).abs().amin(dim=-1)
    assert torch.equal((x - q).abs(), nearest) and len(q.unique()) == len(module.format().values)


@pytest.mark.parametrize(("bits", "levels"), [(2, 3), (2, 4), (3, 7), (3, 8)])
def test_weighted_entropy_is_goldens(rng: np.random.Generator, bits: int, levels: int) -> None:
    w, module = filters(rng), quantizers.WeightedEntropyWeights(bits, levels=levels)
    module(w)
    q, unit = module.integers(w)
    wanted, form, scale = weq_weights(w.numpy(), bits, 7, levels)
    assert module.format() == form and unit[0].item() == scale
    assert np.array_equal(q.numpy(), wanted)
    assert (q == 0).any() == (levels % 2 == 1), "an even number of levels has no zero"
    assert codebook_error([v * scale for v in form.table[: len(set(form.table))]], form) < 0.02


def test_weighted_entropy_codebook_is_sought_again(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.WeightedEntropyWeights(2, every=2)
    module(w)
    first = module.unit.item()
    module(3 * w)
    assert module.unit.item() == pytest.approx(3 * first)
    module.eval()
    module(w)
    assert module.unit.item() == pytest.approx(3 * first), "not in evaluation"
    module.set_bits(3)
    module(w)
    assert module.format().bits == 3 and module.unit.item() == pytest.approx(first, rel=0.5)


def test_ternary_and_binary_weights(rng: np.random.Generator) -> None:
    w = filters(rng)
    q, unit = quantizers.TernaryWeights().integers(w)
    size = w.abs().reshape(len(w), -1)
    kept = size > 0.7 * size.mean(dim=1, keepdim=True)
    assert torch.equal(q.reshape(len(w), -1) != 0, kept)
    assert torch.allclose(unit, (size * kept).sum(dim=1) / kept.sum(dim=1))
    wanted, scale = learned.ternary_weights(w.numpy())
    assert np.array_equal(q.numpy(), wanted) and np.array_equal(unit.numpy(), scale)
    q, unit = quantizers.XnorWeights().integers(w)
    assert torch.equal(q, torch.where(w >= 0, 1, -1)) and torch.allclose(unit, size.mean(dim=1))
    assert quantizers.BnnWeights().integers(w)[1].tolist() == [1] * len(w)
    assert learned.ternary_weights(np.zeros((2, 3)))[1].tolist() == [1, 1]


def test_xnor_gradient_is_the_papers() -> None:
    """dC/dw = dC/dw^ (1/n + alpha [|w| <= 1])."""
    w = torch.tensor([[0.5, -0.25, 2.0, -0.75]])
    alpha = 3.5 / 4
    module = quantizers.XnorWeights()
    assert module(w).tolist() == [[alpha, -alpha, alpha, -alpha]]
    grad, _ = gradient(module, w)
    assert grad.tolist() == [[0.25 + alpha, 0.25 + alpha, 0.25, 0.25 + alpha]]
    grad, _ = gradient(quantizers.BnnWeights(), w)
    assert grad.tolist() == [[1, 1, 0, 1]]


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("engine", ["", "up5k"])
def test_outliers_are_goldens(rng: np.random.Generator, engine: str, bits: int) -> None:
    """4 x 16 weights a row on up5k, one slot each; 16 input channels need no padding, so rows are runs of 16."""
    w = torch.from_numpy(rng.standard_t(3, (16, 16, 3, 3)))
    module = quantizers.OutlierWeightQuantizer(bits, ratio=0.03, engine=engine)
    form = module.format()
    assert form.dense == (WeightFormat(WeightSet.DIGIT4, 4) if bits == 4 else LinearWeights(3, narrow=True))
    scales = outlier_scales(w.numpy(), form, 0.03, "min_max")
    steps = w.numpy() / scales.reshape(-1, 1, 1, 1)
    rows = weight_rows((16, 3, 3, 16), 4, 16)
    q, unit = module.integers(w)
    assert np.array_equal(unit.numpy(), scales)
    if engine:
        last = q.numpy().transpose(0, 2, 3, 1)
        assert np.array_equal(last, fixed_capacity(steps.transpose(0, 2, 3, 1), form, 1, rows))
        wide = form.split(last)[1] != 0
        assert max(np.bincount(rows[wide])) == 1
    else:
        assert np.array_equal(q.numpy(), unstructured(steps, form, 0.03))
        wide = form.split(q.numpy())[1] != 0
        assert 0 < wide.sum() <= 0.03 * w.numel()


def test_depthwise_filters_have_no_slots(rng: np.random.Generator) -> None:
    module = quantizers.OutlierWeightQuantizer(4, engine="up5k")
    q, _ = module.integers(torch.from_numpy(rng.standard_t(3, (16, 1, 3, 3))))
    assert not module.format().split(q.numpy())[1].any()


@pytest.mark.parametrize("name", sorted(set(quantizers.WEIGHTS) - {"float"}))
def test_weights_are_integers_times_units(rng: np.random.Generator, name: str) -> None:
    w, module = filters(rng), quantizers.WEIGHTS[name](2)
    real = module(w).detach()
    q, unit = module.integers(w)
    assert q.dtype == torch.int64 and unit.shape == (len(w),) and (unit > 0).all()
    assert torch.allclose(real, q * unit.reshape(-1, 1, 1, 1), atol=1e-12)
    assert np.isin(q.numpy(), module.format().values).all()


@pytest.mark.parametrize("name", ["min_max", "log", "weq", "ternary", "outliers"])
def test_gradients_of_weights_pass(rng: np.random.Generator, name: str) -> None:
    grad, _ = gradient(quantizers.WEIGHTS[name](2), filters(rng))
    assert (grad == 1).all()


# Refusals


@pytest.mark.parametrize(("make", "message"), [
    (lambda: quantizers.LogQuantActivation(4, steps=3), "steps per octave must be 1 or 2, not 3"),
    (lambda: quantizers.LogQuantWeights(4, steps=4), "steps per octave must be 1 or 2, not 4"),
    (lambda: quantizers.FittedActivation(3), "has 4 bits, not 3"),
    (lambda: quantizers.OutlierWeightQuantizer(4, ratio=1.5), r"must be in 0\.\.1, not 1\.5"),
    (lambda: quantizers.OutlierWeightQuantizer(4, engine="hx8k"), "must be a preset with slots for them, not 'hx8k'"),
    (lambda: quantizers.MinMaxWeights(3, grid="digit").format(), "must be narrow, full, lanes or, of 4 and 8, digit"),
    (lambda: quantizers.FittedActivation().set_bits(3), "must stay 4, not become 3"),
])
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_floats_stay(rng: np.random.Generator) -> None:
    x = samples(rng)
    assert torch.equal(quantizers.FloatActivation()(x), torch.relu(x))
    assert torch.equal(quantizers.FloatActivation(signed=True)(x), x)
    assert torch.equal(quantizers.FloatWeights()(x), x)


def test_formats_of_goldens() -> None:
    """The half-octave table that recipes use is the compiler's."""
    module = quantizers.LogQuantActivation(4, steps=2, largest=31)
    form = dataclasses.replace(module.format(), scale=1.0)
    assert form == TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 31))
    assert quantizers.DorefaActivation(4).format() == linear(4, 1 / 15)


@pytest.mark.parametrize(("make", "parameters"), [
    (lambda: quantizers.PactActivation(4), ["alpha"]), (lambda: quantizers.DuqActivation(4), ["a", "c"]),
    (lambda: quantizers.DuqActivation(4, signed=True), ["a", "c"]), (lambda: quantizers.LsqActivation(4), ["size"]),
])
def test_ranges_never_turn(rng: np.random.Generator, make: Any, parameters: list[str]) -> None:
    """A step of training too far leaves a small range, no negative one and none of no size."""
    module, x = make(), samples(rng)
    module(x)
    with torch.no_grad():
        for name in parameters:
            getattr(module, name).fill_(-300.0)
            assert math.isfinite(module.extent(getattr(module, name)))
    assert module.format().scale > 0 and module(x).isfinite().all()
    borders = [border for border in module.borders() if border > base.ALWAYS]
    assert borders == sorted(set(borders))


def test_duq_weights_never_turn(rng: np.random.Generator) -> None:
    w, module = filters(rng), quantizers.DuqWeights(4)
    module(w)
    with torch.no_grad():
        module.a.fill_(-300.0)
        module.c.fill_(-300.0)
    q, unit = module.integers(w)
    assert (unit > 0).all() and q.abs().max() == 7
