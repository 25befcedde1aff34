"""Cycles of a depthwise convolution: 3 x 3, 64 channels, 25 x 5 pixels, 4-bit codes and weights, 8,000 results.

On the shapes of the presets, with the option `depthwise` where the engine can have it, without it as well. A later
inference, weights resident where they fit. Exit status 1 when RTL, machine and reference differ, a bar is missed or,
with the option, the cost model is 3 % off. `ecp5-25` has a bar, but not yet the option: it misses it.
"""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
from measure import CONSOLE, options, show

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import accumulator, linear
from subbyte.spec.network import Conv2d, Network, Requantize, Tensor
from subbyte.spec.weights import WeightFormat

SHAPE = (25, 5, 64)
MACS = 9 * 25 * 5 * 64
BARS = {"up5k": 9000, "ecp5-25": 3000}
LEAST_WORDS = 4096
"""Main memory that the layer asks for, which some presets lack."""
TOLERANCE = 0.03
COLUMNS = ("engine", "depthwise", "equal", "cold", "cycles", "bar", "predicted", "ratio", "utilisation", "met")


def network(engine: EngineConfig) -> Network:
    """The layer with random weights."""
    rng = np.random.default_rng(1)
    channels, form = SHAPE[2], WeightFormat(engine.weight_set, 4)
    weight = rng.integers(form.low, form.high + 1, (channels, 3, 3, 1))
    conv = Conv2d(
        "conv", "x", "acc", weight, rng.integers(-100, 101, channels), form, padding=(1, 1, 1, 1), groups=channels
    )
    requantize = Requantize("requantize", "acc", "y", np.full(channels, 1 << 15), np.full(channels, 20))
    tensors = (Tensor("x", SHAPE, linear(4)), Tensor("acc", SHAPE, accumulator()), Tensor("y", SHAPE, linear(4)))
    return Network("depthwise", {tensor.name: tensor for tensor in tensors}, (conv, requantize), "x", "y")


def measure(name: str, depthwise: bool) -> dict[str, object]:
    """One row of the table."""
    engine = dataclasses.replace(PRESETS[name], depthwise=depthwise)
    layer = network(engine)
    program = schedule(layer, engine)
    codes = np.repeat(np.random.default_rng(2).integers(0, 16, (1, *SHAPE)), 2, axis=0)
    expected = reference.run(layer, codes, taps=True)
    with CONSOLE.step(f"{name} {'with' if depthwise else 'without'} the option") as progress:
        got = simulate(program, codes, progress=progress)
    levels = (Machine(program).run(codes, taps=True), got.taps)
    equal = all(first_difference(program, expected, taps) is None for taps in levels)
    cycles, predicted = got.cycles[-1], estimate(program).cycles
    ratio = predicted / cycles
    # That of the engine's best form, which without the option is today's gateware.
    bar = BARS.get(name) if depthwise or not has_option(engine) else None
    return {
        "engine": name, "depthwise": depthwise, "equal": equal, "cold": got.cycles[0], "cycles": cycles, "bar": bar,
        "predicted": predicted, "ratio": ratio, "utilisation": MACS / (engine.lanes * cycles),
        "met": equal and (not depthwise or abs(ratio - 1) <= TOLERANCE) and (bar is None or cycles <= bar),
    }


def has_option(engine: EngineConfig) -> bool:
    """True when line passes can be had with this shape."""
    return engine.p == 1 and engine.lane is not Lane.XNOR


def main() -> int:
    arguments = options(__doc__).parse_args()
    rows = [
        measure(name, depthwise)
        for name, preset in PRESETS.items() for depthwise in (False, True)
        if preset.memory_words >= LEAST_WORDS and (not depthwise or has_option(preset))
    ]
    show(rows, COLUMNS, arguments.json)
    return int(not all(row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
