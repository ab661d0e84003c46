"""A student's pages: labs with their state, the catalogue, submissions and receipts, mark and feedback."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response

from grader.archives import ArchiveTooLarge, read_member
from grader.models import Feedback
from grader.receipts import ReceiptRefused
from hub.portal.desk import Desk, no_page
from hub.portal.headers import FEEDBACK_POLICY
from hub.portal.languages import gettext as _
from hub.portal.languages import later
from hub.portal.login import Visitor
from hub.portal.overview import LabRow, is_released, lab_rows, mark_of
from hub.portal.pages.announcements import news_of
from hub.portal.pages.hand import hand_values

TRACKS = {
    "network": later("Networks"),
    "linux": later("Linux"),
    "security": later("Security"),
    "database": later("Databases"),
    "cloud": later("Cloud"),
    "ai": later("Artificial intelligence"),
    "wireless": later("Wireless"),
    "iot": later("Internet of things"),
    "programming": later("Programming"),
}
_MOST_FEEDBACK_BYTES = 30_000_000  # one notebook's page, unpacked


def student_pages(desk: Desk) -> APIRouter:
    """Routes for everybody who is in a course."""
    router = APIRouter()
    _home(router, desk)
    _receipts(router, desk)
    _feedback(router, desk)
    return router


def _home(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render

    @router.get("/")
    def home(visitor: Visitor = who) -> Response:
        """Courses and labs."""
        person = visitor.person
        courses = [
            {"course": course, "labs": rows_of(desk, visitor, course.id)}
            for course in store.courses()
            if course.id in person.student_courses and course.id not in person.instructor_courses
        ]
        taught = [
            {
                "course": course,
                "labs": len(store.releases(course.id)),
                "students": store.count_students(course.id),
            }
            for course in store.courses()
            if course.id in person.instructor_courses
        ]
        servers = {name: visitor.user.server_state(name) for name in sorted(visitor.user.servers) if name}
        running = {name: state for name, state in servers.items() if state != "off"}
        return render.page(
            "home.html",
            visitor,
            courses=courses,
            taught=taught,
            servers=running,
            notes=desk.catalogue.notes() if courses else {},
            news=news_of(desk, visitor),
        )

    @router.get("/catalogue")
    def catalogue(visitor: Visitor = who) -> Response:
        """Every lab there is, with what it takes and gives."""
        released: dict[str, list[tuple[str, str]]] = {}
        for course in sorted(visitor.person.student_courses | visitor.person.instructor_courses):
            teaches = course in visitor.person.instructor_courses
            for release in store.releases(course):
                way = ("courses", course, "labs", release.lab) if teaches else ("labs", course, release.lab)
                path = "/".join(quote(part, safe="") for part in way)
                released.setdefault(release.lab, []).append((course, path))
        return render.page(
            "catalogue.html",
            visitor,
            entries=desk.catalogue.entries(),
            notes=desk.catalogue.notes(),
            tracks=TRACKS,
            released=released,
        )

    @router.get("/labs/{course}/{lab}")
    def lab_page(course: str, lab: str, visitor: Visitor = who) -> Response:
        """One lab: what was handed in, with receipts."""
        desk.release(visitor, course, lab)
        row = next((row for row in rows_of(desk, visitor, course) if row.release.lab == lab), None)
        if row is None:
            raise no_page()
        feedback = store.feedback_for(each.id for each in row.submissions)
        return render.page(
            "lab.html",
            visitor,
            course=store.course(course),
            row=row,
            feedback=feedback,
            entry=desk.catalogue.entries().get(lab),
            note=desk.catalogue.notes().get(lab, ""),
            **hand_values(desk, visitor, course),
        )


def rows_of(desk: Desk, visitor: Visitor, course: str) -> list[LabRow]:
    """A person's own labs of one course."""
    store, name = desk.store, visitor.name
    submissions = store.submissions_of(name, course)
    return lab_rows(
        store.releases(course, withdrawn=True),
        submissions,
        store.graded_ids(name, course),
        store.feedback_for(each.id for each in submissions),
        datetime.now(UTC),
    )


def _receipts(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    sent = Depends(desk.form)
    store, render = desk.store, desk.render

    @router.get("/submissions/{submission_id}/receipt")
    def receipt(submission_id: str, visitor: Visitor = who) -> Response:
        """A receipt, to read."""
        submission = desk.own_submission(visitor, submission_id)
        return render.page("receipt.html", visitor, submission=submission, key=store.receipts.public_key)

    @router.get("/submissions/{submission_id}/receipt.txt")
    def download(submission_id: str, visitor: Visitor = who) -> Response:
        """A receipt, to keep."""
        submission = desk.own_submission(visitor, submission_id)
        name = f"receipt-{submission.course}-{submission.id[:8]}.txt"
        return PlainTextResponse(
            submission.receipt + "\n", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    @router.get("/receipts/verify")
    def ask(visitor: Visitor = who) -> Response:
        """Paste a receipt to have it checked."""
        return render.page("verify.html", visitor, text="", stated=None, refused="")

    @router.post("/receipts/verify")
    def verify(form: tuple[Visitor, dict[str, str]] = sent) -> Response:
        """Say what a receipt states, if this site signed it."""
        visitor, fields = form
        text = fields.get("receipt", "").strip()
        stated: dict[str, Any] | None = None
        refused = ""
        try:
            stated = store.receipts.verify(text)
        except ReceiptRefused as error:
            refused = _(str(error))
        return render.page("verify.html", visitor, text=text, stated=stated, refused=refused)


def _feedback(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render

    def released(visitor: Visitor, submission_id: str) -> Feedback:
        found = store.feedback_of(desk.own_submission(visitor, submission_id).id)
        if found is None:
            raise no_page()
        return found

    @router.get("/feedback/{submission_id}")
    def feedback_page(submission_id: str, visitor: Visitor = who) -> Response:
        """Mark, marks and messages of each exercise, and the way to the marked notebook."""
        submission = desk.own_submission(visitor, submission_id)
        found = released(visitor, submission_id)
        report = store.report(submission.id)
        return render.page(
            "feedback.html",
            visitor,
            submission=submission,
            release=store.find_release(submission.course, submission.lab),
            feedback=found,
            mark=mark_of(found),
            report=report if report and is_released(report, found) else None,
            pages=_pages(desk, found),
        )

    @router.get("/feedback/{submission_id}/{page}.html")
    def notebook(submission_id: str, page: str, visitor: Visitor = who) -> Response:
        """The marked notebook: HTML that holds what a student made, in a sandbox of the browser."""
        found = released(visitor, submission_id)
        if page not in _pages(desk, found):
            raise no_page()
        try:
            html = read_member(store.blob(found.sha256), f"{page}.html", _MOST_FEEDBACK_BYTES)
        except ArchiveTooLarge:
            said = _("This notebook's page is too large to show. Ask your instructor for it.")
            html = f"<p>{said}</p>".encode()
        return Response(
            html,
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": FEEDBACK_POLICY, "X-Frame-Options": "SAMEORIGIN"},
        )


def _pages(desk: Desk, feedback: Feedback) -> list[str]:
    """Names of the notebooks in a feedback archive, which the exchange or the grader checked when it came."""
    with zipfile.ZipFile(desk.store.blob(feedback.sha256)) as archive:
        names = sorted(archive.namelist())
    return [name.removesuffix(".html") for name in names if name.endswith(".html") and "/" not in name]
