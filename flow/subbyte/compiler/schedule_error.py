"""`ScheduleError`: why a network cannot run on an engine, all reasons at once."""

from __future__ import annotations


class ScheduleError(ValueError):
    """One or more problems, each naming its layer, the rule and the numbers; the message joins them by '; '.

    Members
    -------
    problems : tuple of str
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))
