"""Mistakes of the user. Without PyTorch, so that the command line can name them when it is missing."""

from __future__ import annotations


class TrainError(ValueError):
    """A recipe, data file, checkpoint or option that cannot be; the text is for the user."""
