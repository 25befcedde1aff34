"""Entry point of the command `subbyte`: parse, run, print, and turn errors into one line and an exit status."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import rich.console

from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, UserError
from subbyte.cli.parser import command_module, make_parser
from subbyte.compiler.compiled import OutputError
from subbyte.compiler.data import DataError
from subbyte.compiler.graph import ModelError
from subbyte.compiler.recipe import RecipeError
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.threads import single_threaded
from subbyte.host.errors import DriverError
from subbyte.sim.runner import SimulationError
from subbyte.spec.engine import EngineError
from subbyte.tools.errors import ToolError
from subbyte.train.errors import TrainError

MISTAKES = (
    UserError, ModelError, DataError, RecipeError, ScheduleError, OutputError, EngineError, ToolError, DriverError,
    TrainError, OSError,
)
"""Errors whose text is for the user: exit status 2. A failing simulation is 1, anything else is a bug."""
PIPE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def _line(error: BaseException) -> str:
    """The error in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _run(arguments: Sequence[str]) -> Outcome:
    """Run the command of `arguments`."""
    for argument in arguments:
        if "\0" in argument:
            raise UserError(f"Argument {argument!r} must not hold a NUL character")
    options = make_parser(arguments).parse_args(arguments)
    console = Console(options.verbosity)
    with console.collecting_warnings():
        return command_module(options.command).run(options, console)


def _show(outcome: Outcome, as_json: bool) -> None:
    """Print the result on stdout."""
    if as_json:
        print(json.dumps(outcome.data), flush=True)
        return
    # Names come from files: a layer called "[/]" or ":smile:" is to be shown, not read as markup.
    screen = rich.console.Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = PIPE_WIDTH
    screen.print(outcome.text)


@single_threaded
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 for a mismatch, 2 for a mistake of the user."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        outcome = _run(arguments)
        _show(outcome, as_json)
        return outcome.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("subbyte: interrupted", file=sys.stderr)
        return 130
    except (*MISTAKES, SimulationError) as error:
        line = _line(error)
        print(f"subbyte: {line}", file=sys.stderr)
        if as_json:
            print(json.dumps({"error": line}))
        return 1 if isinstance(error, SimulationError) else 2


if __name__ == "__main__":
    sys.exit(main())
