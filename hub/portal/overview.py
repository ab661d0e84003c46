"""What a student's and an instructor's tables say, worked out from rows of the record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from grader.models import Feedback, Member, Release, Report, Submission

State = Literal["not started", "submitted", "graded", "feedback out"]


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


@dataclass(frozen=True)
class Cell:
    """One student's newest submission of one lab, as the instructor sees it."""

    submission: Submission
    state: str  # submitted | graded | by hand | failed | feedback out
    mark: Mark | None
    late: bool


@dataclass(frozen=True)
class StudentRow:
    """One line of an instructor's table."""

    username: str
    name: str
    section: str
    enrolled: bool
    cells: Mapping[str, Cell]  # by lab


def class_table(
    members: Iterable[Member],
    releases: Iterable[Release],
    submissions: Iterable[Submission],
    reports: Mapping[str, Report],
    feedback: Mapping[str, Feedback],
) -> list[StudentRow]:
    """Students by labs: everybody enrolled as a student, then others who handed something in."""
    due = {release.lab: release.due_at for release in releases}
    cells: dict[str, dict[str, Cell]] = {}
    for submission in submissions:  # oldest first: the newest stays
        report, released = reports.get(submission.id), feedback.get(submission.id)
        if report and released and not is_released(report, released):
            released = None  # graded again since: the new report is what there is to release
        limit = due.get(submission.lab)
        cells.setdefault(submission.username, {})[submission.lab] = Cell(
            submission=submission,
            state=_cell_state(report, released),
            mark=mark_of(released) if released else mark_of(report) if report else None,
            late=limit is not None and submission.received_at > limit,
        )
    people = list(members)
    students = [
        StudentRow(each.username, each.name, each.section, True, cells.get(each.username, {}))
        for each in people
        if each.role == "student"
    ]
    known = {row.username for row in students}
    names = {each.username: each.name for each in people}
    others = [
        StudentRow(username, names.get(username, ""), "", False, found)
        for username, found in sorted(cells.items())
        if username not in known
    ]
    return sorted(students, key=lambda row: (row.section, row.username)) + others


def _cell_state(report: Report | None, feedback: Feedback | None) -> str:
    if feedback:
        return "feedback out"
    if report is None:
        return "submitted"
    return {"needs-manual": "by hand", "failed": "failed"}.get(report.state, "graded")
