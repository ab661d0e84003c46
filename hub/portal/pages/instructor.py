"""Pages of instructors and assistants: students by labs, feedback, one student's work."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from grader.joblog import OPEN
from grader.models import Release
from grader.names import NameRefused, check_username
from grader.store import RecordError
from hub.homes import homes
from hub.portal.classtable import class_table, marks_csv
from hub.portal.desk import Desk, no_page
from hub.portal.login import Visitor
from hub.portal.marktable import with_marks_by_hand
from hub.portal.overview import by_due_time, mark_of
from hub.portal.paging import Sought, paged, rows_of, sections, students_first

if TYPE_CHECKING:  # imported when it is needed: it brings nbgrader with it
    from grader.feedback import FeedbackResult

log = logging.getLogger(__name__)

_Form = tuple[Visitor, dict[str, str]]
_WAIT_S = 20  # for feedback, before the page says that it goes on without it


def instructor_pages(desk: Desk) -> APIRouter:
    """Routes below courses/, for those who teach the course or assist in it."""
    router = APIRouter(prefix="/courses/{course}")
    _class(router, desk)
    _student(router, desk)
    _actions(router, desk)
    return router


def _sought(q: str = "", section: str = "") -> Sought:
    """FastAPI dependency: who is looked for."""
    return Sought.asked(q, section)


def _class(router: APIRouter, desk: Desk) -> None:
    who, looked_for = Depends(desk.visitor), Depends(_sought)
    store, render = desk.store, desk.render

    @router.get("")
    def course_page(
        course: str, page: int = 1, sought: Sought = looked_for, visitor: Visitor = who
    ) -> Response:
        """Students by labs, a page of them at a time, and what to do with each lab."""
        desk.helped(visitor, course)
        releases = by_due_time(store.releases(course))
        people = students_first(store.roll(course))
        shown = paged(sought.among(people), page, rows_of(len(releases)))
        newest = {job.lab: job for job in store.newest_jobs(course)}
        sizes = homes(desk.settings)
        return render.page(
            "course.html",
            visitor,
            course=store.course(course),
            releases=releases,
            counts=store.turnout(course).labs,
            newest=newest,
            table=class_table(
                shown.rows,
                releases,
                store.work_of(course, [each.username for each in shown.rows]),
                store.extended(course),
            ),
            page=shown,
            sought=sought,
            sections=sections(people),
            class_size=len(people),
            full_homes={
                each.username: home
                for each in people
                if (home := sizes.get(each.username)) is not None and home.is_over
            },
            waiting=store.count_waiting([course]).get(course, 0),
            open_inquiries=store.count_open_inquiries(course),
            refresh_s=3 if any(job.state in OPEN for job in newest.values()) else 0,
        )

    @router.get("/marks.csv")
    def marks(course: str, visitor: Visitor = who) -> Response:
        """Points of the whole class, for a spreadsheet."""
        desk.helped(visitor, course)
        desk.limits.exports.press(visitor.name)
        releases = by_due_time(store.releases(course))
        table = class_table(
            students_first(store.roll(course)), releases, store.all_work(course), store.extended(course)
        )
        from grader.gradebook import GradebookError  # here: it brings nbgrader with it
        from grader.markbook import markbook_of

        try:
            given = markbook_of(desk.settings.places, course).points_by_hand()
        except GradebookError as error:
            raise HTTPException(409, str(error)) from error
        return Response(
            marks_csv(with_marks_by_hand(table, given), releases),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="marks-{course}.csv"'},
        )


def _student(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render

    @router.get("/students/{username}")
    def student_page(course: str, username: str, page: int = 1, visitor: Visitor = who) -> Response:
        """One student's submissions, newest first, with the marks and messages of each exercise."""
        desk.helped(visitor, course)
        try:
            check_username(username)
        except NameRefused:
            raise no_page() from None
        submissions = store.submissions_of(username, course)
        member = store.someone(course, username)
        if member is None and not submissions:
            raise no_page()
        shown = paged(submissions[::-1], page)
        ids = [each.id for each in shown.rows]
        return render.page(
            "student.html",
            visitor,
            course=store.course(course),
            username=username,
            member=member,
            page=shown,
            newest={each.lab: each.id for each in submissions},
            titles={each.lab: each.title for each in store.releases(course, withdrawn=True)},
            reports=store.reports_for(ids),
            feedback=store.feedback_for(ids),
            mark_of=mark_of,
        )


def _actions(router: APIRouter, desk: Desk) -> None:
    sent = Depends(desk.form)
    under_way: dict[tuple[str, str], asyncio.Task[FeedbackResult]] = {}

    @router.post("/labs/{lab}/feedback")
    async def feedback(course: str, lab: str, form: _Form = sent) -> Response:
        """Let students read marks and feedback."""
        visitor = form[0]
        desk.taught(visitor, course)
        await asyncio.to_thread(_release, desk, visitor, course, lab)
        desk.limits.feedback.press(visitor.name)
        task = under_way.get((course, lab))
        if task is None or task.done():
            work = functools.partial(_release_feedback, desk, course, lab, visitor.name)
            task = under_way[(course, lab)] = asyncio.create_task(asyncio.to_thread(work))
        done, _ = await asyncio.wait({task}, timeout=_WAIT_S)
        visitor.session.notice = (
            _told(task.result)
            if done
            else "Feedback is being made. It goes on by itself; look again in a minute."
        )
        return desk.to("courses", course)


def _release(desk: Desk, visitor: Visitor, course: str, lab: str) -> Release:
    desk.helped(visitor, course)
    return desk.release(visitor, course, lab)


def release_to(desk: Desk, course: str, lab: str, student: str, by: str) -> str:
    """Release the feedback of one student as the gradebook has it now; say how it went."""
    return _told(functools.partial(_release_feedback, desk, course, lab, by, (student,)))


def _release_feedback(
    desk: Desk, course: str, lab: str, by: str, students: Sequence[str] = ()
) -> FeedbackResult:
    from grader.feedback import release_feedback

    return release_feedback(desk.store, desk.settings.places, course, lab, by=by, students=students)


def _told(released: Callable[[], FeedbackResult]) -> str:
    """One sentence on how releasing feedback went."""
    from grader.gradebook import GradebookError

    try:
        result = released()
    except (GradebookError, RecordError) as error:
        return f"No feedback was released: {error}"
    except Exception:
        log.exception("releasing feedback")
        return "Feedback was not all released: the portal has a fault of its own. Try again, then tell the operator."
    held = f" Not before the lab is closed for them: {', '.join(result.held)}." if result.held else ""
    waiting = f" Still to be marked by hand: {', '.join(result.waiting)}." if result.waiting else ""
    waiting += held
    if not result.released:
        return (
            "There is no feedback to release yet. Grade first."
            if not waiting
            else "Nothing was released." + waiting
        )
    return f"Feedback is out: {', '.join(result.released)}.{waiting}"
