"""Signals that are known early in a cycle."""

__all__ = ["early"]


def early(signal):
    """The same signal, kept by Yosys.

    For what meets a late signal, and for that signal: Yosys saves cells where it sees slack, and would make one long
    chain of the late signal and all that was ready before it.
    """
    signal.attrs["keep"] = 1
    return signal
