"""Why the operating system refuses a device, without the Python around it."""

from __future__ import annotations


def reason(error: Exception, group: str) -> str:
    """In a few words. `group`: who may open such a device, as a rule."""
    if isinstance(error, OSError) and error.errno is not None:
        reasons = {
            2: "it does not exist",
            11: "another program uses it",
            13: f"permission denied; the user must be in its group, often {group}, or have a udev rule",
        }
        return reasons.get(error.errno, str(error.strerror or error))
    return str(error)
