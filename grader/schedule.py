"""When a lab is open to whom, and what handing in late costs: rules and arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from grader.database import RecordError

LateKind = Literal["none", "deduction", "bank"]
Reveal = Literal["messages", "marks", "closed"]
LATE_KINDS: tuple[LateKind, ...] = get_args(LateKind)
REVEALS: tuple[Reveal, ...] = get_args(Reveal)
MOST_ATTEMPTS = 1000
MOST_BANK_DAYS = 100
_DAY = timedelta(days=1)


class ScheduleRefused(RecordError):
    """Times or a policy that cannot be; the message says why."""


class NotNow(RecordError):
    """The lab is not open yet, is closed, or every attempt is used. at: the moment it is about, if there is one."""

    def __init__(self, sentence: str, at: datetime | None = None) -> None:
        """`sentence`: with {at} in the place of the moment."""
        super().__init__(sentence)
        self._sentence, self._at = sentence, at

    def told(self, zone: tzinfo = UTC) -> str:
        """The sentence, with the moment in `zone`."""
        shown = f"{self._at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if self._at else ""
        return self._sentence.replace("{at}", shown)

    def __str__(self) -> str:
        """The sentence, in UTC."""
        return self.told()


@dataclass(frozen=True)
class Schedule:
    """What an instructor sets of a release.

    late_percent: of the lab's points, off for each day begun after the due time; with a bank, for the days that it does
    not cover. attempts: None is as many as they like. reveal: messages, marks (no messages of hidden checks) or closed
    (no feedback before the student can hand in no more).
    """

    opens_at: datetime | None = None
    due_at: datetime | None = None
    cutoff_at: datetime | None = None
    late_kind: LateKind = "none"
    late_percent: float = 0.0
    attempts: int | None = None
    reveal: Reveal = "messages"

    def checked(self) -> Schedule:
        """Itself, or ScheduleRefused."""
        ordered = [
            ("opening", self.opens_at),
            ("due", self.due_at),
            ("cut-off", self.cutoff_at),
        ]
        there = [(name, at) for name, at in ordered if at is not None]
        for (earlier, first), (later, second) in pairwise(there):
            if second < first or (earlier == "opening" and second == first):
                raise ScheduleRefused(f"The {later} time is before the {earlier} time. Change one of them.")
        if self.late_kind not in LATE_KINDS or self.reveal not in REVEALS:
            raise ScheduleRefused(
                f"Choose a late policy ({', '.join(LATE_KINDS)}) and what is revealed ({', '.join(REVEALS)})."
            )
        if self.late_kind != "none" and self.due_at is None:
            raise ScheduleRefused("A late policy needs a due time. Set one, or take nothing off.")
        if not 0 <= self.late_percent <= 100 or (self.late_kind == "deduction" and not self.late_percent):
            raise ScheduleRefused("The deduction is a number of percent a day, 100 at most.")
        if self.attempts is not None and not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise ScheduleRefused(f"Attempts are 1 to {MOST_ATTEMPTS}; leave the field empty for no limit.")
        return self


class Times(NamedTuple):
    """When one student may begin, should have handed in, and can no more."""

    opens_at: datetime | None
    due_at: datetime | None
    cutoff_at: datetime | None

    @property
    def closes_at(self) -> datetime | None:
        """When nothing more is expected of the student: the cut-off, or without one the due time."""
        return self.cutoff_at or self.due_at


def with_extensions(times: Times, extensions: Iterable[tuple[datetime | None, datetime | None]]) -> Times:
    """The times of a student with these extensions (due time, cut-off), their own and their group's.

    The latest due time holds, so that no extension takes time from anybody; the cut-off is never before it. What is never
    due, or never closed, stays so.
    """
    due, cutoff = times.due_at, times.cutoff_at
    for later_due, later_cutoff in extensions:
        if due is not None and later_due is not None:
            due = max(due, later_due)
        if cutoff is not None:
            cutoff = max(each for each in (cutoff, later_cutoff, later_due) if each is not None)
    return Times(times.opens_at, due, cutoff)


def refusal(times: Times, attempts: int | None, used: int, now: datetime, lab: str) -> NotNow | None:
    """Why a student who handed in `used` times cannot hand in now."""
    if times.opens_at is not None and now < times.opens_at:
        return not_open(times.opens_at, lab)
    if times.cutoff_at is not None and now > times.cutoff_at:
        return NotNow(
            f"{lab} could be handed in until {{at}}; it is closed now. Your work is kept, in your home and as you "
            "handed it in before. Ask your instructor for an extension if you need one.",
            times.cutoff_at,
        )
    if attempts is not None and used >= attempts:
        return NotNow(
            f"{lab} can be handed in {attempts} time{'' if attempts == 1 else 's'}, and you did so {used} "
            f"time{'' if used == 1 else 's'}. What you handed in is kept, and so is your work in your home."
        )
    return None


def not_open(opens_at: datetime, lab: str) -> NotNow:
    """What a student is told who comes too early."""
    return NotNow(f"{lab} opens at {{at}}. Come back then.", opens_at)


def days_late(received_at: datetime, due_at: datetime | None) -> int:
    """Days of 24 hours begun since the due time."""
    if due_at is None or received_at <= due_at:
        return 0
    return -((due_at - received_at) // _DAY)


@dataclass(frozen=True)
class HandedIn:
    """What a student handed in of one lab, with the due time and the policy that hold for it."""

    lab: str
    received_at: datetime
    due_at: datetime | None
    late_kind: LateKind
    late_percent: float


@dataclass(frozen=True)
class Lateness:
    """days: late. from_bank: of these, covered by the bank. share: of the lab's points, off for the others."""

    days: int
    from_bank: int
    share: float


def lateness(work: Iterable[HandedIn], bank_days: int) -> dict[str, Lateness]:
    """What lateness costs one student, by lab. The bank goes to the labs in the order of their due times."""
    left = bank_days
    found: dict[str, Lateness] = {}
    for each in sorted(work, key=lambda one: (one.due_at or one.received_at, one.lab)):
        days = days_late(each.received_at, each.due_at)
        covered = min(days, left) if each.late_kind == "bank" else 0
        left -= covered
        percent = 0.0 if each.late_kind == "none" else each.late_percent
        found[each.lab] = Lateness(days, covered, min(1.0, (days - covered) * percent / 100))
    return found


def penalty(points: float, max_points: float, share: float) -> float:
    """Points off for lateness: a share of what the lab is worth, and never more than was earned."""
    return max(0.0, min(points, round(share * max_points, 6)))


def spread(off: float, earned: Sequence[float]) -> list[float]:
    """Points off, taken from notebook after notebook as long as there are points."""
    parts = []
    for points in earned:
        part = max(0.0, min(points, off))
        off -= part
        parts.append(part)
    return parts


def merged(known: Schedule, said: Mapping[str, object]) -> Schedule:
    """`known` with what was said anew. Raises ScheduleRefused."""
    return replace(known, **said).checked()  # type: ignore[arg-type]  # names of its fields
