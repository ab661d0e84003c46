"""What a student's table of labs says, worked out from rows of the record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from grader.models import Feedback, Release, Report, Submission
from hub.portal.languages import gettext as _
from hub.portal.languages import ngettext, spoken

State = Literal["not started", "working", "submitted", "graded", "feedback out"]


@dataclass(frozen=True)
class Mark:
    """Points out of points."""

    points: float
    out_of: float

    def __str__(self) -> str:
        """As it is written everywhere: 18 / 20."""
        return f"{self.points:g} / {self.out_of:g}"


@dataclass(frozen=True)
class LabRow:
    """One lab as its student sees it."""

    release: Release
    submissions: tuple[Submission, ...]  # oldest first
    state: State
    overdue: bool
    marked: Submission | None  # the submission that mark and feedback are about
    mark: Mark | None
    started_at: datetime | None = None  # the last time, through the portal
    opens_at: datetime | None = None  # while it is not open yet
    attempts_left: int | None = None
    late_note: str = ""

    @property
    def due_at(self) -> datetime | None:
        """When it is due for this student."""
        return self.release.due_at

    @property
    def cutoff_at(self) -> datetime | None:
        """After that this student cannot hand in."""
        return self.release.cutoff_at

    @property
    def can_start(self) -> bool:
        """Whether it is offered and open."""
        return self.release.withdrawn_at is None and self.opens_at is None

    @property
    def newest(self) -> Submission | None:
        """What will be graded."""
        return self.submissions[-1] if self.submissions else None


def lab_rows(
    releases: Iterable[Release],
    submissions: Iterable[Submission],
    graded: Iterable[str],
    feedback: Mapping[str, Feedback],
    now: datetime,
    *,
    bank_left: int = 0,
    bound: bool = True,
) -> list[LabRow]:
    """A student's labs. `releases`: with this student's own times. `graded`: ids of submissions with a report.

    bank_left: late days. bound: to times and attempts; those who teach are not. A mark is shown with its feedback only.
    """
    by_lab: dict[str, list[Submission]] = {}
    for submission in submissions:
        by_lab.setdefault(submission.lab, []).append(submission)
    done = set(graded)
    rows = []
    for release in by_due_time(releases):
        mine = by_lab.get(release.lab, [])
        if release.withdrawn_at is not None and not mine:
            continue
        marked = next((each for each in reversed(mine) if each.id in feedback), None)
        rows.append(
            LabRow(
                release=release,
                submissions=tuple(mine),
                state=_state(mine, done, feedback),
                overdue=release.due_at is not None and not mine and release.due_at < now,
                marked=marked,
                mark=mark_of(feedback[marked.id]) if marked else None,
                opens_at=release.opens_at if bound and release.opens_at and now < release.opens_at else None,
                attempts_left=max(0, release.attempts - len(mine)) if release.attempts is not None else None,
                late_note=_late_note(release, bank_left),
            )
        )
    return rows


def with_starts(rows: Iterable[LabRow], starts: Mapping[tuple[str, str], datetime]) -> list[LabRow]:
    """The same labs, each with when it was started last. `starts`: by course and lab."""
    found = []
    for row in rows:
        at = starts.get((row.release.course, row.release.lab))
        state: State = "working" if at and row.state == "not started" else row.state
        found.append(replace(row, started_at=at, state=state))
    return found


def _late_note(release: Release, bank_left: int) -> str:
    """What handing in late costs, in a sentence."""
    percent = spoken().percent(release.late_percent / 100)
    if release.late_kind == "deduction":
        return _("Late: %(percent)s of the points off for each day begun.") % {"percent": percent}
    if release.late_kind == "bank":
        left = ngettext(
            "Late: you have %(num)s late day left, for all labs of the course together.",
            "Late: you have %(num)s late days left, for all labs of the course together.",
            bank_left,
        ) % {"num": bank_left}
        beyond = _("Each day begun beyond that takes %(percent)s of the points off.") % {"percent": percent}
        return f"{left} {beyond}" if release.late_percent else left
    return ""


def by_due_time(releases: Iterable[Release]) -> list[Release]:
    """What is due first comes first; what is never due comes last."""
    return sorted(releases, key=lambda row: (row.due_at is None, row.due_at or row.released_at, row.title))


def _state(mine: list[Submission], graded: set[str], feedback: Mapping[str, Feedback]) -> State:
    if not mine:
        return "not started"
    if mine[-1].id in feedback:
        return "feedback out"
    return "graded" if mine[-1].id in graded else "submitted"


def is_released(report: Report, feedback: Feedback) -> bool:
    """Whether `feedback` was released from this report; a report of a later regrade is not out yet."""
    return report.graded_at <= feedback.released_at


def mark_of(row: Feedback | Report) -> Mark | None:
    """The mark of a report or of released feedback, if it has one."""
    if row.points is None or row.max_points is None:
        return None
    off = row.late_penalty if isinstance(row, Report) else 0.0  # feedback has it off already
    return Mark(row.points - off, row.max_points)
