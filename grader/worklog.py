"""Reports and feedback in the record: what was graded, by which job, and what students may read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select, update

from grader.blobs import Blobs
from grader.database import NotThere
from grader.marklog import MarkLog
from grader.models import Feedback, Report, Submission


class WorkLog(MarkLog):
    """The grading half of the record."""

    blobs: Blobs

    # Reports

    def report(self, submission_id: str) -> Report | None:
        """The report of a submission, if it was graded."""
        with self._read() as session:
            return session.get(Report, submission_id)

    def reports(
        self, course: str, lab: str | None = None, username: str | None = None
    ) -> list[tuple[Submission, Report]]:
        """Graded submissions with their reports, oldest submission first."""
        query = (
            select(Submission, Report)
            .join(Report, Report.submission_id == Submission.id)
            .where(Submission.course == course)
            .order_by(Submission.received_at, Submission.id)
        )
        if lab is not None:
            query = query.where(Submission.lab == lab)
        if username is not None:
            query = query.where(Submission.username == username)
        with self._read() as session:
            return [(submission, report) for submission, report in session.execute(query)]

    def mark_in_gradebook(self, submission_ids: Iterable[str]) -> None:
        """Say that nbgrader's gradebook has these reports; the writer's last step."""
        ordered = list(submission_ids)
        with self._write() as session:
            for start in range(0, len(ordered), 500):  # SQLite bounds the variables of one statement
                session.execute(
                    update(Report)
                    .where(Report.submission_id.in_(ordered[start : start + 500]))
                    .values(in_gradebook_at=datetime.now(UTC))
                )

    # Feedback

    def release_feedback(
        self,
        submission_id: str,
        archive: bytes,
        by: str,
        points: float | None = None,
        max_points: float | None = None,
        *,
        exercises: list[dict[str, Any]] | None = None,
        late_penalty: float = 0.0,
    ) -> Feedback:
        """Let the student read feedback: a zip of <notebook>.html. Replaces what was released before.

        `points`, `max_points`, `exercises`: as the gradebook has them now, so that what the student reads stays put;
        `late_penalty`: what is off the points already, for lateness.
        """
        sha256, _ = self.blobs.put(archive)
        with self._write() as session:
            if session.get(Submission, submission_id) is None:
                raise NotThere(f"There is no submission {submission_id}. List the submissions again.")
            feedback = session.merge(
                Feedback(
                    submission_id=submission_id,
                    sha256=sha256,
                    released_at=datetime.now(UTC),
                    released_by=by,
                    points=points,
                    max_points=max_points,
                    exercises=exercises,
                    read_at=None,
                    late_penalty=late_penalty,
                )
            )
        return feedback

    def feedback_of(self, submission_id: str) -> Feedback | None:
        """The feedback released for a submission, if any."""
        with self._read() as session:
            return session.get(Feedback, submission_id)

    def feedback_for(self, submission_ids: Iterable[str]) -> dict[str, Feedback]:
        """Feedback of many submissions at once, by submission id."""
        wanted = set(submission_ids)
        if not wanted:
            return {}
        found: dict[str, Feedback] = {}
        ordered = sorted(wanted)
        with self._read() as session:
            for start in range(0, len(ordered), 500):  # SQLite bounds the variables of one statement
                batch = ordered[start : start + 500]
                for row in session.scalars(select(Feedback).where(Feedback.submission_id.in_(batch))):
                    found[row.submission_id] = row
        return found


def newest_of_each(course: str, lab: str) -> Select[Submission]:
    """A query for the newest submission of each student of a lab."""
    ranked = (
        select(
            Submission.id,
            func.row_number()
            .over(
                partition_by=Submission.username,
                order_by=(Submission.received_at.desc(), Submission.id.desc()),
            )
            .label("rank"),
        )
        .where(Submission.course == course, Submission.lab == lab)
        .subquery()
    )
    return (
        select(Submission)
        .join(ranked, ranked.c.id == Submission.id)
        .where(ranked.c.rank == 1)
        .order_by(Submission.username)
    )
