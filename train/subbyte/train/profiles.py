"""Bit profiles over depth: which layers feel few bits (methods.md A2)."""

from __future__ import annotations

from collections.abc import Sequence

from subbyte.train.networks.base import QuantNetwork

PROFILES = ("DEC", "INC", "CONCAVE", "CONVEX")


def profile(name: str, layers: int, levels: Sequence[int]) -> list[int]:
    """Bits of each layer, from `levels` as evenly as can be: the same bits in another order for every profile.

    DEC: most bits first; INC: last; CONVEX: at both ends; CONCAVE: in the middle. ValueError for another name.
    """
    if name not in PROFILES:
        raise ValueError(f"Profile must be one of {', '.join(PROFILES)}, not {name!r}")
    falling = sorted((levels[index % len(levels)] for index in range(layers)), reverse=True)
    if name == "DEC":
        return falling
    if name == "INC":
        return falling[::-1]
    ends = falling if name == "CONVEX" else falling[::-1]
    result = [0] * layers
    for index, bits in enumerate(ends):
        result[index // 2 if index % 2 == 0 else layers - 1 - index // 2] = bits
    return result


def apply_profile(model: QuantNetwork, name: str, levels: Sequence[int]) -> dict[str, int]:
    """Set the bits of the weights of all hidden layers; block name -> bits."""
    edges = model.edges()
    hidden = {block_name: block for block_name, block in model.blocks() if block not in edges}
    found = dict(zip(hidden, profile(name, len(hidden), levels), strict=True))
    for block_name, bits in found.items():
        hidden[block_name].weights.set_bits(bits)
    return found
