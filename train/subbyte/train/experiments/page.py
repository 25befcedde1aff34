"""The page of all experiments."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
from subbyte.train.files import replaced

EXPERIMENTS: dict[str, Callable[[Context], Section]] = {
    "methods": methods.run, "logarithm": logarithm.run, "entropy": entropy.run, "outliers": outliers.run,
    "backward": backward.run, "highway": highway.run, "profit": profit.run, "binary": binary.run,
    "histograms": histograms.run, "features": features.run,
}
LONGEST = ("entropy", "profit", "backward", "methods", "highway")
"""Begun first of several at a time, so that none of them is alone at the end."""

PAGE = "experiments.md"


def run_experiments(
    context: Context, names: Sequence[str], effort: str, progress: Callable[[float], None] = lambda done: None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Run the experiments of these names, all if there are none; write the page and its figures; the JSON object.

    With several `jobs` so many at a time, each in a process of its own; the numbers are the same.
    TrainError for an unknown name, before anything is run.
    """
    if unknown := [name for name in names if name not in EXPERIMENTS]:
        raise TrainError(f"Experiment must be one of {', '.join(EXPERIMENTS)}, not {', '.join(unknown)}")
    chosen = list(names) or list(EXPERIMENTS)
    context.folder.mkdir(parents=True, exist_ok=True)
    done = {}
    for name, section in _sections(context, chosen, jobs):
        done[name] = section
        progress(len(done) / len(chosen))
    sections = {name: done[name] for name in chosen}
    page = context.folder / PAGE
    with replaced(page) as new:
        new.write_text(_page(list(sections.values()), context, effort))
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


_kept: list[Context] = []
"""Of a process of several: one context, so that its experiments share the float networks."""


def _keep(context: Context) -> None:
    _kept.append(context)


def _one(name: str) -> Section:
    return EXPERIMENTS[name](_kept[0])


def _sections(context: Context, names: Sequence[str], jobs: int) -> Iterator[tuple[str, Section]]:
    """(name, section) of each, as they are done."""
    if jobs == 1:
        for name in names:
            yield name, EXPERIMENTS[name](context)
        return
    # Not forked: the terminal's progress bar is a thread of this process.
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, start, initializer=_keep, initargs=(context.silent(),)) as pool:
        order = sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
        running = {pool.submit(_one, name): name for name in order}
        try:
            for future in as_completed(running):
                context.note(f"{running[future]}: done")
                yield running[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _page(sections: Sequence[Section], context: Context, effort: str) -> str:
    seeds = ", ".join(map(str, context.effort.seeds))
    head = (
        f"Written by `subbyte experiments --effort {effort}`: {len(context.data.x)} training and "
        f"{len(context.data.x_test)} test images of {' x '.join(map(str, context.data.shape))}, seeds {seeds}; mean "
        "and, of several seeds, standard deviation. Networks that are not trained have BatchNorm's statistics measured "
        "with their quantized weights, as trained ones have."
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
