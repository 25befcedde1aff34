"""`EngineConfig`: everything that a generated engine depends on, its checks and its resource ledger."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from subbyte.spec.formats import MOST_RECORDS
from subbyte.spec.requant_fields import EXACT_PARAMS, PLAIN_PARAMS, STICKY_BIT, ParamFormat
from subbyte.spec.weights import WeightSet

WORD_BITS = 64
WORD_NIBBLES = WORD_BITS // 4
PACKED_CODES = 4
"""Binary codes that share a nibble, where a tensor is packed."""

MEMORY_STEP = 4096
"""Main memories of registered families that are no power of two are a multiple of so many words: ECP5's block RAMs have
as many where they are written by nibble."""

OUTLIER_BITS = 8
"""Signed value of an outlier slot."""


class Family(enum.Enum):
    """FPGA family; decides primitives (SPRAM, SB_MAC16) and memory shapes."""

    ICE40 = "ice40"  #: UltraPlus: single-port SPRAM and SB_MAC16
    ICE40_HX = "ice40hx"  #: HX and LP: the same cells and EBR, without these two
    ECP5 = "ecp5"
    ASIC = "asic"  #: standard cells and RAM macros: the gateware of ECP5 without a cell of it

    @property
    def ice40_cells(self) -> bool:
        """Cells are SB_LUT4 with carry and register, memories EBR."""
        return not self.registered

    @property
    def registered(self) -> bool:
        """Memories lie far away: registers before and behind them, and before the array's tree of adders."""
        return self in (Family.ECP5, Family.ASIC)


DEVICES: dict[Family, dict[str, dict[str, int]]] = {
    # EBR of 256 x 16, SPRAM of 16K x 16.
    Family.ICE40: {"up5k": {"EBR": 30, "SPRAM": 4, "DSP": 8}},
    Family.ICE40_HX: {"hx8k": {"EBR": 32}},
    # 12F and 25F are one chip.
    Family.ECP5: {
        "25k": {"DP16KD": 56, "MULT18X18D": 28},
        "12k": {"DP16KD": 56, "MULT18X18D": 28},
        "45k": {"DP16KD": 108, "MULT18X18D": 72},
        "85k": {"DP16KD": 208, "MULT18X18D": 156},
    },
    # No limits: whoever places it brings the memories.
    Family.ASIC: {"asic": {}},
}
"""Family -> device by nextpnr's name, the default first -> resource -> number."""


class Lane(enum.Enum):
    """Arithmetic of a lane. An operand has `operand_bits` bits."""

    DIGIT = "digit"  #: two signed radix-4 weight digits times an unsigned operand
    SHIFT = "shift"  #: weight << exponent; operand = {nonzero, exponent}
    XNOR = "xnor"  #: four binary products, or one of a weight digit -1, 0, 1 and an unsigned operand
    LOG = "log"  #: plus or minus 2**(exponent + exponent); weight = {sign, magnitude code}, operand as of shift


LACKING = {
    Lane.DIGIT: ("two_phase",),
    Lane.XNOR: ("depthwise", "highway", "outlier_slots", "two_phase", "activation_records"),
    Lane.LOG: ("outlier_slots", "activation_records"),
}
"""Options that engines of a lane kind cannot have."""


class EngineError(ValueError):
    """An engine configuration that cannot be built; names the rule and the value."""


@dataclass(frozen=True)
class EngineConfig:
    """One engine: an array of K lanes x M columns x P pixels and the memories around it.

    Parameters
    ----------
    name : str
    family : Family
    lane : Lane
    k, m, p : int
        Lanes (reduction), columns (output channels), pixels. Powers of two: K 4..64, M 1..8, P 1..8.
    r : int
        Requantizer lanes, results per cycle; divides P.
    operand_bits : int
        LA, bits of a lane's operand. digit: 4, 5, 6 or 8; shift, log: 3 or 4 (one nonzero bit + exponent); xnor: 4.
    acc_bits : int
        Accumulator width, 28 (fixed by the parameter word).
    fill_nibbles : int
        F, nibbles that the gather unit moves per cycle: 4, 8 or 16, at most K.
    memory_words, ring_rows, tile_words, param_entries : int
        Depths of main memory (64-bit words), weight buffer (rows of K*M weights), activation tile
        (K operands a word, one bank per pixel) and requantizer parameters (channels). Powers of two; main memory of a
        registered family also any multiple of `MEMORY_STEP`.
    table_slots, lut_slots : int
        Decode tables (16 entries) and requantizer tables (2**lut_bits entries). Powers of two.
    lut_bits : int
        Bits of the value that addresses a requantizer table, 6..10.
    depthwise : bool
        Option: line passes (docs/engine.md), the mapping of depthwise convolutions. With P > 1 these are column
        passes, and main memory has a port for writes where its blocks have two.
    highway : bool
        Option: the requantizer can add the codes of another tensor (`Requantize.skip`). Their reads need P = R or
        at least `skip_cycles` columns.
    outlier_slots : int
        S, outliers that a weight row may have: 0, 1, 2 or 4. All of a row in one word of main memory.
    two_phase : bool
        Option: planes may be the two phases of exact half octaves (`subbyte.spec.two_phase`). For shift and log lanes.
    exact_rounding : bool
        Option: multipliers of 31 bits and every `Rounding`. At most 8 requantizer tables.
    wide_tables : bool
        Option: entries of requantizer tables have 8 bits instead of 4.
    param_stream : bool
        Option: requantizer parameters lie in main memory, those of each pass behind its fill section, and are loaded
        while the pass before is at work. So a network may have any number of channels, a pass `pass_params`.
    weight_tables : bool
        Option: weight rows may lie in main memory as indices into a table of their pass (`subbyte.spec.weight_blocks`),
        which the pump looks up on their way into the weight buffer. A row must have two words of codes or more.
    activation_records : int
        Option of the machine, there is no gateware of it: most records that a pixel of a tensor can have, 0..255
        (`TensorFormat.records`). For digit and shift lanes.
    device : str
        What the ledger counts against, one of the family's `DEVICES`; empty for the first. The gateware is the same
        for all devices of a family.

    Engines with xnor lanes have M = 4, the codes of a packed nibble, and of the options only `exact_rounding`,
    `wide_tables`, `param_stream` and `weight_tables`; those with log lanes have no outlier slots and no activation
    records.
    """

    name: str
    family: Family
    lane: Lane
    k: int = 16
    m: int = 4
    p: int = 1
    r: int = 1
    operand_bits: int = 6
    acc_bits: int = 28
    fill_nibbles: int = 4
    memory_words: int = 16384
    ring_rows: int = 256
    tile_words: int = 256
    param_entries: int = 256
    table_slots: int = 32
    lut_slots: int = 4
    lut_bits: int = 8
    depthwise: bool = False
    highway: bool = False
    outlier_slots: int = 0
    two_phase: bool = False
    exact_rounding: bool = False
    wide_tables: bool = False
    param_stream: bool = False
    weight_tables: bool = False
    activation_records: int = 0
    device: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.family, Family):
            raise TypeError(f"Engine family must be a Family, not {self.family!r}")
        if not isinstance(self.lane, Lane):
            raise TypeError(f"Engine lane must be a Lane, not {self.lane!r}")
        if not isinstance(self.device, str):
            raise TypeError(f"Engine device must be a string, not {self.device!r}")
        if self.device and self.device not in DEVICES[self.family]:
            raise EngineError(
                f"Engine device of family {self.family.value} must be one of {', '.join(DEVICES[self.family])}, "
                f"not {self.device!r}"
            )
        for key in ("operand_bits", "acc_bits", "lut_bits"):
            self._check_integer(key)
        for key, low, high in (
            ("k", 4, 64), ("m", 1, 8), ("p", 1, 8), ("r", 1, 8), ("fill_nibbles", 4, 16),
            ("memory_words", 256, 65536), ("ring_rows", 16, 4096), ("tile_words", 16, 4096),
            ("param_entries", 16, 4096), ("table_slots", 2, 64), ("lut_slots", 1, 16),
        ):
            value = self._check_integer(key)
            stepped = key == "memory_words" and self.family.registered
            if not low <= value <= high or (value & (value - 1) and not (stepped and value % MEMORY_STEP == 0)):
                more = f" or a multiple of {MEMORY_STEP}" if stepped else ""
                raise EngineError(f"Engine {key} must be a power of two{more} in {low}..{high}, not {value}")
        widths = {Lane.DIGIT: (4, 5, 6, 8), Lane.XNOR: (4,)}.get(self.lane, (3, 4))
        if self.operand_bits not in widths:
            raise EngineError(
                f"Engine operand_bits of a {self.lane.value} lane must be one of {widths}, not {self.operand_bits!r}"
            )
        if self.lane is Lane.XNOR and self.m != PACKED_CODES:
            raise EngineError(
                f"Engine m of {self.lane.value} lanes must be {PACKED_CODES}, the codes of a nibble, not {self.m}"
            )
        if self.acc_bits != 28:
            raise EngineError(f"Engine acc_bits must be 28, not {self.acc_bits!r}")
        if self.p % self.r:
            raise EngineError(f"Engine r must divide p = {self.p}, not {self.r}")
        if self.r > self.m:
            raise EngineError(f"Engine r must be at most m = {self.m}, not {self.r}")
        if self.fill_nibbles > self.k:
            raise EngineError(f"Engine fill_nibbles must be at most k = {self.k}, not {self.fill_nibbles}")
        if not 6 <= self.lut_bits <= 10:
            raise EngineError(f"Engine lut_bits must be in 6..10, not {self.lut_bits!r}")
        for option in (
            "depthwise", "highway", "two_phase", "exact_rounding", "wide_tables", "param_stream", "weight_tables",
        ):
            if not isinstance(getattr(self, option), bool):
                raise TypeError(f"Engine {option} must be true or false, not {getattr(self, option)!r}")
        if self.columns and self.m > min(self.k, self.fill_nibbles):
            raise EngineError(
                f"Engine depthwise with p > 1 needs m of at most k = {self.k} and fill_nibbles = {self.fill_nibbles}, "
                f"not {self.m}"
            )
        if self.highway and self.r < self.p and self.m < self.skip_cycles:
            raise EngineError(
                f"Engine highway needs r = p = {self.p} or m of at least {self.skip_cycles}, not r = {self.r} and "
                f"m = {self.m}"
            )
        if self._check_integer("outlier_slots") not in (0, 1, 2, 4):
            raise EngineError(f"Engine outlier_slots must be 0, 1, 2 or 4, not {self.outlier_slots!r}")
        if self.outlier_slots * self.slot_bits > WORD_BITS:
            raise EngineError(
                f"Engine outlier_slots x bits of a slot must be at most {WORD_BITS}, "
                f"not {self.outlier_slots} x {self.slot_bits}"
            )
        if not 0 <= self._check_integer("activation_records") <= MOST_RECORDS:
            raise EngineError(f"Engine activation_records must be in 0..{MOST_RECORDS}, not {self.activation_records}")
        for option in LACKING.get(self.lane, ()):
            if getattr(self, option):
                raise EngineError(f"Engine {option} must be off with {self.lane.value} lanes")
        if self.exact_rounding and self.lut_slots > 1 << STICKY_BIT:
            raise EngineError(
                f"Engine lut_slots must be at most {1 << STICKY_BIT} with exact_rounding, not {self.lut_slots}"
            )
        if self.pass_params < 2 * self.m:
            raise EngineError(
                f"Engine param_stream needs param_entries of at least 4 x m = {4 * self.m}, not {self.param_entries}"
            )
        if self.weight_tables and self.outlier_slots:
            raise EngineError(f"Engine weight_tables needs outlier_slots = 0, not {self.outlier_slots}")
        if self.weight_tables and self.code_words < 2:
            raise EngineError(f"Engine weight_tables needs k x m of at least 32, not {self.k * self.m}")
        for resource, used, available in self.ledger():
            if used > available:
                place = " ".join(filter(None, (self.family.value, self.device)))
                raise EngineError(f"Engine {self.name} needs {used} {resource}, {place} has {available}")

    def _check_integer(self, key: str) -> int:
        value = getattr(self, key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"Engine {key} must be an integer, not {value!r}")
        return value

    @property
    def lanes(self) -> int:
        """Multiply-accumulates per cycle, K * M * P."""
        return self.k * self.m * self.p

    @property
    def columns(self) -> bool:
        """Whether the engine has column passes."""
        return self.depthwise and self.p > 1

    @property
    def pairs(self) -> bool:
        """Whether a column pass may have two column groups, whose codes the gather unit moves at once."""
        return self.columns and 2 * self.m <= self.fill_nibbles

    @property
    def write_port(self) -> bool:
        """Whether main memory has an address for writes, so that they keep no unit from reading. SPRAM has one port."""
        return self.columns and self.family is not Family.ICE40

    @property
    def weight_set(self) -> WeightSet:
        """Weights that a lane can hold, an xnor or a log lane in several rows."""
        return WeightSet.DIGIT4 if self.lane is Lane.DIGIT else WeightSet.LIN4

    @property
    def max_planes(self) -> int:
        """Operand planes that a code may have: 8 bits one by one where operands are exponents, else two halves."""
        return 8 if self.exponents else 2

    @property
    def exponents(self) -> bool:
        """Whether operands are {nonzero, exponent} rather than numbers."""
        return self.lane in (Lane.SHIFT, Lane.LOG)

    @property
    def digit_rows(self) -> bool:
        """Whether a weight may have up to eight rows rather than two: those of lanes whose weights are short."""
        return self.lane in (Lane.XNOR, Lane.LOG)

    @property
    def row_bits(self) -> int:
        """Row r of a weight weighs 2**(r * row_bits)."""
        return {Lane.XNOR: 1, Lane.LOG: 0}.get(self.lane, 4)

    @property
    def scale_cycles(self) -> int:
        """Cycles between the sum of a step and its accumulator, in which it gets what it weighs: registered families
        have a register there, two phases take three there and on log lanes (`subbyte.hw.phase_scaler`); elsewhere the
        accumulator weighs."""
        registered = self.family.registered
        return 3 if self.two_phase and (registered or self.lane is Lane.LOG) else int(registered)

    @property
    def read_cycles(self) -> int:
        """Cycles from the grant of a read of main memory to its word. On ECP5, whose block RAMs lie all over the
        device and are slow to answer, and so on all registered families, registers hold the access before them and the
        word behind."""
        return 3 if self.family.registered else 1

    @property
    def pump_cycles(self) -> int:
        """Cycles from the grant of a word of weights to its writing into the weight buffer: weights that come through
        tables wait in a register before them."""
        return self.read_cycles + self.weight_tables

    @property
    def skip_cycles(self) -> int:
        """Cycles from one block of R pixels to the next when each has skip codes to read: R of these cycles are the
        writer's, R the reads', and an answer of main memory that comes late takes the others."""
        return 2 * self.r - 1 + self.read_cycles

    @property
    def code_words(self) -> int:
        """Main-memory words of the codes of one weight row (K*M of four bits, padded to whole words)."""
        return -(-self.k * self.m * 4 // WORD_BITS)

    @property
    def row_words(self) -> int:
        """Main-memory words of one weight row: the word of its outlier slots if there are any, then its codes."""
        return (self.outlier_slots > 0) + self.code_words

    @property
    def slot_bits(self) -> int:
        """Bits of an outlier slot: value, lane and column (see `subbyte.spec.outlier_slots`)."""
        return OUTLIER_BITS + (self.k - 1).bit_length() + (self.m - 1).bit_length()

    @property
    def ring_part_bits(self) -> int:
        """Bits that the weight buffer holds for each word of codes: the word and an equal share of the slots."""
        return WORD_BITS + -(-self.outlier_slots * self.slot_bits // self.code_words)

    @property
    def params(self) -> ParamFormat:
        """What the requantizer knows of each channel."""
        return EXACT_PARAMS if self.exact_rounding else PLAIN_PARAMS

    @property
    def pass_params(self) -> int:
        """Parameter entries that a pass may have: where they are loaded on the way, two passes share the memory."""
        return self.param_entries // 2 if self.param_stream else self.param_entries

    @property
    def lut_code_bits(self) -> int:
        """Bits of an entry of a requantizer table."""
        return 8 if self.wide_tables else 4

    @property
    def address_words(self) -> int:
        """Words that addresses of main memory tell apart, which count modulo this number; it may have fewer."""
        return 1 << (self.memory_words - 1).bit_length()

    @property
    def nibble_address_bits(self) -> int:
        """Bits of a nibble address into main memory."""
        return (self.memory_words * WORD_NIBBLES - 1).bit_length()

    @property
    def largest_operand(self) -> int:
        """Largest integer that one operand can stand for."""
        if self.exponents:
            return 1 << ((1 << (self.operand_bits - 1)) - 1)
        return (1 << self.operand_bits) - 1

    def operand_value(self, operand: int) -> int:
        """Integer that an operand code stands for: itself, or {nonzero, e} -> 2**e or 0."""
        if not self.exponents:
            return operand
        top = 1 << (self.operand_bits - 1)
        return 1 << (operand - top) if operand & top else 0

    @property
    def resources(self) -> dict[str, int]:
        """What the device has: resource -> number."""
        devices = DEVICES[self.family]
        return devices[self.device or next(iter(devices))]

    def ledger(self) -> list[tuple[str, int, int]]:
        """(resource, used, available on the device) of the memories and multipliers, from this configuration alone.

        LUTs are measured, not estimated: see the README. Of an ASIC nothing is counted.
        """
        return [(resource, used, self.resources[resource]) for resource, used in self._used().items()]

    def _used(self) -> dict[str, int]:
        """Resource -> number."""
        if self.family is Family.ASIC:
            return {}
        multipliers = self.outlier_slots * self.p
        if self.family.ice40_cells:
            row_bits = self.code_words * self.ring_part_bits if self.outlier_slots else self.k * self.m * 4

            def blocks(width: int, depth: int) -> int:
                return min(-(-width // w) * -(-depth // d) for w, d in ((16, 256), (8, 512), (4, 1024)))

            ebr = (
                blocks(row_bits, self.ring_rows)
                + self.p * -(-self.k * self.operand_bits // 16) * -(-self.tile_words // 256)
                + blocks(self.params.bits, self.param_entries)
                + self.fill_nibbles * blocks(self.operand_bits, self.table_slots * 16)
                + self.r * blocks(self.lut_code_bits, self.lut_slots << self.lut_bits)
            )
            if self.family is Family.ICE40_HX:
                return {"EBR": ebr + blocks(WORD_BITS, self.memory_words)}
            # Accumulators; multiplier (two) and, for addresses of tables that fit, shifter of each requantizer lane.
            lane = 4 if self.exact_rounding else 3 if self.lut_bits <= 9 else 2
            dsp = self.m * self.p + lane * self.r + multipliers
            return {"EBR": ebr, "SPRAM": 4 * -(-self.memory_words // 16384), "DSP": dsp}

        def ram(width: int, depth: int) -> int:
            shapes = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192))
            return min(-(-width // w) * -(-depth // d) for w, d in shapes)

        ring = ram(self.k * self.m * 4, self.ring_rows)
        if self.outlier_slots:  # a part is written at a time, and no block RAM has bits of two
            ring = self.code_words * ram(self.ring_part_bits, self.ring_rows)
        total = (
            ram(WORD_BITS, self.memory_words) + ring
            + self.p * ram(self.k * self.operand_bits, self.tile_words) + ram(self.params.bits, self.param_entries)
            + -(-self.r // 2) * ram(self.lut_code_bits, self.lut_slots << self.lut_bits)
        )
        return {"DP16KD": total, "MULT18X18D": (4 if self.exact_rounding else 2) * self.r + multipliers}

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {k: v.value if isinstance(v, enum.Enum) else v for k, v in dataclasses.asdict(self).items()}

    @staticmethod
    def from_dict(values: dict[str, object]) -> EngineConfig:
        """Inverse of `to_dict`. EngineError names an unknown key, family or lane."""
        known = {f.name for f in dataclasses.fields(EngineConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            fields = ", ".join(sorted(known))
            raise EngineError(f"Engine configuration has no field {', '.join(unknown)}; fields: {fields}")
        missing = sorted({"name", "family", "lane"} - set(values))
        if missing:
            raise EngineError(f"Engine configuration lacks {', '.join(missing)}")
        merged = dict(values)
        for key, kind in (("family", Family), ("lane", Lane)):
            try:
                merged[key] = kind(merged[key])
            except ValueError:
                choices = ", ".join(str(e.value) for e in kind)
                raise EngineError(f"Engine {key} must be one of {choices}, not {merged[key]!r}") from None
        return EngineConfig(**merged)  # type: ignore[arg-type]

    def digest(self) -> str:
        """sha256 of the configuration without name, device and the options that it does not have, hexadecimal.

        So an engine keeps its identity when an option is invented that it lacks, and on a larger device.
        """
        values = {k: v for k, v in self.to_dict().items() if k not in ("name", "device") and v}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


PRESETS: dict[str, EngineConfig] = {
    e.name: e
    for e in (
        # Everything that a UP5K holds together: operands of 6 bits would take one EBR more than there are.
        EngineConfig(
            "up5k", Family.ICE40, Lane.DIGIT, operand_bits=5, depthwise=True, highway=True, outlier_slots=1,
            param_stream=True,
        ),
        EngineConfig("up5k-plain", Family.ICE40, Lane.DIGIT),
        EngineConfig("up5k-shift", Family.ICE40, Lane.SHIFT, operand_bits=4),
        EngineConfig("hx8k", Family.ICE40_HX, Lane.DIGIT, k=8, p=2, memory_words=512),
        # All that was placed and routed at 100 MHz; the wires of 6-bit operands were too many.
        EngineConfig(
            "ecp5-25", Family.ECP5, Lane.DIGIT, p=4, r=4, operand_bits=5, fill_nibbles=8, memory_words=8192,
            ring_rows=512, tile_words=512, param_entries=512, table_slots=8,
            depthwise=True, highway=True, outlier_slots=1, param_stream=True,
        ),
        EngineConfig(
            "ecp5-25-plain", Family.ECP5, Lane.DIGIT, p=4, r=4, fill_nibbles=8, memory_words=8192,
            ring_rows=512, tile_words=512, param_entries=512, table_slots=8,
        ),
        # Every block RAM: as many words of main memory as leave room for the others, 352 KB.
        EngineConfig(
            "ecp5-85", Family.ECP5, Lane.DIGIT, p=4, r=4, fill_nibbles=8, memory_words=45056,
            ring_rows=512, tile_words=512, param_entries=1024, table_slots=32, lut_slots=8, lut_bits=9,
            depthwise=True, highway=True, outlier_slots=4, exact_rounding=True, wide_tables=True, param_stream=True,
            device="85k",
        ),
        EngineConfig("up5k-binary", Family.ICE40, Lane.XNOR, operand_bits=4),
        # What ecp5-85 has, and all words that addresses reach, 512 KB.
        EngineConfig(
            "asic", Family.ASIC, Lane.DIGIT, p=4, r=4, fill_nibbles=8, memory_words=65536,
            ring_rows=512, tile_words=512, param_entries=1024, table_slots=32, lut_slots=8, lut_bits=9,
            depthwise=True, highway=True, outlier_slots=4, exact_rounding=True, wide_tables=True, param_stream=True,
        ),
    )
}


def load_engine(name: str) -> EngineConfig:
    """A preset by name, or a TOML file whose top-level keys are the fields of `EngineConfig`.

    EngineError when there is neither, or when the file is not valid.
    """
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise EngineError(f"Engine must be one of {', '.join(PRESETS)} or a .toml file, not {name!r}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(f"Engine file {name}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EngineError(f"Engine file {name}: {error}") from None
    try:
        return EngineConfig.from_dict({"name": path.stem, **values})
    except TypeError as error:
        raise EngineError(f"Engine file {name}: {error}") from None
