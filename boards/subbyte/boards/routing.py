"""Routing that will not end.

nextpnr's router2 has no limit of its own: when two nets have no way but over the same wire, it goes round for ever with
the same few wires overused. A placement from another seed is free of that; so it is worth knowing early.
"""

from __future__ import annotations

import re
from pathlib import Path

ROUNDS = 300
"""Most rounds of router2. The engines that fill an iCE40 UP5K to 70 .. 90 % are routed after 36 to 56 of them, with a
goal for the clock too; one that was not after 200 was not after 2,800."""

_TAIL = 4096
"""Bytes at the end of a log that are looked at: some lines."""

_ROUND = re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)")


def endless(log: Path) -> str | None:
    """Why the routing that writes `log` is taken to go on for ever, None while it is not, or there is no log yet."""
    if not log.is_file():
        return None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        rounds = _ROUND.findall(file.read().decode(errors="replace"))
    if not rounds or int(rounds[-1][0]) <= ROUNDS:
        return None
    return f"because routing still had {rounds[-1][1]} wires with two nets after {rounds[-1][0]} rounds"
