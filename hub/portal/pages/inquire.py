"""A student's side of inquiries: ask about a mark where it is read, ask again, withdraw, and see what was answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path
from starlette.responses import RedirectResponse, Response

from grader import writing
from grader.inquiries import LONGEST_REASON, InquiryRefused
from grader.models import Feedback, Inquiry, InquiryStep, Submission
from grader.store import NotThere
from hub.portal.desk import Desk, no_page
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds
_NEW = timedelta(days=14)
_MOST_NEW = 3  # on the first page; the feedback page has all


@dataclass(frozen=True)
class Told:
    """An inquiry as its student reads it. may_reopen: it was answered, or they closed it themselves."""

    row: Inquiry
    steps: list[InquiryStep]
    may_reopen: bool


def inquire_pages(desk: Desk) -> APIRouter:
    """Routes of those who ask about a mark of theirs."""
    router = APIRouter()
    sent = Depends(desk.form)
    store = desk.store

    @router.post("/feedback/{submission_id}/inquiries")
    def inquire(submission_id: str, form: _Form = sent) -> Response:
        """Ask about an exercise, or about the whole."""
        visitor, fields = form
        submission = desk.own_submission(visitor, submission_id)
        feedback = store.feedback_of(submission.id)
        if submission.username != visitor.name or feedback is None:
            raise no_page()
        exercise, reason = fields.get("exercise", ""), _reason(fields)
        if exercise not in ("", *(each["exercise"] for each in told_exercises(desk, submission, feedback))):
            raise HTTPException(422, _("There is no such exercise in this feedback. Load the page again."))
        desk.limits.inquiries.press(visitor.name)
        try:
            store.inquire(submission, exercise, reason)
        except InquiryRefused:
            raise HTTPException(
                409, _("You asked about this already. Go on there, below the marks.")
            ) from None
        visitor.session.notice = _("Your inquiry is with those who grade. The answer will be here.")
        return _back(desk, submission.id)

    @router.post("/inquiries/{number}/reopen")
    def reopen(number: _Number, form: _Form = sent) -> Response:
        """Ask once more."""
        visitor, fields = form
        row = _own(desk, visitor, number)
        reason = _reason(fields)
        desk.limits.inquiries.press(visitor.name)
        try:
            store.reopen_inquiry(number, by=visitor.name, reason=reason)
        except InquiryRefused:
            raise HTTPException(409, _("This inquiry cannot be opened again.")) from None
        visitor.session.notice = _("Your inquiry is open again.")
        return _back(desk, row.submission_id)

    @router.post("/inquiries/{number}/withdraw")
    def withdraw(number: _Number, form: _Form = sent) -> Response:
        """Take an inquiry back."""
        visitor = form[0]
        row = _own(desk, visitor, number)
        try:
            store.close_inquiry(number, by=visitor.name)
            visitor.session.notice = _("Your inquiry is withdrawn.")
        except InquiryRefused:
            visitor.session.notice = _("This inquiry is closed already.")
        return _back(desk, row.submission_id)

    return router


def told_exercises(desk: Desk, submission: Submission, feedback: Feedback) -> list[dict[str, Any]]:
    """The exercises as the released feedback tells them; a later regrade is not in it."""
    if feedback.exercises is not None:
        return feedback.exercises
    report = desk.store.report(submission.id)
    return report.exercises if report is not None and report.graded_at <= feedback.released_at else []


def inquiries_told(desk: Desk, feedback: Feedback) -> list[Told]:
    """The inquiries about a submission as its student may read them: a mark once its feedback is released."""
    return [
        Told(
            row,
            [step for step in steps if step.kind != "mark" or step.at <= feedback.released_at],
            row.state == "answered" or (row.state == "closed" and steps[-1].by == row.username),
        )
        for row, steps in desk.store.inquiries_about(feedback.submission_id)
    ]


def inquiry_values(
    desk: Desk,
    visitor: Visitor,
    submission: Submission,
    feedback: Feedback,
    exercises: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """What inquiries.part.html shows below the marks."""
    told = inquiries_told(desk, feedback)
    asked = {each.row.exercise for each in told}
    names = [name for name in ("", *(each["exercise"] for each in exercises)) if name not in asked]
    return {
        "inquiries": told,
        "may_ask_about": names if submission.username == visitor.name else [],
        "longest_reason": LONGEST_REASON,
    }


def inquiry_news(desk: Desk, visitor: Visitor) -> list[dict[str, Any]]:
    """A person's inquiries that were answered lately, for their first page."""
    rows = desk.store.answered_inquiries(visitor.name, since=datetime.now(UTC) - _NEW, most=_MOST_NEW)
    return [
        {"row": row, "title": desk.store.find_release(row.course, row.lab).title}
        for row in rows
        if row.course in visitor.person.courses
    ]


def _reason(fields: dict[str, str]) -> str:
    reason = writing.text(fields.get("reason", "")).strip()
    if not reason:
        raise HTTPException(422, _("Say why you ask. Go back and write it."))
    if len(reason) > LONGEST_REASON:
        raise HTTPException(
            422,
            _("That is %(length)s characters; %(most)s at most. Go back and shorten it.")
            % {"length": len(reason), "most": LONGEST_REASON},
        )
    return reason


def _own(desk: Desk, visitor: Visitor, number: int) -> Inquiry:
    try:
        row, _steps = desk.store.inquiry(number)
    except NotThere:
        raise no_page() from None
    if row.username != visitor.name:
        raise no_page()
    return row


def _back(desk: Desk, submission_id: str) -> RedirectResponse:
    return desk.to("feedback", submission_id)
