# amaranth: UnusedElaboratable=no
"""Shifter and requantizer of an engine with `highway`: another offset for every product, added before the clamp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Mux, Signal
from amaranth.hdl import signed as signed_shape
from formal import Proof
from hw_bench import pack, signed, simulate, small_config, unpack
from hw_cells import assert_twins, played

from subbyte.golden.requant import requantize
from subbyte.hw.requantizer import Requantizer
from subbyte.hw.shifter import OFFSET_BITS, DspShifter, Shifter
from subbyte.spec.formats import linear
from subbyte.spec.network import Requantize
from subbyte.spec.program import pack_fields
from subbyte.spec.requant_fields import PLAIN_PARAMS

TOP = 1 << 27
LOWEST, HIGHEST = -255, 510
RUNS = [pytest.param(lut, relu, id=f"lut{lut}relu{relu}") for lut, relu in ((0, 0), (0, 1), (1, 0))]


def pairs(rng: np.random.Generator, lut: int, relu: int) -> list[dict[str, int]]:
    """For every shift: both ends, powers of two, and both sides of where the sum leaves the codes, with all offsets
    at the ends and some between."""
    inputs = []
    for shift in range(32):
        for offset in (LOWEST, -1, 0, 1, 255, 256, HIGHEST, *rng.integers(LOWEST, HIGHEST, 3).tolist()):
            powers = [sign << power for sign in (-1, 1) for power in rng.integers(0, 27, 3).tolist()]
            products = [-TOP, TOP - 1, 0, -1, *powers]
            for code in (-1, 0, 1, 254, 255, 256, int(rng.integers(256))):
                edge = (code - offset) << (shift + 1)
                products += [edge + d for d in (-1, 0, 1, (1 << shift) - 1, 1 << shift, -(1 << shift))]
            inputs += [
                {"product": product, "shift": shift, "lut": lut, "relu": relu, "zero_point": 0 if lut else offset}
                for product in products if -TOP <= product < TOP
            ]
    return [inputs[i] for i in rng.permutation(len(inputs))[:8000]]


def staggered(inputs: list[dict[str, int]]) -> list[dict[str, int]]:
    """The offset of a product comes a cycle after it."""
    before = [inputs[0], *inputs]
    return [{**now, "zero_point": last["zero_point"]} for now, last in zip([*inputs, inputs[0]], before, strict=True)]


def expected(values: dict[str, int], lut_bits: int) -> int:
    """docs/engine.md, with the offset for the zero point."""
    t = values["product"] >> values["shift"]
    if values["lut"]:
        return min(max(t, 0), (1 << lut_bits) - 1)
    return min(max(((max(t, 0) if values["relu"] else t) + 1 >> 1) + values["zero_point"], 0), 255)


@pytest.mark.parametrize("lut_bits", [6, 8, 10])
@pytest.mark.parametrize(("lut", "relu"), RUNS)
def test_shifter(lut: int, relu: int, lut_bits: int, rng: np.random.Generator) -> None:
    inputs = pairs(rng, lut, relu)
    mask = (1 << lut_bits if lut else 256) - 1
    played_in = [*staggered(inputs), *[inputs[0]] * (Shifter.LATENCY - 1)]
    seen = played(Shifter(lut_bits, highway=True), played_in, ["result"])[Shifter.LATENCY :]
    for values, result in zip(inputs, seen, strict=True):
        assert result["result"] & mask == expected(values, lut_bits), values


@pytest.mark.cocotb
@pytest.mark.parametrize(("lut_bits", "lut", "relu"), [(8, 0, 0), (8, 0, 1), (9, 1, 0)])
def test_shifter_twins(lut_bits: int, lut: int, relu: int, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [
        {**values, "product": values["product"] % (1 << 28), "zero_point": values["zero_point"] % (1 << OFFSET_BITS)}
        for values in staggered(pairs(rng, lut, relu))
    ]
    generic, cells = Shifter(lut_bits, highway=True), DspShifter(lut_bits, highway=True)
    assert_twins(generic, cells, inputs, ["result"], tmp_path, Shifter.LATENCY)


@pytest.mark.parametrize("relu", [0, 1])
def test_proof(relu: int, tmp_path: Path) -> None:
    """For ever, all products, shifts and offsets."""
    proof = Proof()
    dut = proof.unit(Shifter(8, highway=True), lut=0, relu=relu)
    offset = dut.zero_point
    proof.assume((offset >= LOWEST) & (offset <= HIGHEST))
    t, code = Signal(signed_shape(28)), Signal(signed_shape(29))
    exact = Signal.like(dut.product)
    proof.m.d.comb += [exact.eq(dut.product >> dut.shift), t.eq(Mux(relu & exact[-1], 0, exact))]
    proof.m.d.comb += code.eq(proof.past((t + 1) >> 1) + offset)
    defined = Signal(8)
    proof.m.d.comb += defined.eq(Mux(code < 0, 0, Mux(code > 255, 255, code)))
    settled = proof.past(1, Shifter.LATENCY)
    proof.always(~settled | (dut.result == proof.past(defined, Shifter.LATENCY - 1)))
    proof.check(tmp_path, Shifter.LATENCY + 1, for_ever=True)


@pytest.mark.parametrize(("p", "r"), [(1, 1), (4, 4)])
def test_requantizer(p: int, r: int, rng: np.random.Generator) -> None:
    """Offsets `OFFSET_DELAY` cycles after their accumulators: the codes of the golden model, both ends reached."""
    config = small_config(p=p, r=r, m=4, highway=True)
    dut = Requantizer(config)
    target = linear(8)
    multiplier, shift = rng.integers(1 << 15, 1 << 16, config.param_entries), rng.integers(26, 34, config.param_entries)
    channels = rng.integers(0, config.param_entries, 600)
    accs = rng.integers(-TOP, TOP, (600, r)) >> rng.integers(0, 12, (600, 1))
    offsets = rng.integers(LOWEST, HIGHEST + 1, (600, r))
    layer = Requantize("layer", "acc", "codes", multiplier[channels, None], shift[channels, None], skip="skip")
    codes = requantize(layer, target, accs, offsets)
    assert {0, 255} <= set(codes.reshape(-1).tolist())

    async def bench(ctx: Any) -> None:
        ctx.set(dut.params.enable, 1)
        for entry in range(config.param_entries):
            fields = {"bias": 0, "fraction": int(multiplier[entry]) - (1 << 15), "shift": int(shift[entry]) - 17}
            for column in range(3):
                ctx.set(dut.params.address, 4 * entry + column)
                ctx.set(dut.params.data, (pack_fields(PLAIN_PARAMS.fields, fields) >> 16 * column) & 0xFFFF)
                await ctx.tick()
        ctx.set(dut.params.enable, 0)
        for now in range(len(channels) + dut.latency):
            if now < len(channels):
                ctx.set(dut.param, int(channels[now]))
                ctx.set(dut.accs, pack(accs[now], 28))
            if 0 <= now - Requantizer.OFFSET_DELAY < len(channels):
                ctx.set(dut.offsets, pack(offsets[now - Requantizer.OFFSET_DELAY], OFFSET_BITS))
            if now >= dut.latency:
                assert unpack(ctx.get(dut.codes), 8, r) == codes[now - dut.latency].tolist()
            await ctx.tick()

    simulate(dut, bench)
    assert signed(LOWEST, OFFSET_BITS) == LOWEST and signed(HIGHEST, OFFSET_BITS) == HIGHEST
