"""What can go wrong between a driver and an engine, each in one line for the user."""


class DriverError(Exception):
    """The engine at the other end is not the one that the program is for, or answers nonsense."""


class LinkError(DriverError):
    """No valid answer came in time. What was asked for may have happened or not."""


class ProgramLostError(LinkError):
    """The board was reset: what its memories held is lost."""
