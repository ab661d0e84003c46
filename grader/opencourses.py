"""Open courses in the record: which anybody with an account may join, who joins and leaves them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from grader.database import NotThere, RecordError
from grader.memberlog import MemberLog, put_members
from grader.models import Course, Release
from grader.roster import MemberRow, check_member


class NotOpen(RecordError):
    """The course takes nobody who was not enrolled, and lets nobody go."""


class OpenCourseLog(MemberLog):
    """The record's open courses."""

    def open_courses(self) -> list[Course]:
        """Courses that anybody may join, by id."""
        with self._read() as session:
            return list(session.scalars(select(Course).where(Course.open).order_by(Course.id)))

    def set_open(self, course: str, is_open: bool) -> None:
        """Let anybody join a course, or nobody any more; who is in it stays. Raises NotThere."""
        with self._write() as session:
            row = session.get(Course, course)
            if row is None:
                raise NotThere(f"There is no course {course}. `ict course list` shows the courses there are.")
            row.open = is_open

    def join_course(self, course: str, username: str) -> None:
        """Make a person a student of an open course; who is in it stays as they are. Raises NotThere, NotOpen."""
        row = MemberRow(username)
        check_member(row)
        with self._changing(course) as (session, people):
            if username in people:
                return
            if not session.get_one(Course, course).open:
                raise NotOpen(f"{course} is not open. Ask an instructor to enrol you.")
            put_members(session, course, [row])

    def leave_course(self, course: str, username: str) -> None:
        """Take a student out of an open course; submissions stay. Raises NotThere, NotOpen."""
        with self._changing(course) as (session, people):
            found = people.get(username)
            if found is None or found.role != "student":
                raise NotThere(f"{username} is no student of {course}. List its members.")
            if not session.get_one(Course, course).open:
                raise NotOpen(f"{course} is not open. Ask an instructor to take you out.")
            session.delete(found)

    def offered(self, courses: Iterable[str]) -> list[Release]:
        """Labs offered to any of these courses, by course and name."""
        query = (
            select(Release)
            .where(Release.course.in_(list(courses)), Release.withdrawn_at.is_(None))
            .order_by(Release.course, Release.lab)
        )
        with self._read() as session:
            return list(session.scalars(query))
