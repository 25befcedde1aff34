"""What engines have, what they refuse, what their lanes multiply in one step."""

from __future__ import annotations

import dataclasses

import pytest

from subbyte.spec.engine import PRESETS, EngineConfig, EngineError
from subbyte.spec.engine_options import OPTIONS, formats, options, refusals


def test_options_are_the_fields_that_are_off() -> None:
    assert {"depthwise", "highway", "outlier_slots"} <= set(OPTIONS)
    assert not {"k", "p", "name", "operand_bits"} & set(OPTIONS)


def test_the_default_of_up5k_has_all_and_no_room_left() -> None:
    """Depthwise, highway and an outlier slot; everything else, operands of 6 bits too, takes a block RAM too much."""
    up5k = PRESETS["up5k"]
    assert options(up5k) == {"depthwise": True, "highway": True, "outlier_slots": 1}
    full = "Engine {} needs 31 EBR, ice40 has 30"
    phases = {"two_phase": "Engine two_phase must be off with digit lanes"}
    tables = ("exact_rounding", "wide_tables")
    assert refusals(up5k) == phases | dict.fromkeys(tables, full.format("up5k"))
    missing = dict.fromkeys(("outlier_slots", *tables), full.format("up5k-plain"))
    assert refusals(PRESETS["up5k-plain"]) == phases | missing
    with pytest.raises(EngineError, match=r"^Engine up5k needs 31 EBR, ice40 has 30$"):
        dataclasses.replace(up5k, operand_bits=6)


@pytest.mark.parametrize("engine", PRESETS.values(), ids=PRESETS)
def test_an_option_is_there_refused_or_possible(engine: EngineConfig) -> None:
    has, refused = options(engine), refusals(engine)
    assert not has.keys() & refused.keys()
    for name in set(OPTIONS) - has.keys() - refused.keys():
        assert getattr(dataclasses.replace(engine, **{name: type(getattr(engine, name))(1)}), name)


def test_binary_lanes_refuse_every_option() -> None:
    assert all(text.endswith("must be off with xnor lanes") for text in refusals(PRESETS["up5k-binary"]).values())
    assert {"depthwise", "highway", "outlier_slots"} <= refusals(PRESETS["up5k-binary"]).keys()


@pytest.mark.parametrize("engine", PRESETS.values(), ids=PRESETS)
def test_formats_name_the_largest_operand(engine: EngineConfig) -> None:
    assert f"up to {engine.largest_operand} " in formats(engine)["one"]
