"""Submissions with what came of them, as few columns and queries as pages about whole courses can do with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select

from grader.joblog import JobLog
from grader.models import Feedback, Job, Report, Submission


class HandedIn(NamedTuple):
    """A submission, its report if it was graded, and the mark that its student may read if feedback is out."""

    id: str
    course: str
    lab: str
    username: str
    received_at: datetime
    state: str | None  # of the report
    points: float | None
    max_points: float | None
    exercises: list[dict[str, Any]] | None
    graded_at: datetime | None
    released_at: datetime | None  # of the feedback
    released_points: float | None
    released_max_points: float | None

    @property
    def is_graded(self) -> bool:
        """Whether a report says something of the student's work."""
        return self.state not in (None, "failed")

    @property
    def is_out(self) -> bool:
        """Whether its student may read this report; one of a later regrade is not out yet."""
        return (
            self.graded_at is not None and self.released_at is not None and self.graded_at <= self.released_at
        )


class MarkLog(JobLog):
    """The half of the record that is read to understand a class."""

    def handed_in(
        self, *, course: str | None = None, lab: str | None = None, username: str | None = None
    ) -> list[HandedIn]:
        """Submissions of a course, a lab or a person with what came of them, oldest first, in one query."""
        query = (
            select(
                *(Submission.id, Submission.course, Submission.lab, Submission.username),
                *(Submission.received_at, Report.state, Report.points, Report.max_points),
                *(Report.exercises, Report.graded_at),
                *(Feedback.released_at, Feedback.points, Feedback.max_points),
            )
            .outerjoin(Report, Report.submission_id == Submission.id)
            .outerjoin(Feedback, Feedback.submission_id == Submission.id)
            .order_by(Submission.received_at, Submission.id)
        )
        if course is not None:
            query = query.where(Submission.course == course)
        if lab is not None:
            query = query.where(Submission.lab == lab)
        if username is not None:
            query = query.where(Submission.username == username)
        with self._read() as session:
            return [HandedIn._make(row) for row in session.execute(query)]

    def last_changes(self, course: str) -> tuple[Any, ...]:
        """What differs as soon as something was handed in, graded or given back in a course.

        It differs when feedback is released in another course too: that is rare, and to know whose it is takes as long
        as reading it.
        """
        jobs = select(Job.id).where(Job.course == course)
        queries = (
            select(func.count(), func.max(Submission.received_at)).where(Submission.course == course),
            # jobs of two labs can write out of the order in which they graded: the writer's clock sees that
            select(func.count(), func.max(Report.graded_at), func.max(Report.in_gradebook_at)).where(
                Report.job_id.in_(jobs)
            ),
            select(func.count(), func.max(Feedback.released_at)).select_from(Feedback),
        )
        with self._read() as session:
            return tuple(tuple(session.execute(query).one()) for query in queries)
