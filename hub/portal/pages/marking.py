"""One submission as a grader reads it: its exercises with marks and comments to give, and the notebook beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from grader import writing
from grader.marks import LONGEST_COMMENT, ExerciseCells, Sheet, released_exercises
from grader.models import Feedback, Release, Report, Submission
from grader.names import NameRefused, check_username
from hub.portal.desk import Desk, no_page
from hub.portal.headers import FEEDBACK_POLICY
from hub.portal.login import Visitor
from hub.portal.marktable import SORTS, in_order, mark_rows
from hub.portal.pages.grading import cells_of, graded_release
from hub.portal.pages.instructor import release_to
from hub.portal.pages.server import formgraders_course

if TYPE_CHECKING:  # imported when it is needed: it brings nbgrader with it
    from grader.gradebook import SubmissionMarks

_Form = tuple[Visitor, dict[str, str]]


@dataclass(frozen=True)
class Marked:
    """A student's newest submission of a lab, and what the gradebook has of it, once it was graded."""

    release: Release
    submission: Submission
    report: Report | None
    cells: tuple[ExerciseCells, ...]
    sheet: Sheet | None
    marks: SubmissionMarks | None


def marking_pages(desk: Desk) -> APIRouter:
    """Routes about one student's submission of a lab, for those who grade."""
    router = APIRouter(prefix="/courses/{course}/labs/{lab}/students/{username}")
    who, sent, long_sent = Depends(desk.visitor), Depends(desk.form), Depends(desk.long_form)

    @router.get("")
    def submission_page(course: str, lab: str, username: str, visitor: Visitor = who) -> Response:
        """Exercises with marks and comments, evidence, the notebook."""
        return _page(desk, visitor, _marked(desk, visitor, course, lab, username))

    @router.post("")
    def save(course: str, lab: str, username: str, form: _Form = long_sent) -> Response:
        """Write marks and comments into the gradebook."""
        from grader.gradebook import GradebookError
        from grader.latemarks import settle_lateness
        from grader.markbook import markbook_of

        visitor, fields = form
        found = _marked(desk, visitor, course, lab, username)
        if found.sheet is None:
            raise no_page()
        desk.limits.marking.press(visitor.name)
        try:
            markbook_of(desk.settings.places, course).mark(
                lab, username, found.cells, points=_points(fields), comments=_comments(fields, found.sheet)
            )
            settle_lateness(desk.store, desk.settings.places, course, only=(lab, [username]))
        except GradebookError as problem:
            return _page(desk, visitor, found, problem=str(problem), entered=fields)
        visitor.session.notice = f"Saved for {username}."
        after = _neighbours(desk, found)[1] if fields.get("then") == "next" else None
        return _to(desk, course, lab, after or username)

    @router.get("/{page}.html")
    def notebook(course: str, lab: str, username: str, page: str, visitor: Visitor = who) -> Response:
        """The marked notebook as feedback would show it now, in a sandbox of the browser."""
        from grader.feedback import notebook_page

        found = _marked(desk, visitor, course, lab, username)
        if found.report is None or found.marks is None or page not in found.report.notebooks:
            raise no_page()
        return Response(
            notebook_page(desk.store, page, found.submission, found.report, found.marks),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": FEEDBACK_POLICY, "X-Frame-Options": "SAMEORIGIN"},
        )

    @router.post("/feedback")
    def release_again(course: str, lab: str, username: str, form: _Form = sent) -> Response:
        """Let this one student read marks and comments as they are now."""
        visitor = form[0]
        desk.taught(visitor, course)
        _marked(desk, visitor, course, lab, username)
        desk.limits.feedback.press(visitor.name)
        visitor.session.notice = release_to(desk, course, lab, username, visitor.name)
        return _to(desk, course, lab, username)

    return router


def _to(desk: Desk, course: str, lab: str, username: str) -> RedirectResponse:
    return desk.to("courses", course, "labs", lab, "students", username)


def _marked(desk: Desk, visitor: Visitor, course: str, lab: str, username: str) -> Marked:
    release = graded_release(desk, visitor, course, lab)
    try:
        check_username(username)
    except NameRefused:
        raise no_page() from None
    submissions = desk.store.submissions_of(username, course, lab)
    if not submissions:
        raise no_page()
    submission = submissions[-1]
    report, cells = desk.store.report(submission.id), cells_of(desk, release)
    sheet, marks = None, None
    if report is not None and report.in_gradebook_at is not None:
        sheet, marks = _in_gradebook(desk, release, username, cells)
    return Marked(release, submission, report, cells, sheet, marks)


def _in_gradebook(
    desk: Desk, release: Release, username: str, cells: tuple[ExerciseCells, ...]
) -> tuple[Sheet | None, SubmissionMarks | None]:
    from grader.gradebook import GradebookError
    from grader.markbook import markbook_of

    book = markbook_of(desk.settings.places, release.course)
    try:
        return book.sheet(release.lab, username, cells), book.submission_marks(release.lab, username)
    except GradebookError:  # somebody took the gradebook away
        return None, None


def _due_at(desk: Desk, found: Marked) -> datetime | None:
    """When the lab is due for this student."""
    own = desk.store.own_releases(found.release.course, found.submission.username, withdrawn=True)
    return next((each.due_at for each in own if each.lab == found.release.lab), None)


def _page(
    desk: Desk,
    visitor: Visitor,
    found: Marked,
    *,
    problem: str = "",
    entered: Mapping[str, str] | None = None,
) -> Response:
    course, username = found.release.course, found.submission.username
    before, after = _neighbours(desk, found)
    feedback = desk.store.feedback_of(found.submission.id)
    return desk.render.page(
        "marking.html",
        visitor,
        422 if problem else 200,
        course=desk.store.course(course),
        found=found,
        due_at=_due_at(desk, found),
        member=desk.store.someone(course, username),
        feedback=feedback,
        is_current=feedback is not None and _is_current(desk, found, feedback),
        said={row["exercise"]: row["message"] for row in (found.report.exercises if found.report else [])},
        entered=entered or {},
        problem=problem,
        digest=_digest,
        longest_comment=LONGEST_COMMENT,
        formgraders_course=formgraders_course(visitor),
        before=before,
        after=after,
    )


def _neighbours(desk: Desk, found: Marked) -> tuple[str | None, str | None]:
    """The students before and after in the order of names."""
    release = found.release
    work = {each.username: each for each in desk.store.work_on(release.course, release.lab)}
    people, extended = desk.store.roll(release.course), desk.store.extended(release.course)
    rows = in_order(mark_rows(people, release, work, {}, extended), SORTS[0])
    names = [row.person.username for row in rows]
    at = names.index(found.submission.username)
    return (names[at - 1] if at else None), (names[at + 1] if at + 1 < len(names) else None)


def _is_current(desk: Desk, found: Marked, feedback: Feedback) -> bool:
    """Whether feedback made now would be the one that is out: also after a change in Formgrader."""
    from grader.feedback import pages_of

    if found.report is None or found.marks is None:
        return True
    told = released_exercises(found.report.exercises, found.marks, found.cells)
    release = desk.store.find_release(found.submission.course, found.submission.lab)
    archive = pages_of(desk.store, found.submission, found.report, found.marks, release.reveal)
    return (
        found.report.graded_at
        <= feedback.released_at  # a later grading is released by somebody, not by itself
        and feedback.points == found.marks.points
        and feedback.exercises in (None, told)
        and hashlib.sha256(archive).hexdigest() == feedback.sha256
    )


def _points(fields: Mapping[str, str]) -> dict[str, float | None]:
    """The marks that this person changed; what another grader changed meanwhile stays. Raises MarkRefused."""
    from grader.markbook import MarkRefused

    points: dict[str, float | None] = {}
    for name, value in fields.items():
        kind, _, exercise = name.partition(":")
        text = value.strip().replace(",", ".")
        if kind != "mark" or text == fields.get(f"was:{exercise}", ""):
            continue
        try:
            points[exercise] = float(text) if text else None
        except ValueError:
            raise MarkRefused(f"{exercise}: {value.strip()[:20]} is no number of points.") from None
    return points


def _comments(fields: Mapping[str, str], sheet: Sheet) -> dict[tuple[str, str], str]:
    """The comments that this person changed."""
    comments = {}
    for each in sheet.exercises:
        for answer in each.answers:
            name = f"{each.notebook}:{answer.cell}"
            text = writing.text(fields.get(f"comment:{name}", answer.comment)).strip()
            if f"comment:{name}" in fields and fields.get(f"saw:{name}") != _digest(text):
                comments[each.notebook, answer.cell] = text
    return comments


def _digest(text: Any) -> str:
    return hashlib.sha256(writing.text(str(text)).strip().encode()).hexdigest()[:16]
