"""What pages about a whole class ask of the record: one statement a question, and only the columns a page shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, func, select

from grader.models import Feedback, Member, Report, Submission
from grader.worklog import WorkLog

_MOST_NAMES = 500  # SQLite bounds the variables of one statement; a page shows far fewer


@dataclass(frozen=True)
class Someone:
    """Who a class page has a line for. enrolled: as a student; the others handed something in all the same."""

    username: str
    name: str
    section: str
    enrolled: bool


class Work(NamedTuple):
    """One student's newest submission of one lab, with what there is of its report and its feedback.

    A page makes thousands of these, and a tuple is made in a third of a dataclass's time. regraded: after the feedback.
    """

    submission_id: str
    lab: str
    username: str
    received_at: datetime
    report_state: str | None
    points: float | None
    max_points: float | None
    released: bool
    regraded: bool | None
    released_points: float | None
    released_max_points: float | None
    late_penalty: float | None

    @property
    def mark(self) -> float | None:
        """The points of the report, without what lateness costs."""
        return None if self.points is None else self.points - (self.late_penalty or 0.0)


@dataclass(frozen=True)
class Turnout:
    """Who handed in what, as far as pages show it. labs: how many people handed in each."""

    labs: Mapping[str, int]
    people: frozenset[str]


@dataclass(frozen=True)
class Remark:
    """What a report says of its submission as a whole, and its exercises. evidence: for instructors only."""

    message: str
    evidence: list[str]
    exercises: list[dict[str, Any]]


class ClassLog(WorkLog):
    """A class at a glance."""

    def __init__(self, engine: Engine) -> None:
        """Use a migrated engine."""
        super().__init__(engine)
        self._turnout: dict[str, tuple[int, Turnout]] = {}  # by course, with the submissions it is made from

    def roll(self, course: str) -> list[Someone]:
        """The students of a course, and whoever else handed something in; in no order."""
        query = select(Member.username, Member.name, Member.section, Member.role).where(
            Member.course == course
        )
        with self._read() as session:
            members = list(session.execute(query))
        students = [
            Someone(name, full, section, True) for name, full, section, role in members if role == "student"
        ]
        names = {name: full for name, full, _, _ in members}
        others = self.turnout(course).people - {each.username for each in students}
        return students + [Someone(name, names.get(name, ""), "", False) for name in others]

    def someone(self, course: str, username: str) -> Member | None:
        """One person of a course."""
        with self._read() as session:
            return session.get(Member, (course, username))

    def count_students(self, course: str) -> int:
        """How many are enrolled as students."""
        query = select(func.count()).where(Member.course == course, Member.role == "student")
        with self._read() as session:
            return session.scalar(query) or 0

    def turnout(self, course: str) -> Turnout:
        """Who handed in what. Worked out again when there are more submissions: they never change and never go."""
        here = Submission.course == course
        each = select(Submission.lab, Submission.username).where(here).distinct().subquery()
        with self._read() as session:
            count = session.scalar(select(func.count()).select_from(Submission).where(here)) or 0
            known = self._turnout.get(course)
            if known is None or known[0] != count:
                by_lab = session.execute(select(each.c.lab, func.count()).group_by(each.c.lab))
                labs = {lab: people for lab, people in by_lab}  # noqa: C416 (dict() of rows has no type)
                people = session.scalars(select(Submission.username).where(here).distinct())
                known = (count, Turnout(labs, frozenset(people)))
                self._turnout[course] = known
        return known[1]

    def work_of(self, course: str, usernames: Collection[str]) -> list[Work]:
        """The newest submission of each lab by each of these people, who are 500 at most."""
        if len(usernames) > _MOST_NAMES:
            raise ValueError(f"{len(usernames)} names: ask for {_MOST_NAMES} at a time")
        return self._work(Submission.course == course, Submission.username.in_(sorted(usernames)))

    def work_on(self, course: str, lab: str) -> list[Work]:
        """The newest submission of a lab by each person."""
        return self._work(Submission.course == course, Submission.lab == lab)

    def all_work(self, course: str) -> list[Work]:
        """The newest submission of each lab by each person: for downloads, it takes its time in a large course."""
        return self._work(Submission.course == course)

    def _work(self, *which: ColumnElement[bool]) -> list[Work]:
        rank = func.row_number().over(
            partition_by=(Submission.username, Submission.lab),
            order_by=(Submission.received_at.desc(), Submission.id.desc()),
        )
        ranked = (
            select(
                Submission.id, Submission.lab, Submission.username, Submission.received_at, rank.label("rank")
            )
            .where(*which)
            .subquery()
        )
        query = (
            select(
                ranked.c.id,
                ranked.c.lab,
                ranked.c.username,
                ranked.c.received_at,
                Report.state,
                Report.points,
                Report.max_points,
                Feedback.submission_id.is_not(None),
                Report.graded_at > Feedback.released_at,
                Feedback.points,
                Feedback.max_points,
                Report.late_penalty,
            )
            .outerjoin(Report, Report.submission_id == ranked.c.id)
            .outerjoin(Feedback, Feedback.submission_id == ranked.c.id)
            .where(ranked.c.rank == 1)
        )
        with self._read() as session:
            return [Work(*row) for row in session.execute(query)]

    def remarks(self, submission_ids: Collection[str]) -> dict[str, Remark]:
        """What the reports of a page's submissions say of each as a whole."""
        query = select(Report.submission_id, Report.message, Report.evidence, Report.exercises).where(
            Report.submission_id.in_(sorted(submission_ids))
        )
        with self._read() as session:
            return {row: Remark(*said) for row, *said in session.execute(query)}

    def reports_for(self, submission_ids: Collection[str]) -> dict[str, Report]:
        """The reports of a page's submissions, whole, by submission."""
        query = select(Report).where(Report.submission_id.in_(sorted(submission_ids)))
        with self._read() as session:
            return {report.submission_id: report for report in session.scalars(query)}

    def graded_ids(self, username: str, course: str) -> set[str]:
        """The ids of a person's submissions that have a mark."""
        query = (
            select(Submission.id)
            .join(Report, Report.submission_id == Submission.id)
            .where(Submission.username == username, Submission.course == course, Report.state != "failed")
        )
        with self._read() as session:
            return set(session.scalars(query))
