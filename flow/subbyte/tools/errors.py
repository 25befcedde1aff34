"""`ToolError`: a tool that is missing or that failed."""


class ToolError(Exception):
    """One line for the user: which tool, what is wrong, what to do."""


class ToolTimeout(ToolError):
    """A tool that took longer than it was given."""
