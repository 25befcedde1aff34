"""Parts of the package that are installed with an extra only."""

from __future__ import annotations

import importlib.util

from subbyte.cli.outcome import UserError


def need(command: str, module: str, extra: str) -> None:
    """UserError that says what to install, unless `module` is there."""
    if importlib.util.find_spec(module) is None:
        raise UserError(f"{command} needs {module}, which is not installed: pip install 'subbyte[{extra}]'")
