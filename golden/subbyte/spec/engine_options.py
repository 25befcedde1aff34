"""What an engine runs, which options it has, and which it cannot have besides: asked of `EngineConfig` itself."""

from __future__ import annotations

import dataclasses

from subbyte.spec.engine import EngineConfig, EngineError, Lane

WITHOUT_GATEWARE = ("activation_records",)
"""Options that only the machine has."""

OPTIONS = tuple(
    field.name for field in dataclasses.fields(EngineConfig)
    if isinstance(field.default, int) and not field.default and field.name not in WITHOUT_GATEWARE
)
"""Fields that are off, or 0, unless asked for, of the gateware."""


def options(engine: EngineConfig) -> dict[str, bool | int]:
    """The options that an engine has, with their values."""
    return {name: getattr(engine, name) for name in OPTIONS if getattr(engine, name)}


def refusals(engine: EngineConfig) -> dict[str, str]:
    """Option that an engine lacks and cannot have besides all else, on or 1 -> the rule and the value."""
    refused = {}
    for name in OPTIONS:
        if not getattr(engine, name):
            try:
                dataclasses.replace(engine, **{name: type(getattr(engine, name))(1)})
            except EngineError as error:
                refused[name] = str(error)
    return refused


def formats(engine: EngineConfig) -> dict[str, str]:
    """Activations x weights that the lanes multiply: in one step of the array, and in several."""
    largest = engine.largest_operand
    if engine.lane is Lane.XNOR:
        return {
            "one": f"binary x binary, four a lane; 4-bit codes up to {largest} x ternary",
            "several": "8-bit codes: two planes; weights: a row for each bit",
        }
    if engine.exponents:
        weights = {
            Lane.SHIFT: ("weights -8..7", "weights to -136..119: two rows"),
            Lane.LOG: ("powers of two to -64..64", "weights to -255..255: a row for each power of two in one"),
        }
        one, several = weights[engine.lane]
        return {
            "one": f"base-2 codes up to {largest} x {one}",
            "several": f"linear codes: a plane for each bit, tables: for each power of two in an entry; {several}",
        }
    return {
        "one": f"4-bit codes, linear, log, fitted, up to {largest} x weights -9..6",
        "several": "8-bit and larger codes: two planes; weights to -153..102: two rows",
    }
