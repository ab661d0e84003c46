"""Jobs, reports and feedback in the record: what was graded, by which job, and what students may read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from grader.blobs import Blobs
from grader.database import Database, NotThere
from grader.models import Feedback, Job, Report, Submission


class WorkLog(Database):
    """The grading half of the record."""

    blobs: Blobs

    # Jobs. State only goes forward: waiting -> running -> done or failed; a running job may be started again.

    def create_job(self, course: str, lab: str, requested_by: str) -> Job:
        """Record that somebody asked for `lab` of `course` to be graded."""
        with self._write() as session:
            job = Job(
                course=course,
                lab=lab,
                requested_by=requested_by,
                state="waiting",
                created_at=datetime.now(UTC),
                started_at=None,
                finished_at=None,
                total=0,
                done=0,
                message="",
            )
            session.add(job)
        return job

    def job(self, job_id: int) -> Job:
        """One job. Raises NotThere."""
        with self._read() as session:
            return _job(session, job_id)

    def jobs(self, course: str, lab: str | None = None) -> list[Job]:
        """Jobs of a course (and lab), newest first."""
        query = select(Job).where(Job.course == course).order_by(Job.id.desc())
        if lab is not None:
            query = query.where(Job.lab == lab)
        with self._read() as session:
            return list(session.scalars(query))

    def start_job(self, job_id: int, total: int) -> Job:
        """Say that a job runs, over `total` submissions. A job that was killed half-way starts again this way."""
        with self._write() as session:
            job = _job(session, job_id)
            job.state, job.started_at, job.finished_at = "running", datetime.now(UTC), None
            job.total, job.done, job.message = total, 0, ""
        return job

    def job_progress(self, job_id: int, done: int, message: str = "") -> None:
        """Say how many submissions of a running job are done."""
        with self._write() as session:
            session.execute(update(Job).where(Job.id == job_id).values(done=done, message=message))

    def finish_job(self, job_id: int, *, failed: bool = False, message: str = "") -> Job:
        """Say that a job is over."""
        with self._write() as session:
            job = _job(session, job_id)
            job.state, job.finished_at, job.message = (
                ("failed" if failed else "done"),
                datetime.now(UTC),
                message,
            )
        return job

    # Reports

    def save_report(self, report: Report) -> None:
        """Keep a report, whole; it replaces an earlier one of the same submission."""
        with self._write() as session:
            session.merge(report)

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

    def mark_in_gradebook(self, submission_id: str) -> None:
        """Say that nbgrader's gradebook has this report; the writer's last step."""
        with self._write() as session:
            result = session.execute(
                update(Report)
                .where(Report.submission_id == submission_id)
                .values(in_gradebook_at=datetime.now(UTC))
            )
            if isinstance(result, CursorResult) and not result.rowcount:
                raise NotThere(f"No report of submission {submission_id}. Grade it first.")

    # Feedback

    def release_feedback(
        self,
        submission_id: str,
        archive: bytes,
        by: str,
        points: float | None = None,
        max_points: float | None = None,
    ) -> Feedback:
        """Let the student read feedback: a zip of <notebook>.html. Replaces what was released before.

        `points`, `max_points`: the mark as the gradebook has it now, so that what the student reads stays put.
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


def _job(session: Session, job_id: int) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise NotThere(f"There is no job {job_id}. List the course's jobs for its number.")
    return job


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
