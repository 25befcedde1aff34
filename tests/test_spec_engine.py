"""Engine configurations: every check, the presets, files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Family, Lane, load_engine
from subbyte.spec.step_weight import step_weight
from subbyte.spec.weights import WeightSet

RANGES = {
    "k": (4, 64), "m": (1, 8), "p": (1, 8), "r": (1, 8), "fill_nibbles": (4, 16), "memory_words": (256, 65536),
    "ring_rows": (16, 4096), "tile_words": (16, 4096), "param_entries": (16, 4096), "table_slots": (2, 64),
    "lut_slots": (1, 16),
}


def engine(**changes: Any) -> EngineConfig:
    return EngineConfig(**{"name": "test", "family": Family.ECP5, "lane": Lane.DIGIT, "memory_words": 8192, **changes})


@pytest.mark.parametrize("key", [*RANGES, "operand_bits", "acc_bits", "lut_bits", "outlier_slots"])
@pytest.mark.parametrize("value", [8.0, "8", True, None])
def test_init_wrong_type(key: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Engine {key} must be an integer, not {value!r}$"):
        engine(**{key: value})


@pytest.mark.parametrize("key", RANGES)
def test_init_wrong_value(key: str) -> None:
    low, high = RANGES[key]
    for value in (0, -low, low // 2, 3 * low, 2 * high):
        more = " or a multiple of 4096" if key == "memory_words" else ""
        message = rf"^Engine {key} must be a power of two{more} in {low}\.\.{high}, not {value}$"
        with pytest.raises(EngineError, match=message):
            engine(**{key: value})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"family": "ice40"}, TypeError, r"^Engine family must be a Family, not 'ice40'$"),
        ({"lane": "digit"}, TypeError, r"^Engine lane must be a Lane, not 'digit'$"),
        (
            {"operand_bits": 7},
            EngineError,
            r"^Engine operand_bits of a digit lane must be one of \(4, 5, 6, 8\), not 7$",
        ),
        (
            {"lane": Lane.SHIFT, "operand_bits": 8},
            EngineError,
            r"^Engine operand_bits of a shift lane must be one of \(3, 4\), not 8$",
        ),
        (
            {"lane": Lane.XNOR},
            EngineError,
            r"^Engine operand_bits of a xnor lane must be one of \(4,\), not 6$",
        ),
        (
            {"lane": Lane.XNOR, "operand_bits": 4, "m": 8},
            EngineError,
            r"^Engine m of xnor lanes must be 4, the codes of a nibble, not 8$",
        ),
        *(
            ({"lane": Lane.XNOR, "operand_bits": 4, option: on}, EngineError, f"^Engine {option} must be off with xnor")
            for option, on in (("depthwise", True), ("highway", True), ("outlier_slots", 1), ("two_phase", True))
        ),
        ({"two_phase": True}, EngineError, r"^Engine two_phase must be off with digit lanes$"),
        ({"two_phase": 1}, TypeError, r"^Engine two_phase must be true or false, not 1$"),
        ({"lane": Lane.LOG}, EngineError, r"^Engine operand_bits of a log lane must be one of \(3, 4\), not 6$"),
        (
            {"lane": Lane.LOG, "operand_bits": 4, "outlier_slots": 1},
            EngineError,
            r"^Engine outlier_slots must be off with log lanes$",
        ),
        ({"acc_bits": 32}, EngineError, r"^Engine acc_bits must be 28, not 32$"),
        ({"p": 2, "r": 4}, EngineError, r"^Engine r must divide p = 2, not 4$"),
        ({"p": 4, "r": 4, "m": 2}, EngineError, r"^Engine r must be at most m = 2, not 4$"),
        ({"k": 8, "fill_nibbles": 16}, EngineError, r"^Engine fill_nibbles must be at most k = 8, not 16$"),
        ({"depthwise": 1}, TypeError, r"^Engine depthwise must be true or false, not 1$"),
        *(
            ({option: 1}, TypeError, rf"^Engine {option} must be true or false, not 1$")
            for option in ("exact_rounding", "wide_tables", "param_stream", "weight_tables")
        ),
        (
            {"exact_rounding": True, "lut_slots": 16},
            EngineError,
            r"^Engine lut_slots must be at most 8 with exact_rounding, not 16$",
        ),
        (
            {"depthwise": True, "p": 4, "m": 8},
            EngineError,
            r"^Engine depthwise with p > 1 needs m of at most k = 16 and fill_nibbles = 4, not 8$",
        ),
        ({"lut_bits": 5}, EngineError, r"^Engine lut_bits must be in 6\.\.10, not 5$"),
        ({"lut_bits": 11}, EngineError, r"^Engine lut_bits must be in 6\.\.10, not 11$"),
        ({"outlier_slots": 3}, EngineError, r"^Engine outlier_slots must be 0, 1, 2 or 4, not 3$"),
        (
            {"outlier_slots": 4, "k": 64, "m": 8},
            EngineError,
            r"^Engine outlier_slots x bits of a slot must be at most 64, not 4 x 17$",
        ),
        (
            {"m": 8, "param_entries": 16, "param_stream": True},
            EngineError,
            r"^Engine param_stream needs param_entries of at least 4 x m = 32, not 16$",
        ),
        (
            {"weight_tables": True, "outlier_slots": 2},
            EngineError,
            r"^Engine weight_tables needs outlier_slots = 0, not 2$",
        ),
        (
            {"weight_tables": True, "k": 4, "m": 4},
            EngineError,
            r"^Engine weight_tables needs k x m of at least 32, not 16$",
        ),
        (
            {"memory_words": 10240},
            EngineError,
            r"^Engine memory_words must be a power of two or a multiple of 4096 in 256\.\.65536, not 10240$",
        ),
        (
            {"family": Family.ICE40, "memory_words": 12288},
            EngineError,
            r"^Engine memory_words must be a power of two in 256\.\.65536, not 12288$",
        ),
        ({"memory_words": 65536}, EngineError, r"^Engine test needs \d+ DP16KD, ecp5 has 56$"),
        (
            {"memory_words": 65536, "device": "85k"}, EngineError, r"^Engine test needs \d+ DP16KD, ecp5 85k has 208$",
        ),
        ({"device": 85}, TypeError, r"^Engine device must be a string, not 85$"),
        (
            {"device": "um85k"},
            EngineError,
            r"^Engine device of family ecp5 must be one of 25k, 12k, 45k, 85k, not 'um85k'$",
        ),
        (
            {"family": Family.ICE40_HX, "memory_words": 256, "device": "25k"},
            EngineError,
            r"^Engine device of family ice40hx must be one of hx8k, not '25k'$",
        ),
        (
            {"family": Family.ICE40, "memory_words": 32768},
            EngineError,
            r"^Engine test needs 8 SPRAM, ice40 has 4$",
        ),
        ({"family": Family.ICE40, "ring_rows": 4096}, EngineError, r"^Engine test needs \d+ EBR, ice40 has 30$"),
        (
            {"family": Family.ICE40_HX, "memory_words": 2048},
            EngineError,
            r"^Engine test needs \d+ EBR, ice40hx has 32$",
        ),
        ({"family": Family.ICE40, "outlier_slots": 1}, EngineError, r"^Engine test needs 31 EBR, ice40 has 30$"),
        (
            {"p": 8, "r": 4, "memory_words": 256, "outlier_slots": 4},
            EngineError,
            r"^Engine test needs 40 MULT18X18D, ecp5 has 28$",
        ),
        ({"family": Family.ICE40, "k": 8, "m": 8}, EngineError, r"^Engine test needs 11 DSP, ice40 has 8$"),
    ],
)
def test_init_wrong(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        engine(**changes)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_init_wrong_highway(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Engine highway must be true or false, not {value!r}$"):
        engine(highway=value)


def test_highway_needs_time_for_its_reads() -> None:
    """ECP5 answers three cycles late: with R = 2 of P = 4 pixels, blocks of M columns must be 6 cycles apart."""
    assert engine(p=4, r=2).skip_cycles == 6
    with pytest.raises(
        EngineError, match=r"^Engine highway needs r = p = 4 or m of at least 6, not r = 2 and m = 4$",
    ):
        engine(p=4, r=2, m=4, k=8, highway=True)
    assert engine(p=4, r=2, m=8, k=8, highway=True).highway
    assert engine(p=2, r=2, m=4, highway=True).highway


def test_options_that_are_off_leave_the_digest() -> None:
    """Engines that were built before an option was invented keep their identity."""
    values = {k: v for k, v in PRESETS["up5k-plain"].to_dict().items() if k != "highway"}
    assert EngineConfig.from_dict(values).digest() == PRESETS["up5k-plain"].digest()
    assert dataclasses.replace(PRESETS["up5k-plain"], highway=True).digest() != PRESETS["up5k-plain"].digest()


def test_engine_error_is_a_value_error() -> None:
    assert issubclass(EngineError, ValueError)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    preset = load_engine(name)
    assert preset is PRESETS[name] and preset.name == name
    assert preset.lanes == preset.k * preset.m * preset.p
    assert EngineConfig.from_dict(preset.to_dict()) == preset
    assert all(used <= available for _, used, available in preset.ledger())


def test_derived_sizes() -> None:
    config = engine(k=16, m=2, memory_words=1024)
    assert config.row_words == 2
    assert engine(k=4, m=1, fill_nibbles=4).row_words == 1
    assert config.nibble_address_bits == 14
    assert config.weight_set is WeightSet.DIGIT4
    assert engine(lane=Lane.SHIFT, operand_bits=4).weight_set is WeightSet.LIN4


def test_weight_tables() -> None:
    """Two words of codes are enough; weights are written a cycle later."""
    config = engine(k=8, m=4, weight_tables=True)
    assert config.code_words == 2
    assert config.pump_cycles == config.read_cycles + 1 == engine().pump_cycles + 1


def test_outlier_slots() -> None:
    """A row is one word longer, the weight buffer wider; an engine without slots keeps its identity."""
    config = engine(k=16, m=4, outlier_slots=2, memory_words=1024)
    assert (config.row_words, config.code_words, config.slot_bits, config.ring_part_bits) == (5, 4, 14, 71)
    assert engine(k=16, m=4).ring_part_bits == 64 and engine(k=16, m=4).row_words == 4
    assert "outlier_slots" not in {k for k, v in engine().to_dict().items() if v}
    assert config.digest() != dataclasses.replace(config, outlier_slots=0).digest()
    assert {name: used for name, used, _ in PRESETS["up5k"].ledger()} == {"EBR": 30, "SPRAM": 4, "DSP": 8}
    assert {name: used for name, used, _ in PRESETS["ecp5-25"].ledger()} == {"DP16KD": 56, "MULT18X18D": 12}
    ecp5 = dataclasses.replace(PRESETS["ecp5-25-plain"], outlier_slots=2)
    assert {name: used for name, used, _ in ecp5.ledger()} == {"DP16KD": 56, "MULT18X18D": 16}


def test_options_of_the_requantizer() -> None:
    """Four multipliers a lane, parameters of 64 bits, tables of 8; engines without keep theirs."""
    plain = PRESETS["up5k-plain"]
    assert (plain.params.bits, plain.params.multiplier_bits, plain.lut_code_bits) == (48, 16, 4)
    exact = dataclasses.replace(plain, operand_bits=5, exact_rounding=True)
    assert (exact.params.bits, exact.params.multiplier_bits) == (64, 31)
    assert {name: used for name, used, _ in exact.ledger()} == {"EBR": 30, "SPRAM": 4, "DSP": 8}
    with pytest.raises(EngineError, match=r"^Engine up5k-plain needs 31 EBR, ice40 has 30$"):
        dataclasses.replace(plain, exact_rounding=True)
    with pytest.raises(EngineError, match=r"^Engine up5k-plain needs 31 EBR, ice40 has 30$"):
        dataclasses.replace(plain, wide_tables=True)
    assert dataclasses.replace(plain, wide_tables=True, lut_slots=2).lut_code_bits == 8
    ecp5 = dataclasses.replace(PRESETS["ecp5-25-plain"], exact_rounding=True, wide_tables=True)
    assert {name: used for name, used, _ in ecp5.ledger()} == {"DP16KD": 56, "MULT18X18D": 16}
    assert len({exact.digest(), plain.digest(), ecp5.digest(), PRESETS["ecp5-25-plain"].digest()}) == 4


def test_memory_that_is_no_power_of_two() -> None:
    """16 block RAMs for every 4096 words; addresses have the bits of the power of two above."""
    config = PRESETS["ecp5-85"]
    assert config.memory_words == 11 * 4096 and config.address_words == 65536 and config.nibble_address_bits == 20
    assert {name: used for name, used, _ in config.ledger()} == {"DP16KD": 208, "MULT18X18D": 32}
    with pytest.raises(EngineError, match=r"^Engine ecp5-85 needs 224 DP16KD, ecp5 85k has 208$"):
        dataclasses.replace(config, memory_words=12 * 4096)
    assert PRESETS["up5k"].address_words == PRESETS["up5k"].memory_words


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_digit_operands(bits: int) -> None:
    config = engine(operand_bits=bits)
    assert config.largest_operand == (1 << bits) - 1
    assert [config.operand_value(v) for v in range(1 << bits)] == list(range(1 << bits))


def test_xnor_operands() -> None:
    config = engine(lane=Lane.XNOR, operand_bits=4)
    assert config.largest_operand == 15
    assert [config.operand_value(v) for v in range(16)] == list(range(16))
    assert config.max_planes == 2


@pytest.mark.parametrize("lane", [Lane.SHIFT, Lane.LOG])
@pytest.mark.parametrize("bits", [3, 4])
def test_exponents(bits: int, lane: Lane) -> None:
    config = engine(lane=lane, operand_bits=bits)
    assert config.exponents and config.max_planes == 8
    half = 1 << (bits - 1)
    assert [config.operand_value(v) for v in range(2 * half)] == [0] * half + [1 << e for e in range(half)]
    assert config.largest_operand == 1 << (half - 1)


@pytest.mark.parametrize(("family", "lane", "two_phase", "cycles"), [
    (Family.ICE40, Lane.SHIFT, False, 0), (Family.ICE40, Lane.SHIFT, True, 0), (Family.ICE40, Lane.LOG, True, 3),
    (Family.ICE40, Lane.LOG, False, 0), (Family.ECP5, Lane.SHIFT, False, 1), (Family.ECP5, Lane.SHIFT, True, 3),
    (Family.ECP5, Lane.LOG, False, 1), (Family.ECP5, Lane.LOG, True, 3),
])
def test_scale_cycles(family: Family, lane: Lane, two_phase: bool, cycles: int) -> None:
    assert engine(family=family, lane=lane, operand_bits=4, two_phase=two_phase).scale_cycles == cycles


def test_step_weights() -> None:
    """Rows, then planes: in radix 16 or 2, in turn 128 and 181, or all alike."""
    lanes = {lane: engine(lane=lane, operand_bits=4, m=4) for lane in Lane}
    for lane, row_weight in ((Lane.DIGIT, 16), (Lane.SHIFT, 16), (Lane.XNOR, 2), (Lane.LOG, 1)):
        assert [step_weight(lanes[lane], 0, row, 1) for row in range(2)] == [1, row_weight]
        planes = [step_weight(lanes[lane], 1, 1, plane) for plane in range(2)]
        assert planes == [row_weight, row_weight if lane is Lane.LOG else 16 * row_weight]
    for lane, row_weight in ((Lane.SHIFT, 16), (Lane.LOG, 1)):
        phases = dataclasses.replace(lanes[lane], two_phase=True)
        assert step_weight(phases, 0, 1, 1) == row_weight
        assert [step_weight(phases, 1, 1, plane) for plane in range(4)] == [128 * row_weight, 181 * row_weight] * 2


def test_device() -> None:
    """Only the ledger knows it: a program runs on every device on which its engine fits."""
    base = engine()
    assert base.resources == engine(device="25k").resources == engine(device="12k").resources
    large = engine(device="85k")
    assert [available for _, _, available in large.ledger()] == [208, 156]
    assert [available for _, _, available in engine(device="45k").ledger()] == [108, 72]
    assert {used for _, used, _ in large.ledger()} == {used for _, used, _ in base.ledger()}
    assert large.digest() == base.digest() and EngineConfig.from_dict(large.to_dict()) == large


def test_asic() -> None:
    """Structure and cycles of an ECP5 engine, no limits of a device; not the same engine: its cells are others."""
    config = PRESETS["asic"]
    ecp5 = PRESETS["ecp5-85"]
    assert config.ledger() == [] and config.memory_words > ecp5.memory_words
    assert (config.read_cycles, config.scale_cycles) == (ecp5.read_cycles, ecp5.scale_cycles)
    assert config.write_port and not config.family.ice40_cells
    same = dataclasses.replace(ecp5, family=Family.ASIC, device="")
    assert same.digest() != ecp5.digest()
    with pytest.raises(EngineError, match="Engine device of family asic must be one of asic, not '85k'"):
        dataclasses.replace(ecp5, family=Family.ASIC)


def test_digest() -> None:
    base = engine()
    assert base.digest() == dataclasses.replace(base, name="other").digest()
    assert base.digest() != dataclasses.replace(base, ring_rows=128).digest()
    assert base.digest() != dataclasses.replace(base, depthwise=True).digest()
    assert len(base.digest()) == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "a", "family": "ice40", "lane": "digit", "kk": 1, "bb": 2},
            r"^Engine configuration has no field bb, kk; fields: acc_bits, activation_records, depthwise, ",
        ),
        ({"lane": "digit"}, r"^Engine configuration lacks family, name$"),
        (
            {"name": "a", "family": "ice5", "lane": "digit"},
            r"^Engine family must be one of ice40, ice40hx, ecp5, asic, not 'ice5'$",
        ),
        ({"name": "a", "family": "ice40", "lane": 3}, r"^Engine lane must be one of digit, shift, xnor, log, not 3$"),
    ],
)
def test_from_dict_wrong(values: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        EngineConfig.from_dict(values)


def test_load_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('family = "ecp5"\nlane = "shift"\noperand_bits = 4\nk = 32\nmemory_words = 4096\n')
    expected = EngineConfig("mine", Family.ECP5, Lane.SHIFT, operand_bits=4, k=32, memory_words=4096)
    assert load_engine(str(path)) == expected
    path.write_text('name = "other"\nfamily = "ice40"\nlane = "digit"\n')
    assert load_engine(str(path)).name == "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k = ", r"^Engine file .*mine\.toml: "),
        ("k = 16", r"^Engine configuration lacks family, lane$"),
        ('family = "ecp5"\nlane = "digit"\nk = 1.5', r"^Engine file .*: Engine k must be an integer, not 1\.5$"),
    ],
)
def test_load_wrong_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(EngineError, match=message):
        load_engine(str(path))


def test_load_not_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EngineError, match=r"^Engine file .*mine\.toml: "):
        load_engine(str(path))


def test_load_unknown(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^Engine must be one of up5k, .* or a \.toml file, not 'up6k'$"):
        load_engine("up6k")
    with pytest.raises(EngineError, match=r"^Engine file [^:]*absent\.toml: No such file or directory$"):
        load_engine(str(tmp_path / "absent.toml"))
