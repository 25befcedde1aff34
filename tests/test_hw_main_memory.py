# amaranth: UnusedElaboratable=no
"""Main memory: nibbles stay where they were written, in block RAM and in SPRAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment
from hw_bench import small_config
from hw_cells import assert_twins, played

from subbyte.hw.main_memory import MainMemory, SpramMemory, TwoPortMemory, main_memory
from subbyte.spec.engine import Family

WORDS = 256
FULL = (1 << 64) - 1


def accesses(rng: np.random.Generator) -> list[dict[str, int]]:
    """Every word written whole; then reads and writes of any nibbles, crowded at both ends. A read follows a write."""
    inputs = [
        {"address": address, "write": 1, "mask": 0xFFFF, "write_data": int(rng.integers(0, FULL, dtype=np.uint64))}
        for address in rng.permutation(WORDS).tolist()
    ]
    near = [0, 1, 2, WORDS // 2 - 1, WORDS // 2, WORDS - 2, WORDS - 1]
    for _ in range(1500):
        address = int(rng.choice(near) if rng.random() < 0.7 else rng.integers(WORDS))
        data, mask = int(rng.integers(0, FULL, dtype=np.uint64)), int(rng.integers(0, 1 << 16))
        for write in (int(rng.random() < 0.7), 0):
            inputs.append({"address": address, "write": write, "mask": mask, "write_data": data})
    inputs += [{"address": address, "write": 0, "mask": 0xFFFF, "write_data": 0} for address in range(WORDS)]
    return inputs


def test_main_memory(rng: np.random.Generator) -> None:
    """`read_data` is the word in the cycle after a read."""
    inputs = accesses(rng)
    words = [0] * WORDS
    expected: int | None = None
    for values, seen in zip(inputs, played(MainMemory(WORDS), inputs, ["read_data"]), strict=True):
        assert expected is None or seen["read_data"] == expected
        bits = sum(15 << 4 * nibble for nibble in range(16) if values["mask"] >> nibble & 1)
        old = words[values["address"]]
        expected = None if values["write"] else old
        if values["write"]:
            words[values["address"]] = old & ~bits | values["write_data"] & bits


def test_two_ports(rng: np.random.Generator) -> None:
    """A read and a write in every cycle; what is read of the word that is written is undefined."""
    words = [0] * WORDS
    inputs = [values | {"write_address": values["address"]} for values in accesses(rng)]
    for values in inputs[WORDS:-WORDS]:
        values["address"] = int(rng.integers(WORDS))
    expected: int | None = None
    for values, seen in zip(inputs, played(TwoPortMemory(WORDS), inputs, ["read_data"]), strict=True):
        assert expected is None or seen["read_data"] == expected
        collides = values["write"] and values["address"] == values["write_address"]
        expected = None if collides else words[values["address"]]
        if values["write"]:
            bits = sum(15 << 4 * nibble for nibble in range(16) if values["mask"] >> nibble & 1)
            old = words[values["write_address"]]
            words[values["write_address"]] = old & ~bits | values["write_data"] & bits


@pytest.mark.cocotb
def test_main_memory_twins(rng: np.random.Generator, tmp_path: Path) -> None:
    """After a write the output is not defined, so it is compared after reads only."""
    inputs = accesses(rng)
    generic, cells = MainMemory(WORDS), SpramMemory(WORDS)
    assert_twins(generic, cells, inputs, ["read_data"], tmp_path, 1, lambda values: not values["write"])


@pytest.mark.parametrize(("family", "p", "kind"), [
    (Family.ICE40, 1, SpramMemory), (Family.ECP5, 1, MainMemory), (Family.ECP5, 2, TwoPortMemory),
    (Family.ICE40_HX, 2, TwoPortMemory), (Family.ICE40, 2, SpramMemory),
])
def test_choice(family: Family, p: int, kind: type) -> None:
    """Of engines with `depthwise`, which with P > 1 have a port for writes where the memory has two."""
    unit = main_memory(small_config(family=family, p=p, depthwise=True))
    Fragment.get(unit, None)  # so that Amaranth does not count it as forgotten
    assert type(unit) is kind
