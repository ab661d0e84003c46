"""Open courses: anybody with an account joins one, and its students may leave."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import Response

from grader.opencourses import NotOpen
from grader.people import STUDENT_PREFIX
from grader.store import NotThere
from hub.portal.desk import Desk, no_page
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor

_Form = tuple[Visitor, dict[str, str]]


def open_course_pages(desk: Desk) -> APIRouter:
    """The forms of the catalogue and of the first page."""
    router = APIRouter(prefix="/courses/{course}")
    sent = Depends(desk.form)

    @router.post("/join")
    def join(course: str, form: _Form = sent) -> Response:
        """Become a student of an open course; on to the lab for which they join, or to the first page."""
        visitor, fields = form
        try:
            desk.store.join_course(course, visitor.name)
        except (NotThere, NotOpen):
            raise no_page() from None
        if not visitor.person.may_learn(course):
            desk.hub.regroup(visitor.name, STUDENT_PREFIX + course, inside=True)
            title = desk.store.course(course).title
            visitor.session.notice = _("You are in the course %(course)s.") % {"course": title}
        lab = fields.get("lab", "")
        return desk.to("labs", course, lab) if lab else desk.to("")

    @router.post("/leave")
    def leave(course: str, form: _Form = sent) -> Response:
        """Leave an open course. What was handed in is kept."""
        visitor = form[0]
        try:
            desk.store.leave_course(course, visitor.name)
        except (NotThere, NotOpen):
            raise no_page() from None
        desk.hub.regroup(visitor.name, STUDENT_PREFIX + course, inside=False)
        title = desk.store.course(course).title
        visitor.session.notice = _("You left the course %(course)s. What you handed in is kept.") % {
            "course": title
        }
        return desk.to("")

    return router
