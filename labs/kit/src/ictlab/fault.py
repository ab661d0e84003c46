"""Break a working system in a drawn, repeatable way, and tell later what was broken and what is mended.

    from ictlab.fault import Fault, break_some

    faults = [
        Fault("wrong mask", lambda: r1.run("ip addr del …; ip addr add …")),
        Fault("no forwarding", lambda: r1.run("sysctl -w net.ipv4.ip_forward=0")),
    ]
    broken = break_some(faults, 2)      # the same two for the same student, each time

Grade the repair by what works again, and by what worked before and must still work, never by what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ictlab.variant import Variant, mine


@dataclass(frozen=True)
class Fault:
    """One thing that can be broken. name: what an instructor calls it; students do not see it."""

    name: str
    cause: Callable[[], object]

    def __repr__(self) -> str:
        return "Fault(?)"  # a student who prints it learns nothing


def break_some(
    faults: Sequence[Fault], count: int, *, name: str = "faults", own: Variant = mine
) -> list[Fault]:
    """Cause `count` of `faults`, drawn for the student; returns them. name: of the draw, if a lab has several."""
    drawn = own.sample(name, faults, count)
    for fault in drawn:
        fault.cause()
    return drawn
