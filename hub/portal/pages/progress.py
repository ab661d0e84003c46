"""A student's page on their own way: outcomes mastered, points over time, what to do next and why that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from grader.marklog import HandedIn
from grader.models import Course
from hub.portal import charts
from hub.portal.desk import Desk
from hub.portal.languages import gettext as _
from hub.portal.languages import spoken
from hub.portal.login import Visitor
from hub.portal.mastery import MASTERED, next_steps, read_marks, read_outcomes, taught_by

_MOST_OUTCOMES = 12  # in the picture; the table has all


def progress_pages(desk: Desk) -> APIRouter:
    """The route for everybody who learns in a course."""
    router = APIRouter()
    who = Depends(desk.visitor)

    @router.get("/progress")
    def progress(visitor: Visitor = who) -> Response:
        """Each course of this student."""
        person = visitor.person
        now = datetime.now(UTC)
        rows = desk.store.handed_in(username=visitor.name)
        courses = [
            _course(desk, course, visitor.name, [row for row in rows if row.course == course.id], now)
            for course in desk.store.courses()
            if course.id in person.student_courses - person.helped_courses
        ]
        return desk.render.page(
            "progress.html",
            visitor,
            courses=courses,
            now=now,
            shown=_MOST_OUTCOMES,
            mastered=MASTERED,
        )

    return router


def _course(desk: Desk, course: Course, name: str, rows: Sequence[HandedIn], now: datetime) -> dict[str, Any]:
    """What the page says of one course; a mark and what follows from it only once its feedback is out."""
    releases = desk.store.own_releases(course.id, name, withdrawn=True)
    library = {name: entry.lab for name, entry in desk.catalogue.entries().items()}
    marks = read_marks(releases, rows)
    totals = list(accumulate(each.mark.points for each in marks))
    number = spoken().number
    points = [
        charts.Point(each.row.received_at, total, number(total))
        for each, total in zip(marks, totals, strict=True)
    ]
    outcomes = read_outcomes(marks, releases, library)
    bars = [
        charts.Bar(each.outcome, each.share, f"{number(each.points)} / {number(each.max_points)}")
        for each in sorted(outcomes, key=lambda each: each.share)[:_MOST_OUTCOMES]
    ]
    return {
        "course": course,
        "steps": next_steps(releases, library, rows, now),
        "outcomes": outcomes,
        "outcome_count": len(taught_by(releases, library)),
        "outcome_chart": charts.bars(f"outcomes-{course.id}", _("Points by outcome"), bars) if bars else "",
        "marks": list(zip(marks, totals, strict=True)),
        "total": sum(each.mark.points for each in marks),
        "out_of": sum(each.mark.out_of for each in marks),
        "time_chart": charts.over_time(f"points-{course.id}", _("Points over time"), points)
        if points
        else "",
    }
