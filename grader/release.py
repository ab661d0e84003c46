"""Offers a lab to a course: gradebook first, then the record, so that what students see can be graded."""

from __future__ import annotations

from datetime import datetime

from grader.archives import pack
from grader.gradebook import CourseGradebook
from grader.models import Release
from grader.settings import Places
from grader.store import Store
from labs.model import Lab


def release_lab(
    store: Store, places: Places, lab: Lab, course: str, *, by: str, due_at: datetime | None = None
) -> Release:
    """Release `lab` to `course`; releasing again replaces what students get and keeps what they sent.

    Raises GradebookError when nbgrader refuses, NotThere when there is no such course.
    """
    store.course(course)
    prepared = CourseGradebook(places, course).prepare_release(lab, due_at)
    return store.release(
        course,
        lab.name,
        pack(prepared.files),
        title=lab.title,
        environment=lab.environment,
        max_points=prepared.max_points,
        by=by,
        due_at=due_at,
        preload=lab.preload,
        fork=lab.fork,
        nested=lab.nested,
        cell_seconds=lab.cell_seconds,
    )
