"""Dividers of the two families' PLLs, by search over all that the data sheets allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40_PAD in SIMPLE feedback: out = ref / (divr + 1) * (divf + 1) / 2**divq."""

    divr: int
    divf: int
    divq: int
    filter_range: int
    output_hz: float


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with feedback from CLKOP: out = ref / clki_div * clkfb_div, VCO = out * clkop_div."""

    clki_div: int
    clkfb_div: int
    clkop_div: int
    output_hz: float


def _ice40_candidates(reference_hz: float) -> Iterator[Ice40Pll]:
    """Phase detector 10..133 MHz, VCO 533..1066 MHz, output 16..275 MHz."""
    for divr in range(16):
        detector = reference_hz / (divr + 1)
        if not 10e6 <= detector <= 133e6:
            continue
        filter_range = 1 + sum(detector >= limit for limit in (17e6, 26e6, 44e6, 66e6, 101e6))
        for divf in range(128):
            vco = detector * (divf + 1)
            if not 533e6 <= vco <= 1066e6:
                continue
            for divq in range(1, 7):
                output = vco / (1 << divq)
                if 16e6 <= output <= 275e6:
                    yield Ice40Pll(divr, divf, divq, filter_range, output)


def _ecp5_candidates(reference_hz: float) -> Iterator[Ecp5Pll]:
    """Phase detector 3.125..400 MHz, VCO 400..800 MHz, output 3.125..400 MHz."""
    for clki_div in range(1, 129):
        detector = reference_hz / clki_div
        if not 3.125e6 <= detector <= 400e6:
            continue
        for clkfb_div in range(1, 81):
            output = detector * clkfb_div
            if not 3.125e6 <= output <= 400e6:
                continue
            for clkop_div in range(1, 129):
                if 400e6 <= output * clkop_div <= 800e6:
                    yield Ecp5Pll(clki_div, clkfb_div, clkop_div, output)


def ice40_pll(reference_hz: float, target_hz: float) -> Ice40Pll:
    """The setting nearest to the target; of equals, the one with the fastest phase detector.

    ValueError when no setting comes within 1 %.
    """
    best = min(
        _ice40_candidates(reference_hz), default=None,
        key=lambda s: (abs(s.output_hz - target_hz), s.divr, s.divf),
    )
    if best is None or abs(best.output_hz - target_hz) > target_hz / 100:
        raise ValueError(f"iCE40 PLL cannot make {target_hz / 1e6:g} MHz from {reference_hz / 1e6:g} MHz")
    return best


def ecp5_pll(reference_hz: float, target_hz: float) -> Ecp5Pll:
    """The setting nearest to the target; of equals, fastest phase detector, then VCO nearest to 600 MHz.

    ValueError when no setting comes within 1 %.
    """
    best = min(
        _ecp5_candidates(reference_hz), default=None,
        key=lambda s: (abs(s.output_hz - target_hz), s.clki_div, abs(s.output_hz * s.clkop_div - 600e6)),
    )
    if best is None or abs(best.output_hz - target_hz) > target_hz / 100:
        raise ValueError(f"ECP5 PLL cannot make {target_hz / 1e6:g} MHz from {reference_hz / 1e6:g} MHz")
    return best
