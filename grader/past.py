"""Gives a made-up class its past: the one place that says of rows of the record that they are older than they are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select, update

from grader.database import Database
from grader.models import Announcement, Feedback, Job, JobItem, Release, Report


class Past(Database):
    """Moments of rows that are there already. It is no part of Store, and the portal may not import it."""

    def released(self, course: str, lab: str, at: datetime) -> None:
        """Say when a lab was released."""
        with self._write() as session:
            session.execute(
                update(Release).where(Release.course == course, Release.lab == lab).values(released_at=at)
            )

    def announced(self, number: int, at: datetime) -> None:
        """Say when a course was told something."""
        with self._write() as session:
            session.execute(update(Announcement).where(Announcement.id == number).values(at=at))

    def asked_for(self, job_id: int, at: datetime) -> None:
        """Say when a job was asked for."""
        with self._write() as session:
            session.execute(update(Job).where(Job.id == job_id).values(created_at=at))

    def ran(self, job_id: int) -> None:
        """Say that a job began when it was asked for, and took as long as it did. Safe to repeat."""
        with self._write() as session:
            job = session.get_one(Job, job_id)
            back = job.created_at - (job.started_at or job.created_at)
            job.started_at, job.finished_at = job.created_at, _moved(job.finished_at, back)
            for item in session.scalars(select(JobItem).where(JobItem.job_id == job_id)):
                item.started_at, item.finished_at = (
                    _moved(item.started_at, back),
                    _moved(item.finished_at, back),
                )
            for report in session.scalars(select(Report).where(Report.job_id == job_id)):
                report.graded_at += back
                report.in_gradebook_at = _moved(report.in_gradebook_at, back)

    def given_back(self, submission_ids: Collection[str], at: datetime) -> None:
        """Say when the feedback of some submissions was released."""
        with self._write() as session:
            for submission_id in submission_ids:
                session.get_one(Feedback, submission_id).released_at = at


def _moved(moment: datetime | None, back: timedelta) -> datetime | None:
    return moment + back if moment else None
