"""Quantized back-propagation: packed for real, and gradients as good as its numbers."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from typing import Any

import pytest

torch = pytest.importorskip("torch")
packing = import_module("subbyte.train.value_aware")
nets = import_module("train_networks")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_bits_are_packed_and_come_back(bits: int, count: int) -> None:
    codes = torch.randint(0, 1 << bits, (count,), dtype=torch.uint8)
    packed = packing.pack_bits(codes, bits)
    assert packed.numel() == -(-count // 8) * bits
    assert torch.equal(packing.unpack_bits(packed, bits, count), codes)


def test_packing_by_hand() -> None:
    """Codes 1..7, 0 in three bits each, code 0 lowest: 0b000_111_110_101_100_011_010_001."""
    packed = packing.pack_bits(torch.tensor([1, 2, 3, 4, 5, 6, 7, 0], dtype=torch.uint8), 3)
    assert packed.tolist() == list(0b000111110101100011010001.to_bytes(3, "little"))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("two_zeros", [False, True])
def test_numbers_are_as_near_as_the_step(positive: bool, two_zeros: bool) -> None:
    x = torch.randn(40, 50) * (1 + 9 * (torch.rand(40, 50) < 0.01))
    x = torch.relu(x) if positive else x
    found = packing.value_aware(x, 3, 0.02, two_zeros)
    back = found.restored()
    assert found.places.numel() == 40 and found.two_zeros == (positive and two_zeros)
    error = (back - x).abs().flatten()
    outliers = found.places.long()
    assert (error[outliers] <= 1e-3 * x.abs().flatten()[outliers]).all(), "16 bits"
    assert error.max() <= found.step * 0.501
    assert x.abs().flatten()[outliers].min() >= x.abs().flatten().topk(40).values.min()
    levels = 6 if found.two_zeros else 7 if positive else 3
    rest = x.abs().flatten().clone()
    rest[outliers] = 0
    assert found.step == pytest.approx(rest.max().item() / levels)


def test_two_zeros_keep_the_mask() -> None:
    """Was zero, or positive and rounds to zero: one code each."""
    x = torch.relu(torch.randn(64, 64))
    kept, lost = (packing.value_aware(x, 3, 0.02, two).restored() for two in (True, False))
    assert torch.equal(kept > 0, x > 0)
    assert not torch.equal(lost > 0, x > 0)


def test_large_outliers_keep_32_bits() -> None:
    x = torch.randn(1000)
    x[5] = 1e6
    found = packing.value_aware(x, 3, 0.002)
    assert found.large.dtype == torch.float32 and found.restored()[5] == 1e6
    assert packing.value_aware(x / 1e6, 3, 0.002).large.dtype == torch.float16


def test_zeros_and_no_outliers() -> None:
    found = packing.value_aware(torch.zeros(300), 3, 0.0)
    assert found.places.numel() == 0 and torch.equal(found.restored(), torch.zeros(300))


def gradients(model: Any, x: Any, context: Any = None) -> list[Any]:
    model.zero_grad()
    if context is None:
        loss = model(x).square().mean()
    else:
        with context:
            loss = model(x).square().mean()
    loss.backward()
    return [p.grad.clone() for p in model.parameters()]


def float_network() -> Any:
    return nets.NETWORKS["cnn"](nets.FLOAT, nets.SHAPE, nets.CLASSES, 1 / 255, 8).train()


def test_all_outliers_are_exact_gradients() -> None:
    """With a ratio of 1 nothing is lost but what 16 bits lose; on any model, here one of torch's own layers."""
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(800, 4),
    )
    x = torch.rand(16, 1, 12, 12)
    exact = gradients(model, x)
    found = gradients(model, x, packing.QuantizedBackward(model, 3, 1.0))
    for a, b in zip(exact, found, strict=True):
        assert (a - b).norm() < 5e-3 * a.norm()


def test_weights_of_linear_layers_stay() -> None:
    """Autograd keeps them turned; gradients of the input depend on nothing else here."""
    model, x = torch.nn.Linear(300, 10), torch.rand(40, 300, requires_grad=True)
    with packing.QuantizedBackward(model, 3, 0.02):
        total = model(x).sum()
    total.backward()
    assert torch.allclose(x.grad, model.weight.detach().sum(dim=0).expand(40, 300), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("two_zeros", [False, True])
def test_gradients_point_where_exact_ones_do(two_zeros: bool) -> None:
    model, x = float_network(), nets.images(64)
    exact = gradients(model, x)
    context = packing.QuantizedBackward(model, 3, 0.02, two_zeros)
    found = gradients(model, x, context)
    flat = [torch.cat([g.flatten() for g in parts]) for parts in (exact, found)]
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.97
    assert not torch.equal(*flat), "something was lost"


def test_the_forward_pass_is_exact() -> None:
    model, x = float_network(), nets.images(32)
    plain = model(x)
    with packing.QuantizedBackward(model):
        assert torch.equal(model(x), plain)


def test_bytes_are_counted_and_six_times_fewer() -> None:
    """Each saved tensor once: the output of a ReLU that the next convolution saves again is one."""
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 4, 3, padding=1),
    )
    x, context = torch.rand(8, 1, 16, 16), packing.QuantizedBackward(model, 3, 0.02)
    gradients(model, x, context)
    numbers = [x.numel(), 8 * 16 * 256, 8 * 16 * 256, 8 * 4 * 256]  # the last one for the loss
    weights = sum(4 * p.numel() for p in model.parameters() if p.dim() > 1)
    assert context.full_bytes == 4 * sum(numbers) + weights
    packed = sum(-(-n // 8) * 3 + 6 * int(0.02 * n) + 4 for n in numbers)
    assert context.kept_bytes == packed + weights
    assert 4 * sum(numbers) / packed > 6


def test_refusals() -> None:
    for bits, ratio in ((1, 0.02), (9, 0.02), (3, 1.5)):
        with pytest.raises(ValueError, match=r"must have 2\.\.8 bits and a ratio of 0\.\.1"):
            packing.QuantizedBackward(torch.nn.Linear(2, 2), bits, ratio)


def test_a_turned_square_is_another_tensor() -> None:
    """y and y.t() have the same place and shape; each is packed as what it is."""
    torch.manual_seed(0)
    gradients = []
    x = torch.randn(32, 32)
    for packed in (False, True):
        given = x.clone().requires_grad_()
        y = given * 1.0
        with packing.QuantizedBackward(torch.nn.Linear(1, 1), 8, 0.02) if packed else nullcontext():
            gram = y @ y.t()
        (gram * x).sum().backward()
        gradients.append(given.grad)
    assert (gradients[0] - gradients[1]).norm() < 0.02 * gradients[0].norm()


def test_a_tensor_that_changed_in_between_is_packed_again() -> None:
    """Saved, written over, saved: the second has the new numbers."""
    x, kept = torch.rand(400), []
    packer = packing.QuantizedBackward(torch.nn.Linear(1, 1), 8, 0.0)
    kept.append(packer._pack(x))
    x.mul_(3.0)
    kept += [packer._pack(x), packer._pack(x)]
    assert kept[1] is kept[2] and (kept[1].restored() - x).abs().max() < 0.02
    assert (kept[0].restored() - x / 3).abs().max() < 0.01
