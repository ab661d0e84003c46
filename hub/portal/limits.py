"""How often one person may press what costs the server much."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from fastapi import HTTPException

from hub.portal.languages import gettext as _


class Limit:
    """So many presses at once for each person; each comes back after its share of the time."""

    def __init__(self, times: int, within_s: float, now: Callable[[], float] = time.monotonic) -> None:
        """Allow `times` presses within `within_s` seconds."""
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
                _(
                    "You pressed this %(times)s times in a short while, and each costs the server much. "
                    "Press again in %(seconds)s s."
                )
                % {"times": self._times, "seconds": seconds},
                {"Retry-After": str(seconds)},
            )
        self._full_at[name] = full_at


class Limits:
    """The limits of one portal."""

    def __init__(self) -> None:
        """Nobody has pressed anything."""
        self.grading = Limit(20, 60)  # a process each; an instructor grades all labs of a course in one go
        self.feedback = Limit(10, 60)  # writes a page for each of a class's notebooks
        self.starts = Limit(10, 60)  # a container each; nobody opens more labs than that in a minute
        self.events = Limit(60, 60)  # what a notebook tells: it collects for some seconds
        self.hands = Limit(10, 60)  # instructors see each at once
