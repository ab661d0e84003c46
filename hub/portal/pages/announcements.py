"""Announcements of a course: instructors write and withdraw them, members read them, here and on their first page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from grader.announcements import LONGEST_TEXT, LONGEST_TITLE, AnnouncementRefused
from grader.models import Member
from grader.store import NotThere
from hub.portal.desk import Desk, no_page
from hub.portal.login import Visitor
from hub.portal.mailings import Mailings

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds
_NEW = timedelta(days=30)
_MOST_NEW = 3  # on the first page; the course's own page has all


def announcement_pages(desk: Desk) -> APIRouter:
    """Routes about what a course was told."""
    router = APIRouter(prefix="/courses/{course}/announcements")
    who, sent = Depends(desk.visitor), Depends(desk.form)
    mailings = Mailings(desk.store, desk.settings)

    def page(visitor: Visitor, course: str, **values: Any) -> Response:
        values = {"title": "", "text": "", "by_mail": False, "problem": ""} | values
        return desk.render.page(
            "announcements.html",
            visitor,
            422 if values["problem"] else 200,
            course=desk.store.course(course),
            announcements=desk.store.announcements(course, withdrawn=True),
            interrupted=mailings.is_interrupted,
            addresses=len(_with_address(desk, course)) if mailings.can_send else 0,
            can_send=mailings.can_send,
            longest_title=LONGEST_TITLE,
            longest_text=LONGEST_TEXT,
            **values,
        )

    @router.get("")
    def announcements(course: str, visitor: Visitor = who) -> Response:
        """All that stand; for instructors the withdrawn ones too, how e-mail went, and a form."""
        if not visitor.person.may_learn(course):
            raise no_page()
        desk.there(course)
        if visitor.person.may_teach(course):
            return page(visitor, course)
        return desk.render.page(
            "announced.html",
            visitor,
            course=desk.store.course(course),
            announcements=desk.store.announcements(course),
        )

    @router.post("")
    def announce(course: str, form: _Form = sent) -> Response:
        """Tell the course something."""
        visitor, fields = form
        desk.taught(visitor, course)
        said = {key: fields.get(key, "") for key in ("title", "text")}
        by_mail = mailings.can_send and "mail" in fields
        members = _with_address(desk, course) if by_mail else []
        try:
            row = desk.store.announce(
                course, **said, by=visitor.name, mail_to=len(members) if by_mail else None
            )
        except AnnouncementRefused as problem:
            return page(visitor, course, problem=str(problem), by_mail=by_mail, **said)
        if by_mail:
            mailings.send(row, desk.store.course(course), members)
        visitor.session.notice = "It is on the first page of everybody in the course."
        return desk.to("courses", course, "announcements")

    @router.post("/{number}/withdraw")
    def withdraw(course: str, number: _Number, form: _Form = sent) -> Response:
        """Take an announcement back."""
        desk.taught(form[0], course)
        try:
            desk.store.withdraw_announcement(course, number)
        except NotThere:
            raise no_page() from None
        form[0].session.notice = "The announcement is withdrawn. Students do not see it any more."
        return desk.to("courses", course, "announcements")

    return router


def news_of(desk: Desk, visitor: Visitor) -> list[dict[str, Any]]:
    """The newest announcements of the courses a person learns in, for their first page."""
    person = visitor.person
    rows = desk.store.recent_announcements(
        person.courses - person.instructor_courses, since=datetime.now(UTC) - _NEW, most=_MOST_NEW
    )
    return [{"said": row, "course": desk.store.course(row.course)} for row in rows]


def _with_address(desk: Desk, course: str) -> list[Member]:
    return [member for member in desk.store.members(course) if member.email]
