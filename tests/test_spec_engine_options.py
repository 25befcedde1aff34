"""What engines have, what they refuse, what their lanes multiply in one step."""

from __future__ import annotations

import dataclasses

import pytest

from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Lane
from subbyte.spec.engine_options import OPTIONS, formats, options, refusals


def test_options_are_the_fields_that_are_off() -> None:
    assert {"depthwise", "highway", "outlier_slots"} <= set(OPTIONS)
    assert not {"k", "p", "name", "operand_bits"} & set(OPTIONS)


def test_the_default_of_up5k_has_all_and_no_room_left() -> None:
    """Depthwise, highway, an outlier slot, parameters in main memory; everything else, operands of 6 bits too, takes a
    block RAM too much, or is no option beside the slot."""
    up5k = PRESETS["up5k"]
    assert options(up5k) == {"depthwise": True, "highway": True, "outlier_slots": 1, "param_stream": True}
    assert refusals(up5k) == {
        "two_phase": "Engine two_phase must be off with digit lanes",
        **dict.fromkeys(("exact_rounding", "wide_tables"), "Engine up5k needs 31 EBR, ice40 has 30"),
        "weight_tables": "Engine weight_tables needs outlier_slots = 0, not 1",
    }
    plain = refusals(PRESETS["up5k-plain"])
    assert plain.keys() == {"outlier_slots", "two_phase", "exact_rounding", "wide_tables"}
    assert plain["outlier_slots"] == "Engine up5k-plain needs 31 EBR, ice40 has 30"
    with pytest.raises(EngineError, match=r"^Engine up5k needs 31 EBR, ice40 has 30$"):
        dataclasses.replace(up5k, operand_bits=6)


@pytest.mark.parametrize("engine", PRESETS.values(), ids=PRESETS)
def test_an_option_is_there_refused_or_possible(engine: EngineConfig) -> None:
    has, refused = options(engine), refusals(engine)
    assert not has.keys() & refused.keys()
    for name in set(OPTIONS) - has.keys() - refused.keys():
        assert getattr(dataclasses.replace(engine, **{name: type(getattr(engine, name))(1)}), name)


def test_binary_lanes_refuse_every_option_but_those_of_requantizer_and_pump() -> None:
    refused = refusals(PRESETS["up5k-binary"])
    assert all(text.endswith("must be off with xnor lanes") for text in refused.values())
    assert set(OPTIONS) - refused.keys() == {"exact_rounding", "wide_tables", "param_stream", "weight_tables"}


@pytest.mark.parametrize("engine", PRESETS.values(), ids=PRESETS)
def test_formats_name_the_largest_operand(engine: EngineConfig) -> None:
    assert f"up to {engine.largest_operand} " in formats(engine)["one"]


@pytest.mark.parametrize("lane, one, several", [
    (Lane.SHIFT, "base-2 codes up to 128 x weights -8..7", "-136..119: two rows"),
    (Lane.LOG, "base-2 codes up to 128 x powers of two to -64..64", "-255..255: a row for each power of two in one"),
])
def test_formats_of_lanes_with_exponents(lane: Lane, one: str, several: str) -> None:
    made = formats(dataclasses.replace(PRESETS["up5k-shift"], lane=lane))
    assert made["one"] == one and made["several"].endswith(several)
