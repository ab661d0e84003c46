"""An instructor's pages that explain: how labs and exercises went, who may need help, what the class mastered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends
from markupsafe import Markup
from starlette.responses import Response

from grader.marklog import HandedIn
from grader.models import Release
from hub.portal import attention, charts, insight, mastery
from hub.portal.attention import NeedsHelp, in_course_order, students_to_help
from hub.portal.desk import Desk
from hub.portal.insight import LabInsight, exercise_insights, lab_insight, percent
from hub.portal.kept import Kept
from hub.portal.login import Visitor
from hub.portal.mastery import OutcomeOfClass, outcome_map

_PATIENCE_S = 0.05  # then the page says that it is being worked out
_MOST_STUDENTS = 50  # with reasons on one page; more is no list to act on
_MOST_OUTCOMES = 12  # in the picture; the table has all


@dataclass(frozen=True)
class CourseInsight:
    """What the page of a course says. students: how many are enrolled."""

    students: int
    labs: list[tuple[Release, LabInsight]]
    help_for: list[NeedsHelp]
    outcomes: list[OutcomeOfClass]


def insight_pages(desk: Desk) -> APIRouter:
    """Routes below courses/, for those who teach the course."""
    router = APIRouter(prefix="/courses/{course}")
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render
    kept = Kept[CourseInsight](_PATIENCE_S)  # a thousand students' marks take seconds to go through

    @router.get("/insight")
    def course_insight(course: str, visitor: Visitor = who) -> Response:
        """The course's labs, students who may need help, the outcome map."""
        desk.helped(visitor, course)
        seen, work_out = _course(desk, course)
        answer = kept.get(course, seen, work_out)
        if answer is None:
            return render.page("insight_wait.html", visitor, course=store.course(course), refresh_s=1)
        found = answer.value
        return render.page(
            "insight_course.html",
            visitor,
            course=store.course(course),
            found=found,
            older=answer.seen != seen,
            refresh_s=1 if answer.seen != seen else 0,
            help_for=found.help_for[:_MOST_STUDENTS],
            labs_chart=_labs_chart(found),
            outcome_chart=_outcome_chart(found),
            attention=attention,
            mastered=percent(mastery.MASTERED),
            percent=percent,
        )

    @router.get("/labs/{lab}/insight")
    def one_lab(course: str, lab: str, visitor: Visitor = who) -> Response:
        """One lab: its marks, and what each exercise shows."""
        desk.helped(visitor, course)
        release = desk.release(visitor, course, lab)
        rows = store.handed_in(course=course, lab=lab)
        students = frozenset(each.username for each in store.members(course) if each.role == "student")
        return render.page(
            "insight_lab.html",
            visitor,
            course=store.course(course),
            release=release,
            **_lab(desk, release, rows, students),
            least=insight.LEAST_FOR_DISCRIMINATION,
            percent=percent,
            span=insight.span,
        )

    return router


def _course(desk: Desk, course: str) -> tuple[object, Callable[[], CourseInsight]]:
    """What a course's insight is worked out from, as far as it can change, and the work."""
    store, now = desk.store, datetime.now(UTC)
    members, releases = store.members(course), store.releases(course, withdrawn=True)
    library = {name: entry.lab for name, entry in desk.catalogue.entries().items()}
    seen = (
        store.last_changes(course),
        [(each.username, each.role, each.name) for each in members],
        [(each.lab, each.title, each.released_at, each.due_at, each.withdrawn_at) for each in releases],
        [each.due_at is not None and each.due_at < now for each in releases],
        library,
    )

    def work_out() -> CourseInsight:
        rows = store.handed_in(course=course)
        students = frozenset(each.username for each in members if each.role == "student")
        by_lab: dict[str, list[HandedIn]] = {}
        for row in rows:
            by_lab.setdefault(row.lab, []).append(row)
        shown = [each for each in releases if each.withdrawn_at is None or each.lab in by_lab]
        return CourseInsight(
            students=len(students),
            labs=[(each, lab_insight(by_lab.get(each.lab, []), students)) for each in in_course_order(shown)],
            help_for=students_to_help(members, shown, rows, now),
            outcomes=outcome_map(shown, library, rows, students),
        )

    return seen, work_out


def _labs_chart(found: CourseInsight) -> Markup:
    bars = [
        charts.Bar(each.title, lab.quartiles.median, percent(lab.quartiles.median))
        for each, lab in found.labs
        if lab.quartiles
    ]
    return charts.bars("labs", "Median mark of each lab", bars) if bars else Markup("")


def _outcome_chart(found: CourseInsight) -> Markup:
    """The outcomes that fewest have mastered."""
    met = [each for each in found.outcomes if each.students]
    fewest = sorted(met, key=lambda each: each.mastered / each.students)[:_MOST_OUTCOMES]
    bars = [
        charts.Bar(each.outcome, each.mastered / each.students, f"{each.mastered} of {each.students}")
        for each in fewest
    ]
    return (
        charts.bars("outcomes", "Outcomes that fewest students have mastered", bars) if bars else Markup("")
    )


def _lab(desk: Desk, release: Release, rows: Sequence[HandedIn], students: frozenset[str]) -> dict[str, Any]:
    found = lab_insight(rows, students)
    exercises = exercise_insights(rows, students, release.released_at)
    entry = desk.catalogue.entries().get(release.lab)
    titles = {name: each.title for name, each in entry.lab.exercises.items()} if entry else {}
    bars = [
        charts.Bar(titles.get(each.exercise, each.exercise), each.share, percent(each.share))
        for each in exercises
        if each.share is not None
    ]
    return {
        "lab": found,
        "marks_chart": charts.histogram("marks", "Students by mark", found.histogram) if found.marked else "",
        "exercises": exercises,
        "titles": titles,
        "difficulty_chart": charts.bars("difficulty", "Average share of the points", bars) if bars else "",
        "timed": any(each.hours is not None for each in exercises),
    }
