"""An instructor's pages: students by labs, grading and feedback, one student's work."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends
from starlette.responses import Response

from grader.models import Release
from grader.names import NameRefused, check_username
from grader.store import RecordError
from hub.portal.desk import Desk, no_page
from hub.portal.jobs import UNDER_WAY
from hub.portal.login import Visitor
from hub.portal.overview import by_due_time, class_table, mark_of

if TYPE_CHECKING:  # imported when it is needed: it brings nbgrader with it
    from grader.feedback import FeedbackResult

log = logging.getLogger(__name__)

_Form = tuple[Visitor, dict[str, str]]
_WAIT_S = 20  # for feedback, before the page says that it goes on without it


def instructor_pages(desk: Desk) -> APIRouter:
    """Routes below courses/, for those who teach the course."""
    router = APIRouter(prefix="/courses/{course}")
    _tables(router, desk)
    _actions(router, desk)
    return router


def _tables(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render

    @router.get("")
    def course_page(course: str, visitor: Visitor = who) -> Response:
        """Students by labs, and what to do with each lab."""
        desk.taught(visitor, course)
        releases = by_due_time(store.releases(course))
        submissions = store.submissions(course)
        jobs = desk.jobs.history(course)
        newest = {job.lab: job for job in reversed(jobs)}
        return render.page(
            "course.html",
            visitor,
            course=store.course(course),
            releases=releases,
            counts={
                each.lab: len({row.username for row in submissions if row.lab == each.lab})
                for each in releases
            },
            newest=newest,
            table=class_table(
                store.members(course),
                releases,
                submissions,
                {submission.id: report for submission, report in store.reports(course)},
                store.feedback_for(each.id for each in submissions),
            ),
            refresh_s=3 if any(job.state in UNDER_WAY for job in newest.values()) else 0,
        )

    @router.get("/labs/{lab}")
    def lab_page(course: str, lab: str, visitor: Visitor = who) -> Response:
        """One lab: its newest job first, then those before it and what they said."""
        release = _release(desk, visitor, course, lab)
        jobs = desk.jobs.history(course, lab)[:50]
        return render.page(
            "grading.html",
            visitor,
            course=store.course(course),
            release=release,
            submissions=store.newest_submissions(course, lab),
            reports={submission.id: report for submission, report in store.reports(course, lab)},
            jobs=jobs,
            live=bool(jobs) and jobs[0].state in UNDER_WAY,
        )

    @router.get("/students/{username}")
    def student_page(course: str, username: str, visitor: Visitor = who) -> Response:
        """One student's submissions, with the marks and messages of each exercise."""
        desk.taught(visitor, course)
        try:
            check_username(username)
        except NameRefused:
            raise no_page() from None
        submissions = store.submissions_of(username, course)
        member = next((each for each in store.members(course) if each.username == username), None)
        if member is None and not submissions:
            raise no_page()
        return render.page(
            "student.html",
            visitor,
            course=store.course(course),
            username=username,
            member=member,
            submissions=list(reversed(submissions)),
            titles={each.lab: each.title for each in store.releases(course, withdrawn=True)},
            reports={row.id: report for row, report in store.reports(course, username=username)},
            feedback=store.feedback_for(each.id for each in submissions),
            mark_of=mark_of,
        )


def _actions(router: APIRouter, desk: Desk) -> None:
    sent = Depends(desk.form)
    under_way: dict[tuple[str, str], asyncio.Task[FeedbackResult]] = {}

    @router.post("/labs/{lab}/grade")
    def grade(course: str, lab: str, form: _Form = sent) -> Response:
        """Grade what was handed in; a press while it runs shares the job that runs."""
        _release(desk, form[0], course, lab)
        desk.limits.grading.press(form[0].name)
        desk.jobs.grade(course, lab, form[0].name)
        return desk.to("courses", course, "labs", lab)

    @router.post("/labs/{lab}/feedback")
    async def feedback(course: str, lab: str, form: _Form = sent) -> Response:
        """Let students read marks and feedback."""
        visitor = form[0]
        await asyncio.to_thread(_release, desk, visitor, course, lab)
        desk.limits.feedback.press(visitor.name)
        task = under_way.get((course, lab))
        if task is None or task.done():
            work = functools.partial(_release_feedback, desk, course, lab, visitor.name)
            task = under_way[(course, lab)] = asyncio.create_task(asyncio.to_thread(work))
        done, _ = await asyncio.wait({task}, timeout=_WAIT_S)
        visitor.session.notice = (
            _told(task) if done else "Feedback is being made. It goes on by itself; look again in a minute."
        )
        return desk.to("courses", course)


def _release(desk: Desk, visitor: Visitor, course: str, lab: str) -> Release:
    desk.taught(visitor, course)
    return desk.release(visitor, course, lab)


def _release_feedback(desk: Desk, course: str, lab: str, by: str) -> FeedbackResult:
    from grader.feedback import release_feedback

    return release_feedback(desk.store, desk.settings.places, course, lab, by=by)


def _told(task: asyncio.Task[FeedbackResult]) -> str:
    """One sentence on how releasing feedback went."""
    from grader.gradebook import GradebookError

    try:
        result = task.result()
    except (GradebookError, RecordError) as error:
        return f"No feedback was released: {error}"
    except Exception:
        log.exception("releasing feedback")
        return "Feedback was not all released: the portal has a fault of its own. Try again, then tell the operator."
    waiting = f" Still to be marked by hand: {', '.join(result.waiting)}." if result.waiting else ""
    if not result.released:
        return (
            "There is no feedback to release yet. Grade first."
            if not waiting
            else "Nothing was released." + waiting
        )
    return f"Feedback is out: {', '.join(result.released)}.{waiting}"
