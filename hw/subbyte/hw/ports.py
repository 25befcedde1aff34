"""Signatures and layouts shared by the engine's units."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from subbyte.spec.engine import WORD_BITS, Lane
from subbyte.spec.program import (
    COLUMN_FIELDS,
    COMPUTE_FIELDS,
    DRAIN_FIELDS,
    FILL_FIELDS,
    HIGHWAY_FIELDS,
    LINE_FIELDS,
    ROW_FIELDS,
    XNOR_FIELDS,
)
from subbyte.spec.requant_fields import STICKY_BIT

__all__ = [
    "EntryWrite", "NO_COLLISION", "ReadPort", "UnitWrite", "WordArrival", "compute_layout", "drain_layout",
    "fill_layout", "param_layout", "word_view",
]


NO_COLLISION = {"no_rw_check": 1}
"""Memory attribute: nothing is used that was read in the cycle in which its address was written (pointers move
one cycle later), so what such a read returns does not matter and Yosys need not build a bypass."""


class ReadPort(wiring.Signature):
    """A unit's way to main memory: `request` holds until `grant`; `data` is valid `read_cycles` after the grant."""

    def __init__(self, config):
        super().__init__({
            "request": Out(1),
            "address": Out(range(config.memory_words)),
            "grant": In(1),
            "data": In(WORD_BITS),
        })


class UnitWrite(wiring.Signature):
    """Host write of one 16-bit unit into a side memory."""

    def __init__(self):
        super().__init__({"enable": Out(1), "address": Out(20), "data": Out(16)})


class EntryWrite(wiring.Signature):
    """Write of a whole entry into the parameter memory."""

    def __init__(self, config):
        super().__init__({
            "enable": Out(1), "address": Out(range(config.param_entries)), "data": Out(config.params.bits),
        })


def _narrow(config, columns):
    """Bits that this engine needs of the fields whose encoding is wider; `columns`: groups may be output columns."""
    address = config.nibble_address_bits
    groups = max((config.pass_params // config.m - 1).bit_length(), DRAIN_FIELDS[1]["px"] if columns else 0)
    steps = ("address", "step_ky", "step_wx", "step_wy", "step_px", "step_py")
    return {
        **dict.fromkeys(steps, address),
        "planes": (config.max_planes - 1).bit_length(),
        "slot": (config.table_slots - 1).bit_length(),
        "groups": groups,
        "param": (config.param_entries - 1).bit_length(),
        "lut_slot": STICKY_BIT + 1 if config.exact_rounding else (config.lut_slots - 1).bit_length(),
        "unused": (config.k - 1).bit_length(),
        "skip": (config.memory_words - 1).bit_length(),
        "far": max(0, address - FILL_FIELDS[2]["step_py"]),
    }


def _section(config, words, passing=(), columns=False):
    """Fields that stay in registers while a unit works; `passing` ones are taken from the word as it arrives, or are
    of options that the engine lacks."""
    hop, *of_lines = LINE_FIELDS
    lacking = (
        *(() if config.depthwise else (hop,)),
        *(() if config.depthwise and not config.columns else of_lines),
        *(() if config.columns else COLUMN_FIELDS),
        *(() if config.highway else HIGHWAY_FIELDS),
        *(() if config.lane is Lane.XNOR else XNOR_FIELDS),
        *(() if config.digit_rows else ROW_FIELDS),
    )
    narrow = _narrow(config, columns)
    return data.StructLayout({
        name: min(bits, narrow.get(name, bits))
        for fields in words for name, bits in fields.items() if name not in (*passing, *lacking)
    })


class WordArrival(wiring.Signature):
    """The first word of a section on its way from main memory: `word` is valid while `here`."""

    def __init__(self):
        super().__init__({"here": Out(1), "word": Out(WORD_BITS)})


def word_view(fields, word):
    """`word`, a descriptor word, seen as its fields from bit 0 upwards."""
    layout = data.StructLayout(fields)
    return layout(word[: layout.size])


def fill_layout(config):
    """Fields of a fill section but for those that only start it, or tell of parameters behind it."""
    return _section(config, FILL_FIELDS, ("address", "valid", "params", *(() if config.depthwise else ("single",))))


def compute_layout(config):
    """Fields of a compute section. Groups are column groups, in line passes output columns."""
    return _section(config, COMPUTE_FIELDS, columns=config.depthwise and not config.columns)


def drain_layout(config):
    """Fields of a drain section but for those that only start it."""
    return _section(config, DRAIN_FIELDS, ("address", "pixels"))


def param_layout(config):
    """Fields of a requantizer parameter entry."""
    return data.StructLayout(config.params.fields)
