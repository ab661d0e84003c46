"""People of courses in the record: one person, a whole roster, and that a course keeps an instructor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.database import AlreadyThere, Database, NotThere, RecordError
from grader.models import Course, Member, Submission
from grader.roster import MemberRow, Plan, RosterRow, check_member, plan_roster


class LastInstructor(RecordError):
    """The course would be left without an instructor."""


class RosterMoved(RecordError):
    """The course is not what it was when the change was shown."""


class MemberLog(Database):
    """The record's people. Each change is whole, and changes of one course queue."""

    def add_member(self, course: str, row: MemberRow) -> None:
        """Put one person into a course. Raises AlreadyThere, RosterRefused."""
        check_member(row)
        with self._changing(course) as (session, people):
            if row.username in people:
                raise AlreadyThere(f"{row.username} is in this course already. Change them in the list.")
            put_members(session, course, [row])

    def change_member(self, course: str, row: MemberRow) -> None:
        """Give a person other values. Raises NotThere, LastInstructor, RosterRefused."""
        check_member(row)
        with self._changing(course) as (session, people):
            if row.username not in people:
                raise _not_in(course, row.username)
            put_members(session, course, [row])

    def unenrol(self, course: str, username: str) -> None:
        """Take a person out of a course; their submissions stay. Raises NotThere, LastInstructor."""
        with self._changing(course) as (session, people):
            if username not in people:
                raise _not_in(course, username)
            session.delete(people[username])

    def apply_roster(self, course: str, rows: Sequence[RosterRow], shown: str) -> Plan:
        """Apply a roster whose plan had the fingerprint `shown`. Raises RosterMoved, LastInstructor."""
        with self._changing(course) as (session, people):
            plan = plan_roster(people.values(), rows)
            if plan.fingerprint != shown:
                raise RosterMoved("The course changed since this was shown. Look at the changes again.")
            put_members(session, course, [*plan.added, *(change.after for change in plan.changed)])
        return plan

    def last_submissions(self, course: str) -> dict[str, datetime]:
        """When each person of a course handed in last."""
        query = (
            select(Submission.username, func.max(Submission.received_at))
            .where(Submission.course == course)
            .group_by(Submission.username)
        )
        with self._read() as session:
            return {row[0]: row[1] for row in session.execute(query)}

    @contextmanager
    def _changing(self, course: str) -> Iterator[tuple[Session, dict[str, Member]]]:
        """The people of a course, by name, while others who change them wait; all is undone if no instructor is left."""
        with self._write() as session:
            if (
                session.scalar(select(Course).where(Course.id == course).with_for_update(key_share=True))
                is None
            ):
                raise NotThere(f"There is no course {course}. `ict course list` shows the courses there are.")
            rows = session.scalars(select(Member).where(Member.course == course).order_by(Member.username))
            people = {row.username: row for row in rows}
            was_taught = any(row.role == "instructor" for row in people.values())
            yield session, people
            session.flush()
            teaches = select(Member.username).where(Member.course == course, Member.role == "instructor")
            if was_taught and session.scalar(teaches.limit(1)) is None:
                raise LastInstructor(
                    f"{course} would be left without an instructor, so nothing was changed. "
                    "Make somebody else an instructor first."
                )


def put_members(session: Session, course: str, rows: Iterable[MemberRow]) -> None:
    """Write rows of a roster over what there is of these people."""
    for row in rows:
        session.merge(
            Member(
                course=course,
                username=row.username,
                role=row.role,
                name=row.name,
                email=row.email,
                section=row.section,
            )
        )


def _not_in(course: str, username: str) -> NotThere:
    return NotThere(f"{username} is not in course {course}. List its members.")
