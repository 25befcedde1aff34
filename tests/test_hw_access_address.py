# amaranth: UnusedElaboratable=no
"""Address that main memory sees: of the unit that has the cycle, in both of its forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from hw_cells import played

from subbyte.hw.access_address import connect_address
from subbyte.hw.ports import ReadPort
from subbyte.spec.engine import PRESETS, Family

WORDS = PRESETS["hx8k"]


class Chooser(wiring.Component):
    """`connect_address` for `count` units that book, and a register behind because the benches need a clock."""

    def __init__(self, family: Family, count: int) -> None:
        self._family = family
        self._count = count
        width = (WORDS.memory_words - 1).bit_length()
        super().__init__({
            "free": In(1), "request": In(1), "gather": In(width), "pump": In(width),
            **{f"own{i}": In(1) for i in range(count)}, **{f"address{i}": In(width) for i in range(count)},
            "chosen": Out(width),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gather, pump = (ReadPort(WORDS).create(path=(name,)) for name in ("gather_port", "pump_port"))
        m.d.comb += [
            gather.request.eq(self.request), gather.address.eq(self.gather), pump.address.eq(self.pump),
            gather.grant.eq(self.request & self.free),
        ]
        booked = [(getattr(self, f"own{i}"), getattr(self, f"address{i}")) for i in range(self._count)]
        connect_address(m, self._family, "sync", self.chosen, self.free, gather, pump, booked)
        return m


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("family", [Family.ICE40, Family.ICE40_HX], ids=lambda family: family.value)
def test_address(family: Family, count: int, rng: np.random.Generator) -> None:
    """One of the units has the cycle, or it is free: then it is the gather unit's if that asks, else the pump's."""
    inputs, expected = [], []
    for owner, request in [*product(range(count + 1), (0, 1))] * 8:
        values = {name: int(rng.integers(WORDS.memory_words)) for name in ("gather", "pump")}
        values |= {f"address{i}": int(rng.integers(WORDS.memory_words)) for i in range(count)}
        free = owner == count
        expected.append(values[("gather" if request else "pump") if free else f"address{owner}"])
        inputs.append(values | {"free": free, "request": request} | {f"own{i}": i == owner for i in range(count)})
    seen = played(Chooser(family, count), [*inputs, inputs[0]], ["chosen"])[1:]
    assert [values["chosen"] for values in seen] == expected
