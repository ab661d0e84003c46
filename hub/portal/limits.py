"""How often one person may press what costs the server much."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from fastapi import HTTPException

from hub.portal.languages import gettext as _
from hub.portal.languages import later

_COSTLY = later(
    "You pressed this %(times)s times in a short while, and each costs the server much. "
    "Press again in %(seconds)s s."
)
_READ = later("You wrote %(times)s times in a short while, and people read each. Send this in %(seconds)s s.")


class Limit:
    """So many presses at once for each person; each comes back after its share of the time."""

    def __init__(
        self, times: int, within_s: float, now: Callable[[], float] = time.monotonic, said: str = _COSTLY
    ) -> None:
        """Allow `times` presses within `within_s` seconds. said: to who presses more often."""
        self._said = said
        self._times = times
        self._each_s = within_s / times
        self._now = now
        self._full_at: dict[str, float] = {}  # when a person has all presses again; one number an account

    def press(self, name: str) -> None:
        """Count a press of `name`'s. Raises HTTPException 429, which says when to try again."""
        now = self._now()
        full_at = max(now, self._full_at.get(name, now)) + self._each_s
        wait_s = full_at - now - self._times * self._each_s
        if wait_s > 1e-6:  # what is left of adding up fractions
            seconds = math.ceil(wait_s)
            raise HTTPException(
                429,
                _(self._said) % {"times": self._times, "seconds": seconds},
                {"Retry-After": str(seconds)},
            )
        self._full_at[name] = full_at


class Limits:
    """The limits of one portal."""

    def __init__(self) -> None:
        """Nobody has pressed anything."""
        self.grading = Limit(20, 60)  # a process each; an instructor grades all labs of a course in one go
        self.formgrader = Limit(120, 60)  # its Autograde asks for one student after the other
        self.feedback = Limit(10, 60)  # writes a page for each of a class's notebooks
        self.marking = Limit(60, 60)  # rewrites a submission in the gradebook; nobody marks one a second
        self.exports = Limit(6, 60)  # goes through every mark of a course
        self.inquiries = Limit(10, 600)  # each asks a person to look again
        self.releases = Limit(10, 60)  # builds the notebooks of a lab, and works out a class's marks again
        self.starts = Limit(10, 60)  # a container each; nobody opens more labs than that in a minute
        self.posts = Limit(10, 120, said=_READ)  # a conversation has room, a flood has not
        self.events = Limit(60, 60)  # what a notebook tells: it collects for some seconds
        self.hands = Limit(10, 60)  # instructors see each at once
