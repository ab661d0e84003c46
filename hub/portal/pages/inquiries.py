"""Inquiries about marks as graders see them: the list, one with its history, answer with new points, close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from grader.inquiries import LONGEST_ANSWER, InquiryRefused
from grader.marks import ExerciseSheet
from grader.models import Inquiry, InquiryStep
from grader.store import NotThere
from hub.portal.desk import Desk, no_page
from hub.portal.login import Visitor
from hub.portal.pages.grading import cells_of
from hub.portal.pages.instructor import release_to
from hub.portal.paging import paged

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds


def inquiry_pages(desk: Desk) -> APIRouter:
    """Routes below a course's inquiries, for those who grade."""
    router = APIRouter(prefix="/courses/{course}/inquiries")
    who, sent = Depends(desk.visitor), Depends(desk.form)
    store = desk.store

    @router.get("")
    def inquiries(course: str, page: int = 1, visitor: Visitor = who) -> Response:
        """All of the course, those that wait first."""
        desk.helped(visitor, course)
        return desk.render.page(
            "inquiries.html",
            visitor,
            course=store.course(course),
            waiting=store.count_open_inquiries(course),
            page=paged(store.inquiries(course), page),
            titles=_titles(desk, course),
            names={each.username: each.name for each in store.roll(course)},
        )

    @router.get("/{number}")
    def inquiry(course: str, number: _Number, visitor: Visitor = who) -> Response:
        """One inquiry with its history."""
        desk.helped(visitor, course)
        return _page(desk, visitor, *_found(desk, course, number))

    @router.post("/{number}/answer")
    def answer(course: str, number: _Number, form: _Form = sent) -> Response:
        """Answer, and change the points if new ones are given."""
        visitor, fields = form
        desk.helped(visitor, course)
        desk.limits.marking.press(visitor.name)
        found = _found(desk, course, number)
        try:
            visitor.session.notice = _answer(desk, visitor, found[0], fields)
        except InquiryRefused as problem:
            return _page(desk, visitor, *found, problem=str(problem), entered=fields)
        return desk.to("courses", course, "inquiries", str(number))

    @router.post("/{number}/close")
    def close(course: str, number: _Number, form: _Form = sent) -> Response:
        """Let nothing more be asked."""
        visitor = form[0]
        desk.helped(visitor, course)
        _found(desk, course, number)
        try:
            store.close_inquiry(number, by=visitor.name)
            visitor.session.notice = "The inquiry is closed. Its student still reads it."
        except InquiryRefused as problem:
            visitor.session.notice = str(problem)
        return desk.to("courses", course, "inquiries", str(number))

    return router


def _titles(desk: Desk, course: str) -> dict[str, str]:
    return {each.lab: each.title for each in desk.store.releases(course, withdrawn=True)}


def _found(desk: Desk, course: str, number: int) -> tuple[Inquiry, list[InquiryStep]]:
    try:
        row, steps = desk.store.inquiry(number)
    except NotThere:
        raise no_page() from None
    if row.course != course:
        raise no_page()
    return row, steps


def _page(
    desk: Desk,
    visitor: Visitor,
    row: Inquiry,
    steps: list[InquiryStep],
    *,
    problem: str = "",
    entered: Mapping[str, str] | None = None,
) -> Response:
    store = desk.store
    feedback = store.feedback_of(row.submission_id)
    changed = [step.at for step in steps if step.kind == "mark"]
    return desk.render.page(
        "inquiry.html",
        visitor,
        422 if problem else 200,
        course=store.course(row.course),
        row=row,
        steps=steps,
        title=_titles(desk, row.course).get(row.lab, row.lab),
        member=store.someone(row.course, row.username),
        exercise=_exercise(desk, row),
        is_newest=_is_newest(desk, row),
        feedback=feedback,
        unreleased=bool(changed) and (feedback is None or feedback.released_at < changed[-1]),
        problem=problem,
        entered=entered or {},
        longest_answer=LONGEST_ANSWER,
    )


def _is_newest(desk: Desk, row: Inquiry) -> bool:
    """Whether the gradebook is about the submission that was asked about: it has each student's newest."""
    return desk.store.submissions_of(row.username, row.course, row.lab)[-1].id == row.submission_id


def _exercise(desk: Desk, row: Inquiry) -> ExerciseSheet | None:
    """The exercise as the gradebook has it, if points can be given to it now."""
    from grader.gradebook import GradebookError
    from grader.markbook import markbook_of

    if not row.exercise or not _is_newest(desk, row):
        return None
    release = desk.store.find_release(row.course, row.lab)
    book = markbook_of(desk.settings.places, row.course)
    try:
        return book.sheet(row.lab, row.username, cells_of(desk, release)).exercise(row.exercise)
    except GradebookError:
        return None


def _answer(desk: Desk, visitor: Visitor, row: Inquiry, fields: Mapping[str, str]) -> str:
    """Keep an answer; say what came of it. Raises InquiryRefused, and then nothing was changed."""
    text, given = fields.get("text", ""), fields.get("points", "").strip().replace(",", ".")
    if not text.strip() or len(text) > LONGEST_ANSWER or row.state == "closed":
        given = ""  # the record refuses it below, before a mark was touched
    points = _give(desk, row, given) if given else None
    desk.store.answer_inquiry(row.id, by=visitor.name, text=text, points=points)
    if points is None:
        return "Answered. The student sees it with the feedback."
    told = f"Answered, and {row.exercise} has {points[1]:g} points now, before {points[0]:g}."
    if not visitor.person.may_teach(row.course):
        return f"{told} An instructor has to release the feedback again; until then the student sees the old mark."
    return f"{told} {release_to(desk, row.course, row.lab, row.username, visitor.name)}"


def _give(desk: Desk, row: Inquiry, given: str) -> tuple[float, float] | None:
    """Set the points of the exercise; say what they were and are, or None if they are as they were."""
    from grader.gradebook import GradebookError
    from grader.markbook import markbook_of

    if _exercise(desk, row) is None:
        raise InquiryRefused("Points cannot be given here. Answer without them.")
    cells = cells_of(desk, desk.store.find_release(row.course, row.lab))
    try:
        number = float(given)
    except ValueError:
        raise InquiryRefused(f"{given[:20]} is no number of points.") from None
    book = markbook_of(desk.settings.places, row.course)
    try:
        changes = book.mark(row.lab, row.username, cells, points={row.exercise: number}, comments={})
    except GradebookError as refused:
        raise InquiryRefused(str(refused)) from None
    return (changes[0].before, changes[0].after) if changes else None
