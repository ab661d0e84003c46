"""Jobs in the record: who asked for what, and how far each submission is. At most one job of a lab is open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader.database import Database, NotThere, RecordError
from grader.models import Job, JobItem, Report, Submission

OPEN = ("waiting", "running")
RETRIED = ("failed", "cancelled")


class JobLog(Database):
    """A job goes waiting -> running -> done, failed or cancelled; one that was killed runs again where it was.

    Its submissions go waiting -> running -> graded, needs-manual, needs-look, failed, cancelled or superseded.
    """

    def open_job(
        self, course: str, lab: str, by: str, *, students: Collection[str] = (), regrade: bool = False
    ) -> tuple[Job, bool]:
        """Return the open job of a lab, widened to what is asked for now, or a new one; and whether it is new.

        students: empty for everybody. Two processes that ask at once get the same job.
        """
        while True:
            with self._write() as session:
                found = session.scalars(
                    select(Job).where(Job.course == course, Job.lab == lab, Job.state.in_(OPEN))
                ).first()
                if found is not None and found.cancel_requested_at is None:
                    both = {*(found.students or ()), *students}
                    found.students = sorted(both) if found.students and students else None
                    found.regrade = found.regrade or regrade
                    found.asked += 1
                    return found, False
                if found is not None:
                    raise RecordError(
                        f"Job {found.id} of {lab} is being cancelled. Wait a moment and ask again."
                    )
            try:
                return self._new_job(course, lab, by, students, regrade), True
            except IntegrityError:
                continue  # another process was quicker: share its job

    def _new_job(self, course: str, lab: str, by: str, students: Collection[str], regrade: bool) -> Job:
        with self._write() as session:
            job = Job(
                course=course,
                lab=lab,
                requested_by=by,
                students=sorted(students) or None,
                regrade=regrade,
                starts=0,
                state="waiting",
                created_at=datetime.now(UTC),
                started_at=None,
                finished_at=None,
                cancel_requested_at=None,
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

    def jobs(
        self, course: str | None = None, lab: str | None = None, *, only_open: bool = False
    ) -> list[Job]:
        """Jobs, newest first."""
        query = select(Job).order_by(Job.id.desc())
        if course is not None:
            query = query.where(Job.course == course)
        if lab is not None:
            query = query.where(Job.lab == lab)
        if only_open:
            query = query.where(Job.state.in_(OPEN))
        with self._read() as session:
            return list(session.scalars(query))

    def newest_jobs(self, course: str) -> list[Job]:
        """The newest job of each lab of a course, in no order."""
        newest = select(func.max(Job.id)).where(Job.course == course).group_by(Job.lab)
        with self._read() as session:
            return list(session.scalars(select(Job).where(Job.id.in_(newest))))

    def failed_jobs(self, since: datetime, most: int) -> list[Job]:
        """Jobs of all courses that failed, newest first."""
        failed = select(Job).where(Job.state == "failed", Job.finished_at >= since)
        with self._read() as session:
            return list(session.scalars(failed.order_by(Job.id.desc()).limit(most)))

    def tally(self) -> tuple[dict[str, int], dict[str, int], int]:
        """How many jobs and reports there are in each state, and how many submissions: for monitoring."""
        jobs = select(Job.state, func.count()).group_by(Job.state)
        reports = select(Report.state, func.count()).group_by(Report.state)
        with self._read() as session:
            return (
                {state: count for state, count in session.execute(jobs)},  # noqa: C416 (dict() of rows has no type)
                {state: count for state, count in session.execute(reports)},  # noqa: C416 (likewise)
                session.scalar(select(func.count()).select_from(Submission)) or 0,
            )

    def start_job(self, job_id: int) -> Job:
        """Say that a process runs the job now. What a killed one had begun waits again."""
        with self._write() as session:
            job = _job(session, job_id)
            if job.state not in OPEN:
                raise RecordError(
                    f"Job {job_id} is {job.state}. `ict jobs retry {job_id}` grades what it left."
                )
            job.state, job.started_at = "running", job.started_at or datetime.now(UTC)
            job.starts += 1
            session.execute(
                update(JobItem)
                .where(JobItem.job_id == job_id, JobItem.state == "running")
                .values(state="waiting", worker="")
            )
        return job

    def plan_items(self, job_id: int, submissions: Sequence[Submission]) -> None:
        """Add a waiting item for each submission that has none; older unfinished ones of its student are superseded."""
        with self._write() as session:
            items = {item.submission_id: item for item in session.scalars(_items(job_id))}
            newest = {submission.username: submission.id for submission in submissions}
            for item in items.values():
                if item.state in OPEN and newest.get(item.username, item.submission_id) != item.submission_id:
                    item.state, item.finished_at = "superseded", datetime.now(UTC)
            for submission in submissions:
                if submission.id not in items:
                    session.add(
                        JobItem(
                            job_id=job_id,
                            submission_id=submission.id,
                            username=submission.username,
                            state="waiting",
                            attempts=0,
                            started_at=None,
                            finished_at=None,
                            worker="",
                            message="",
                        )
                    )
            session.flush()
            _count(session, job_id)

    def items(self, job_id: int) -> list[JobItem]:
        """The submissions of a job by student, a superseded one before the one that counts."""
        with self._read() as session:
            return list(session.scalars(_items(job_id)))

    def items_started(self, job_id: int, submission_ids: Iterable[str]) -> None:
        """Say that these were handed to the workers."""
        with self._write() as session:
            session.execute(
                update(JobItem)
                .where(JobItem.job_id == job_id, JobItem.submission_id.in_(list(submission_ids)))
                .values(state="running", attempts=JobItem.attempts + 1, started_at=datetime.now(UTC))
            )

    def items_finished(self, job_id: int, reports: Iterable[tuple[Report, str]], *, new: bool = True) -> None:
        """Keep reports (each with its worker's name), whole, and say that their submissions are done.

        new: False for reports that were found and stand.
        """
        with self._write() as session:
            for report, worker in reports:
                if new:
                    session.merge(report)
                session.execute(
                    update(JobItem)
                    .where(JobItem.job_id == job_id, JobItem.submission_id == report.submission_id)
                    .values(
                        state=report.state,
                        finished_at=datetime.now(UTC),
                        worker=worker[:100],
                        message=report.message,
                    )
                )
            session.flush()
            _count(session, job_id)

    def cancel_job(self, job_id: int) -> Job:
        """Ask for a job to stop: nothing new is begun, and what is graded stays."""
        with self._write() as session:
            job = _job(session, job_id)
            if job.state not in OPEN:
                raise RecordError(f"Job {job_id} is {job.state} already: there is nothing to cancel.")
            job.cancel_requested_at = job.cancel_requested_at or datetime.now(UTC)
            if job.state == "waiting" and not job.starts:
                job.state, job.finished_at = "cancelled", datetime.now(UTC)
        return job

    def finish_job(self, job_id: int, state: str, message: str = "", *, asked: int | None = None) -> Job:
        """Say that a job is over. state: done, failed or cancelled; what was not reached is cancelled.

        asked: how often it was asked for when its submissions were looked up last. A job that was asked for since then
        stays open, and this changes nothing.
        """
        with self._write() as session:
            job = _job(session, job_id)
            if asked is not None and asked != job.asked:
                return job
            job.state, job.finished_at, job.message = state, datetime.now(UTC), message
            session.execute(
                update(JobItem)
                .where(JobItem.job_id == job_id, JobItem.state.in_(OPEN))
                .values(state="cancelled", finished_at=datetime.now(UTC))
            )
        return job

    def retry_job(self, job_id: int, by: str) -> Job:
        """Open a job for what this one left: its failed and cancelled submissions."""
        old = self.job(job_id)
        if old.state in OPEN:
            raise RecordError(f"Job {job_id} is {old.state}. Cancel it first, or wait for its end.")
        left = {item.username for item in self.items(job_id) if item.state in RETRIED}
        if not left and not (old.state != "done" and not old.total):
            raise RecordError(f"Job {job_id} left nothing to grade again.")
        students = left or set(old.students or ())
        return self.open_job(old.course, old.lab, by, students=students, regrade=False)[0]


def _job(session: Session, job_id: int) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise NotThere(f"There is no job {job_id}. `ict jobs list` shows them.")
    return job


def _items(job_id: int) -> Select[JobItem]:
    return (
        select(JobItem)
        .join(Submission, Submission.id == JobItem.submission_id)
        .where(JobItem.job_id == job_id)
        .order_by(JobItem.username, Submission.received_at)
    )


def _count(session: Session, job_id: int) -> None:
    counted = select(func.count()).where(JobItem.job_id == job_id, JobItem.state != "superseded")
    total = session.scalar(counted) or 0
    left = session.scalar(counted.where(JobItem.state.in_(OPEN))) or 0
    session.execute(update(Job).where(Job.id == job_id).values(total=total, done=total - left))
