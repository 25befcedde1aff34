"""The page: facts and templates to HTML text."""

from __future__ import annotations

from pathlib import Path

import jinja2

from subbyte.report.facts import STALLS, Facts
from subbyte.report.scale import Scale

TEMPLATES = Path(__file__).parent / "templates"


def _count(value: float) -> str:
    """A number with commas, without a fraction that is none."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _percent(value: float) -> str:
    """A fraction as in 98.12 %."""
    return f"{value:.2%}".replace("%", " %")


def _time(seconds: float) -> str:
    """A time in the unit that suits it."""
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def render(facts: Facts, version: str) -> str:
    """The HTML page. It refers to nothing outside itself; `version` is that of Subbyte."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "percent": _percent, "time": _time}
    environment.globals |= {"Scale": Scale, "STALLS": STALLS}
    return environment.get_template("report.html").render(facts=facts, version=version)
