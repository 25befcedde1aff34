"""What the commands say while they work: on stderr, so that stdout carries the result alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rich.console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

ProgressCall = Callable[[float], None]
"""Takes the fraction that is done, 0..1."""


class Console:
    """Progress bars on a terminal, one line per step with -v, warnings always but with -q."""

    def __init__(self, verbosity: int = 0) -> None:
        self._verbosity = verbosity
        self._stderr = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        """A line for -v."""
        if self._verbosity > 0:
            self._stderr.print(Text(message))

    def warn(self, message: str) -> None:
        """A line unless -q."""
        if self._verbosity >= 0:
            self._stderr.print(Text(f"subbyte: warning: {message}"))

    def warn_missed_clock(self, facts: Mapping[str, Any]) -> None:
        """A warning if a build, in the keys of `build`, does not meet its clock."""
        if not facts["timing_met"]:
            self.warn(f"the clock of {facts['clock_mhz']} MHz is missed: {facts['fmax_mhz']:.1f} MHz reached")

    @contextmanager
    def collecting_warnings(self) -> Iterator[None]:
        """Warnings of our loggers come out through `warn`."""
        handler = _WarningHandler(self)
        logger = logging.getLogger("subbyte")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    @contextmanager
    def step(self, title: str) -> Iterator[ProgressCall]:
        """A piece of work that may take long. The bar pulses until the first fraction comes."""
        self.note(title)
        silent = self._verbosity < 0 or not self._stderr.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._stderr, transient=True, disable=silent) as bar:
            task = bar.add_task(title, total=None)
            yield lambda fraction: bar.update(task, total=1.0, completed=fraction)


class _WarningHandler(logging.Handler):
    """Hands warnings to a console."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.warn(record.getMessage())
