"""The page of all experiments."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from subbyte.train.errors import TrainError
from subbyte.train.experiments import (
    backward,
    binary,
    entropy,
    features,
    highway,
    histograms,
    logarithm,
    methods,
    outliers,
    profit,
)
from subbyte.train.experiments.context import Context, Section
from subbyte.train.experiments.on_engine import HEADER

EXPERIMENTS: dict[str, Callable[[Context], Section]] = {
    "methods": methods.run, "logarithm": logarithm.run, "entropy": entropy.run, "outliers": outliers.run,
    "backward": backward.run, "highway": highway.run, "profit": profit.run, "binary": binary.run,
    "histograms": histograms.run, "features": features.run,
}
PAGE = "experiments.md"


def run_experiments(
    context: Context, names: Sequence[str], effort: str, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Any]:
    """Run the experiments of these names, all if there are none; write the page and its figures; the JSON object.

    TrainError for an unknown name, before anything is run.
    """
    if unknown := [name for name in names if name not in EXPERIMENTS]:
        raise TrainError(f"Experiment must be one of {', '.join(EXPERIMENTS)}, not {', '.join(unknown)}")
    chosen = list(names) or list(EXPERIMENTS)
    context.folder.mkdir(parents=True, exist_ok=True)
    sections = {}
    for index, name in enumerate(chosen):
        sections[name] = EXPERIMENTS[name](context)
        progress((index + 1) / len(chosen))
    page = context.folder / PAGE
    new = page.with_name(f".{PAGE}.new")
    new.write_text(_page(list(sections.values()), context, effort))
    os.replace(new, page)
    return {
        "page": str(page), "effort": effort, "seeds": list(context.effort.seeds),
        "experiments": {
            name: {
                "header": section.header, "rows": section.rows, "engines": section.engines,
                "figure": section.figure,
                "bars": [{"must": must, "measured": value, "met": met} for must, value, met in section.bars],
            } for name, section in sections.items()
        },
    }


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _page(sections: Sequence[Section], context: Context, effort: str) -> str:
    seeds = ", ".join(map(str, context.effort.seeds))
    head = (
        f"Written by `subbyte experiments --effort {effort}`: {len(context.data.x)} training and "
        f"{len(context.data.x_test)} test images of {' x '.join(map(str, context.data.shape))}, seeds {seeds}; mean "
        "and, of several seeds, standard deviation."
    )
    lines = ["# Experiments", "", head, ""]
    for section in sections:
        lines += [f"## {section.title}", "", section.text, ""]
        if section.rows:
            lines += _table(section.header, section.rows)
        if section.engines:
            lines += _table(HEADER, section.engines)
        if section.bars:
            rows = [(must, measured, "yes" if met else "no") for must, measured, met in section.bars]
            lines += _table(("must be", "measured", "met"), rows)
        if section.figure:
            lines += [f"![{section.title}]({section.figure})", ""]
    return "\n".join(lines)
