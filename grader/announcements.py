"""Announcements in the record: what instructors told a course, and how far its e-mail came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader import writing
from grader.database import Database, NotThere, RecordError
from grader.models import Announcement, Course

LONGEST_TITLE = 200
LONGEST_TEXT = 5_000


class AnnouncementRefused(RecordError):
    """An announcement that cannot be kept; the message says why."""


class AnnouncementLog(Database):
    """The record's announcements."""

    def announce(
        self, course: str, title: str, text: str, *, by: str, mail_to: int | None = None
    ) -> Announcement:
        """Tell a course something. mail_to: how many people it goes to by e-mail; None: no e-mail.

        Raises AnnouncementRefused, NotThere.
        """
        title, text = writing.line(title), writing.text(text).strip()
        if not title or not text:
            raise AnnouncementRefused("An announcement has a title and a text. Write both.")
        if len(title) > LONGEST_TITLE or len(text) > LONGEST_TEXT:
            raise AnnouncementRefused(
                f"The title has {len(title)} characters and the text {len(text)}; "
                f"{LONGEST_TITLE} and {LONGEST_TEXT} at most. Shorten it."
            )
        with self._write() as session:
            if session.get(Course, course) is None:
                raise NotThere(f"There is no course {course}. `ict course list` shows the courses there are.")
            row = Announcement(
                course=course, author=by, at=datetime.now(UTC), title=title, text=text, mail_to=mail_to
            )
            session.add(row)
        return row

    def announcements(self, course: str, *, withdrawn: bool = False) -> list[Announcement]:
        """What a course was told, newest first; with `withdrawn`, what was taken back too."""
        query = select(Announcement).where(Announcement.course == course).order_by(Announcement.id.desc())
        if not withdrawn:
            query = query.where(Announcement.withdrawn_at.is_(None))
        with self._read() as session:
            return list(session.scalars(query))

    def recent_announcements(
        self, courses: Iterable[str], *, since: datetime, most: int
    ) -> list[Announcement]:
        """The newest that stand, of several courses."""
        query = (
            select(Announcement)
            .where(
                Announcement.course.in_(list(courses)),
                Announcement.at >= since,
                Announcement.withdrawn_at.is_(None),
            )
            .order_by(Announcement.id.desc())
            .limit(most)
        )
        with self._read() as session:
            return list(session.scalars(query))

    def withdraw_announcement(self, course: str, number: int) -> Announcement:
        """Take an announcement back: no student sees it any more. Raises NotThere."""
        with self._write() as session:
            row = _announcement(session, number)
            if row.course != course:
                raise _none(number)
            if row.withdrawn_at is None:
                row.withdrawn_at = datetime.now(UTC)
        return row

    def mailed(self, number: int, sent: int, told: str = "", *, ended: bool = False) -> Announcement:
        """Note how far the e-mail of an announcement is. told: what went wrong. Raises NotThere."""
        with self._write() as session:
            row = _announcement(session, number)
            row.mail_sent, row.mail_told = sent, told
            row.mail_ended_at = datetime.now(UTC) if ended else None
        return row


def _announcement(session: Session, number: int) -> Announcement:
    row = session.get(Announcement, number)
    if row is None:
        raise _none(number)
    return row


def _none(number: int) -> NotThere:
    return NotThere(f"There is no announcement {number} in this course. List them again.")
