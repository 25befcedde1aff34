"""Random small engines of every lane kind and family, with any of the options that they can have together."""

from __future__ import annotations

import numpy as np

from subbyte.spec.engine import DEVICES, LACKING, PACKED_CODES, EngineConfig, EngineError, Family, Lane

MOST_DRAWS = 500
MOST_LANES = 256
"""Of an engine, so that its Verilog is simulated soon."""

OPTIONS = (
    "depthwise", "highway", "outlier_slots", "two_phase", "exact_rounding", "wide_tables", "param_stream",
    "weight_tables",
)
"""All that there is gateware of; outlier slots are a number, the others on or off."""


def any_engine(rng: np.random.Generator, lane: Lane) -> EngineConfig:
    """An engine with lanes of one kind that its family can hold: sizes, options and outlier slots are drawn.

    Without `activation_records`, of which there is no gateware: `record_networks` draws engines with them.
    """
    family = rng.choice(np.array(list(Family)))
    for _ in range(MOST_DRAWS):
        try:
            engine = _draw(rng, family, lane)
        except EngineError:
            continue
        if engine.lanes <= MOST_LANES:
            return engine
    raise AssertionError(f"no engine of family {family.value} with {lane.value} lanes fits in {MOST_DRAWS} draws")


def options_of(engine: EngineConfig) -> list[str]:
    """Names of the options that an engine has."""
    return [option for option in OPTIONS if getattr(engine, option)]


def _draw(rng: np.random.Generator, family: Family, lane: Lane) -> EngineConfig:
    """EngineError where what was drawn does not go together."""

    def power(low: int, high: int) -> int:
        """2**low .. 2**high."""
        return 1 << int(rng.integers(low, high + 1))

    k, m, p = power(2, 6), PACKED_CODES if lane is Lane.XNOR else power(0, 3), power(0, 3)
    possible = [option for option in OPTIONS if option not in LACKING.get(lane, ())]
    options: dict[str, int] = {option: True for option in possible if rng.random() < 0.45}
    if "outlier_slots" in options:
        options |= {"outlier_slots": power(0, 2), "weight_tables": False}  # no engine has both
    largest_memory = 11 if family is Family.ICE40_HX else 13  # of EBR, which the rest needs too
    return EngineConfig(
        "drawn",
        family,
        lane,
        k=k,
        m=m,
        p=p,
        r=power(0, min(m, p).bit_length() - 1),
        operand_bits=int(rng.choice({Lane.DIGIT: (4, 5, 6, 8), Lane.XNOR: (4,)}.get(lane, (3, 4)))),
        fill_nibbles=min(k, power(2, 4)),
        memory_words=3 * 4096 if family.registered and rng.random() < 0.3 else power(8, largest_memory),
        ring_rows=power(5, 8),
        tile_words=power(6, 9),
        param_entries=power(5, 7),
        table_slots=power(3, 5),
        lut_slots=power(1, 3),
        lut_bits=int(rng.integers(6, 11)),
        device=str(rng.choice(list(DEVICES[family]))),
        **options,  # type: ignore[arg-type]
    )
