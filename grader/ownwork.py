"""A student's own way in the record: which labs they started when, and which feedback they have not read."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from grader.database import Database
from grader.models import Feedback, LastStart, Submission


class OwnWorkLog(Database):
    """What the record keeps so that a student goes on where they stopped."""

    def started(self, username: str, course: str, lab: str) -> None:
        """Note that a student starts a lab now."""
        # two presses at once: one of them has noted it
        with contextlib.suppress(IntegrityError), self._write() as session:
            session.merge(LastStart(username=username, course=course, lab=lab, at=datetime.now(UTC)))

    def last_starts(self, username: str) -> dict[tuple[str, str], datetime]:
        """When a student started each of their labs last, by course and lab."""
        query = select(LastStart).where(LastStart.username == username)
        with self._read() as session:
            return {(row.course, row.lab): row.at for row in session.scalars(query)}

    def feedback_read(self, submission_id: str) -> None:
        """Note that the student has opened the feedback on a submission; the first time counts."""
        with self._write() as session:
            session.execute(
                update(Feedback)
                .where(Feedback.submission_id == submission_id, Feedback.read_at.is_(None))
                .values(read_at=datetime.now(UTC))
            )

    def unread_feedback(
        self, username: str, *, since: datetime, most: int
    ) -> list[tuple[Submission, Feedback]]:
        """Feedback on a student's submissions that they have not opened, newest first."""
        query = (
            select(Submission, Feedback)
            .join(Feedback, Feedback.submission_id == Submission.id)
            .where(Submission.username == username, Feedback.read_at.is_(None), Feedback.released_at >= since)
            .order_by(Feedback.released_at.desc(), Submission.id)
            .limit(most)
        )
        with self._read() as session:
            return [(submission, feedback) for submission, feedback in session.execute(query)]
