"""What scripts read of a class by the JSON API: the caller's courses, and the marks of a lab a page at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query

from grader.classlog import Someone, Work
from grader.exchange import Sentences
from grader.models import Report
from grader.names import check_course, check_lab
from grader.people import Person
from grader.shapes import CourseShape, MarksPageShape
from grader.store import Store

MOST_STUDENTS = 200  # in one answer


def class_router(store: Store, person: Callable[..., Awaitable[Person]]) -> APIRouter:
    """Routes under /api/exchange that only read. `person`: as for `exchange_router`."""
    router = APIRouter(prefix="/api/exchange", route_class=Sentences, tags=["classes"])
    who = Depends(person)

    @router.get("/courses", response_model=list[CourseShape])
    def courses(person: Person = who) -> list[dict[str, str]]:
        """The caller's courses, and what the caller is in each."""
        return [
            {"id": row.id, "title": row.title, "role": person.role(row.id)}
            for row in store.courses()
            if row.id in person.courses
        ]

    @router.get("/marks/{course}/{lab}", response_model=MarksPageShape)
    def marks(
        course: str,
        lab: str,
        after: Annotated[str, Query(max_length=64, description="User name; those behind it come.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_STUDENTS, description="Students in one answer.")] = 100,
        person: Person = who,
    ) -> dict[str, Any]:
        """Marks of a lab by student, for instructors and assistants; who handed in nothing has no line."""
        if not person.may_help(check_course(course)):
            raise HTTPException(
                403, f"Only instructors and assistants of {course} may do this. Ask one of them."
            )
        store.find_release(course, check_lab(lab))
        work = sorted(store.work_on(course, lab), key=lambda each: each.username)
        left = [each for each in work if each.username > after]
        page = left[:limit]
        people = {each.username: each for each in store.roll(course)}
        reports = store.reports_for([each.submission_id for each in page])
        return {
            "marks": [
                _line(each, people.get(each.username), reports.get(each.submission_id)) for each in page
            ],
            "next": page[-1].username if len(left) > limit else None,
        }

    return router


def _line(work: Work, who: Someone | None, report: Report | None) -> dict[str, Any]:
    return {
        "username": work.username,
        "name": who.name if who else "",
        "group": who.section if who else "",
        "submission": work.submission_id,
        "received_at": work.received_at,
        "state": work.report_state or "handed-in",
        "points": work.mark,
        "max_points": work.max_points,
        "released_points": work.released_points,
        "exercises": report.exercises if report else [],
    }
