"""What a student's table of labs says, worked out from rows of the record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from grader.models import Feedback, Release, Report, Submission

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
) -> list[LabRow]:
    """A student's labs. `graded`: ids of submissions with a report. A mark is shown with its feedback only."""
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
    return Mark(row.points, row.max_points)
