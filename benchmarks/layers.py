"""Cycles of single layers of the sizes that small networks are made of, in simulated Verilog, weights resident.

Weights and inputs are seeded random numbers, codes of 4 bits in and out. The utilisation is that of all lanes: useful
multiply-accumulates / (lanes x cycles). Depthwise convolutions run on engines with the option `depthwise`, as `up5k`,
and without it. Exit status 1 when a bar is missed, machine or RTL and reference differ, or the cost model is 3 % off
(5 % for depthwise convolutions without the option).
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np
from measure import CONSOLE, options, run, show

from subbyte.compiler.schedule import schedule
from subbyte.golden.requant import multiplier_shift
from subbyte.spec.engine import EngineConfig, load_engine
from subbyte.spec.formats import accumulator, linear
from subbyte.spec.network import Conv2d, Network, Requantize, Tensor
from subbyte.spec.weights import WeightFormat

COLUMNS = (
    "layer", "engine", "depthwise", "macs", "equal", "cycles", "most", "utilisation", "least", "predicted", "ratio",
    "met", "difference",
)


@dataclass(frozen=True)
class Case:
    """A convolution with padding that keeps height and width, and what it must reach.

    depthwise : the preset is given the option; most : cycles; least : utilisation, None for no bar
    tolerance : of the cost model
    """

    name: str
    engine: str
    shape: tuple[int, int, int]
    out: int
    kernel: tuple[int, int]
    groups: int = 1
    depthwise: bool = False
    most: int | None = None
    least: float | None = None
    tolerance: float = 0.03

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        height, width, channels = self.shape
        return height * width * self.out * self.kernel[0] * self.kernel[1] * channels // self.groups

    def network(self, engine: EngineConfig) -> Network:
        """The layer and its requantizer, weights of 4 bits."""
        rng = np.random.default_rng(1)
        form = WeightFormat(engine.weight_set, 4)
        height, width, channels = self.shape
        weight = rng.integers(form.low, form.high + 1, (self.out, *self.kernel, channels // self.groups))
        multiplier, shift = multiplier_shift(np.full(self.out, 4 / weight[0].size**0.5 / 16))
        tensors = [
            Tensor("input", self.shape, linear(4)), Tensor("acc", (height, width, self.out), accumulator()),
            Tensor("output", (height, width, self.out), linear(4)),
        ]
        before = [(size - 1) // 2 for size in self.kernel]
        after = [size // 2 for size in self.kernel]
        conv = Conv2d(
            "layer", "input", "acc", weight, np.zeros(self.out, dtype=np.int64), form,
            padding=(*before, *after), groups=self.groups,
        )
        layers = (conv, Requantize("codes", "acc", "output", multiplier, shift))
        return Network(self.name, {tensor.name: tensor for tensor in tensors}, layers, "input", "output")


def separable(engine: str, depthwise: bool = False, most: int | None = None) -> Case:
    """3x3 depthwise, 8,000 results."""
    mapped = depthwise or load_engine(engine).depthwise
    return Case(
        "depthwise 3x3 64, 25x5", engine, (25, 5, 64), 64, (3, 3), groups=64, depthwise=depthwise, most=most,
        tolerance=0.03 if mapped else 0.05,
    )


CASES = (
    Case("pointwise 64->64, 25x5", "up5k", (25, 5, 64), 64, (1, 1), least=0.90),
    Case("conv3x3 16->16, 32x32", "up5k", (32, 32, 16), 16, (3, 3), least=0.85),
    Case("pointwise 64->64, 25x5", "ecp5-25", (25, 5, 64), 64, (1, 1)),
    Case("conv3x3 16->16, 32x32", "ecp5-25", (32, 32, 16), 16, (3, 3)),
    separable("up5k-plain"),
    separable("up5k", most=9000),
    separable("up5k-shift"),
    separable("up5k-shift", depthwise=True),
    separable("ecp5-25-plain"),
    separable("ecp5-25", most=3000),
    separable("up5k-binary"),
)


def measure(case: Case) -> dict[str, object]:
    """One row of the table."""
    engine = load_engine(case.engine)
    if case.depthwise:
        engine = dataclasses.replace(engine, depthwise=True)
    network = case.network(engine)
    program = schedule(network, engine)
    codes = np.random.default_rng(2).integers(0, 16, (2, *case.shape))
    with CONSOLE.step(f"{case.name} {case.engine}") as progress:
        result = run(network, program, codes, progress)
    cycles = int(str(result["cycles"]))
    utilisation = case.macs / engine.lanes / cycles
    met = (
        result["equal"] and abs(float(str(result["ratio"])) - 1) <= case.tolerance
        and cycles <= (case.most or cycles) and utilisation >= (case.least or 0)
    )
    row = {
        "layer": case.name, "engine": case.engine, "depthwise": engine.depthwise, "macs": case.macs, "most": case.most,
        "least": case.least,
    }
    return row | result | {"utilisation": utilisation, "met": bool(met)}


def main() -> int:
    arguments = options(__doc__).parse_args()
    rows = [measure(case) for case in CASES]
    show(rows, COLUMNS, arguments.json)
    return int(not all(row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
