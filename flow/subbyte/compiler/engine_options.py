"""Engine options in messages: which presets have what an engine lacks."""

from __future__ import annotations

from subbyte.spec.engine import PRESETS


def having(*options: str) -> str:
    """For a message: the options, all of which an engine must have, and the presets that do."""
    names = [name for name, engine in PRESETS.items() if all(getattr(engine, option) for option in options)]
    return f"{' and '.join(options)}, as {', '.join(sorted(names))} have"
