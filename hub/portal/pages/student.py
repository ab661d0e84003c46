"""A student's pages: where to go on, labs with their state, submissions and receipts, mark and feedback."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response

from grader.archives import ArchiveTooLarge, read_member
from grader.models import Feedback
from grader.receipts import ReceiptRefused
from hub.homes import Home, homes
from hub.portal.desk import Desk, no_page
from hub.portal.goon import MOST_DUE, due_next, go_on
from hub.portal.headers import FEEDBACK_POLICY
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor
from hub.portal.overview import LabRow, is_released, lab_rows, mark_of, with_starts
from hub.portal.pages.announcements import news_of
from hub.portal.pages.hand import hand_values
from hub.portal.pages.inquire import inquiry_news, inquiry_values, told_exercises
from hub.portal.pages.questions import questions_at_home
from hub.portal.paging import paged

_NEW_FEEDBACK = timedelta(days=14)
_MOST_NEW = 5  # on the first page; a lab's own page has all
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
        """Where to go on, what is due next, what is new, then courses and labs."""
        person, now = visitor.person, datetime.now(UTC)
        all_courses = store.courses()
        starts = store.last_starts(visitor.name)
        courses: list[dict[str, Any]] = [
            {"course": course, "labs": rows_of(desk, visitor, course.id, starts)}
            for course in all_courses
            if course.id in person.student_courses - person.helped_courses
        ]
        taught = [
            {
                "course": course,
                "labs": len(store.releases(course.id)),
                "students": store.count_students(course.id),
            }
            for course in all_courses
            if course.id in person.helped_courses
        ]
        servers = {name: visitor.user.server_state(name) for name in sorted(visitor.user.servers) if name}
        running = {name: state for name, state in servers.items() if state != "off"}
        rows = [row for each in courses for row in each["labs"]]
        return render.page(
            "home.html",
            visitor,
            courses=courses,
            taught=taught,
            servers=running,
            go_on=go_on(rows, {name for name, state in running.items() if state == "ready"}, now),
            due_rows=due_next(rows, now)[:MOST_DUE],
            new_feedback=_new_feedback(desk, visitor, rows, now),
            notes=desk.catalogue.notes() if courses else {},
            news=news_of(desk, visitor),
            open_courses=bool(store.open_courses()) if not courses and not taught else False,
            own_home=_full_home(desk, visitor),
            **questions_at_home(desk, visitor),
            inquiry_news=inquiry_news(desk, visitor),
        )

    @router.get("/labs/{course}/{lab}")
    def lab_page(course: str, lab: str, page: int = 1, visitor: Visitor = who) -> Response:
        """One lab: what it asks, marks by exercise, what was handed in, with receipts."""
        desk.release(visitor, course, lab)
        starts = store.last_starts(visitor.name)
        row = next(iter(rows_of(desk, visitor, course, starts, lab)), None)
        if row is None:
            raise no_page()
        shown = paged(row.submissions[::-1], page)
        found = store.feedback_of(row.marked.id) if row.marked else None
        exercises = told_exercises(desk, row.marked, found) if row.marked and found else []
        if found and found.read_at is None:
            store.feedback_read(found.submission_id)
        entry = desk.catalogue.entries().get(lab)
        return render.page(
            "lab.html",
            visitor,
            course=store.course(course),
            row=row,
            now=datetime.now(UTC),
            shown=shown,
            feedback=store.feedback_for(each.id for each in shown.rows),
            exercises=exercises,
            differs=_differs(exercises, found),
            messages=row.release.reveal != "marks",
            entry=entry,
            titles={each.id: each.title for each in entry.lab.exercise} if entry else {},
            note=desk.catalogue.notes().get(lab, ""),
            own_home=_full_home(desk, visitor),
            **hand_values(desk, visitor, course),
        )


def _full_home(desk: Desk, visitor: Visitor) -> Home | None:
    """This person's home, if it is nearly full or more."""
    home = homes(desk.settings).get(visitor.name)
    return home if home and home.is_near else None


def rows_of(
    desk: Desk,
    visitor: Visitor,
    course: str,
    starts: Mapping[tuple[str, str], datetime],
    lab: str | None = None,
) -> list[LabRow]:
    """A person's own labs of one course, or one of them. `starts`: when they started which lab last."""
    store, name = desk.store, visitor.name
    submissions = store.submissions_of(name, course, lab)
    own = store.own_releases(course, name, withdrawn=True)
    draws = any(each.late_kind == "bank" for each in own)
    releases = [each for each in own if lab in (None, each.lab)]
    rows = lab_rows(
        releases,
        submissions,
        store.graded_ids(name, course),
        store.feedback_for(each.id for each in submissions),
        datetime.now(UTC),
        bank_left=store.bank_left(course, name) if draws else 0,
        bound=not visitor.person.may_help(course),
    )
    return with_starts(rows, starts)


def _new_feedback(
    desk: Desk, visitor: Visitor, rows: Sequence[LabRow], now: datetime
) -> list[dict[str, Any]]:
    """Feedback of the last days that this student has not opened, in the courses they are in."""
    by_lab = {(row.release.course, row.release.lab): row for row in rows}
    unread = desk.store.unread_feedback(visitor.name, since=now - _NEW_FEEDBACK, most=_MOST_NEW)
    return [
        {"submission": submission, "feedback": feedback, "mark": mark_of(feedback), "release": row.release}
        for submission, feedback in unread
        if (row := by_lab.get((submission.course, submission.lab)))
    ]


def _receipts(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    sent = Depends(desk.form)
    store, render = desk.store, desk.render

    def checked(visitor: Visitor, text: str) -> Response:
        stated: dict[str, Any] | None = None
        refused = ""
        try:
            stated = store.receipts.verify(text)
        except ReceiptRefused as error:
            refused = _(str(error))
        return render.page("verify.html", visitor, text=text, stated=stated, refused=refused)

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

    @router.get("/submissions/{submission_id}/receipt/verify")
    def verify_own(submission_id: str, visitor: Visitor = who) -> Response:
        """Have a receipt checked that the site still has, as if it were pasted."""
        submission = desk.own_submission(visitor, submission_id)
        return checked(visitor, submission.receipt)

    @router.get("/receipts/verify")
    def ask(visitor: Visitor = who) -> Response:
        """Paste a receipt to have it checked."""
        return render.page("verify.html", visitor, text="", stated=None, refused="")

    @router.post("/receipts/verify")
    def verify(form: tuple[Visitor, dict[str, str]] = sent) -> Response:
        """Say what a receipt states, if this site signed it."""
        visitor, fields = form
        return checked(visitor, fields.get("receipt", "").strip())


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
        if found.read_at is None and visitor.name == submission.username:
            store.feedback_read(submission.id)
        report, exercises = store.report(submission.id), told_exercises(desk, submission, found)
        release = store.find_release(submission.course, submission.lab)
        return render.page(
            "feedback.html",
            visitor,
            submission=submission,
            release=release,
            messages=release.reveal != "marks",
            feedback=found,
            mark=mark_of(found),
            report=report if report and is_released(report, found) else None,
            late_penalty=found.late_penalty,
            pages=_pages(desk, found),
            exercises=exercises,
            differs=_differs(exercises, found),
            **inquiry_values(desk, visitor, submission, found, exercises),
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


def _differs(exercises: list[dict[str, Any]], feedback: Feedback | None) -> bool:
    """Whether a mark is not the sum of what is told of its exercises."""
    told = sum(each["points"] or 0 for each in exercises)
    return feedback is not None and not math.isclose(
        told, (feedback.points or 0) + feedback.late_penalty, abs_tol=1e-6
    )


def _pages(desk: Desk, feedback: Feedback) -> list[str]:
    """Names of the notebooks in a feedback archive, which the exchange or the grader checked when it came."""
    with zipfile.ZipFile(desk.store.blob(feedback.sha256)) as archive:
        names = sorted(archive.namelist())
    return [name.removesuffix(".html") for name in names if name.endswith(".html") and "/" not in name]
