"""Offers a lab to a course, and changes the terms: gradebook first, then the record, so that what students see can be graded."""

from __future__ import annotations

from datetime import datetime

from grader.archives import pack
from grader.gradebook import CourseGradebook
from grader.latemarks import settle_lateness
from grader.models import Release
from grader.schedule import Schedule
from grader.settings import Places
from grader.store import NotThere, Room, Store
from labs.model import Lab


def release_lab(
    store: Store,
    places: Places,
    lab: Lab,
    course: str,
    *,
    by: str,
    due_at: datetime | None = None,
    schedule: Schedule | None = None,
) -> Release:
    """Release `lab` to `course`; releasing again replaces what students get and keeps what they sent.

    schedule: takes the place of due_at. Raises GradebookError when nbgrader refuses, NotThere when there is no such
    course, ScheduleRefused.
    """
    store.course(course)
    if schedule is not None:
        due_at = schedule.checked().due_at
    took = _takes_off(store, course, lab.name)
    prepared = CourseGradebook(places, course).prepare_release(lab, due_at)
    release = store.release(
        course,
        lab.name,
        pack(prepared.files),
        title=lab.title,
        environment=lab.environment,
        max_points=prepared.max_points,
        by=by,
        due_at=due_at,
        schedule=schedule,
        source=pack(prepared.source),
        preload=lab.preload,
        fork=lab.fork,
        nested=lab.nested,
        cell_seconds=lab.cell_seconds,
        room=Room(lab.memory_mb, lab.cpus),
    )
    settle_lateness(store, places, course, also=took)
    return release


def change_terms(store: Store, places: Places, course: str, lab: str, schedule: Schedule) -> int:
    """Change times, late policy and the rest of a lab that is out; return how many marks that changed.

    Raises NotThere, ScheduleRefused.
    """
    before, took = store.find_release(course, lab).due_at, _takes_off(store, course, lab)
    store.set_schedule(course, lab, schedule)
    gradebook = CourseGradebook(places, course)
    if before != schedule.due_at and gradebook.exists:
        with gradebook.writer():
            gradebook.set_due(lab, schedule.due_at)
    return settle_lateness(store, places, course, also=took)


def _takes_off(store: Store, course: str, lab: str) -> tuple[str, ...]:
    try:
        return (lab,) if store.find_release(course, lab).late_kind != "none" else ()
    except NotThere:
        return ()
