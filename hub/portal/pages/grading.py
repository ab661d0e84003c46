"""A lab's grading: students by exercises, grade and grade again for all or for those chosen, marks as files."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from grader.joblog import OPEN
from grader.marks import ExerciseCells, HandMarked, exercise_cells
from grader.models import Release
from grader.store import RecordError
from hub.portal.classtable import GRADED, tally
from hub.portal.desk import Desk
from hub.portal.login import Visitor
from hub.portal.marktable import SORTS, columns, exercise_points, in_order, lab_csv, mark_rows
from hub.portal.paging import Sought, paged, sections

_Form = tuple[Visitor, dict[str, str]]
CHOSEN = "student:"  # begins the name of a field that chooses a student


def grading_pages(desk: Desk) -> APIRouter:
    """Routes about a lab's marks, for those who grade."""
    router = APIRouter(prefix="/courses/{course}")
    _lab(router, desk)
    _grade(router, desk)
    _files(router, desk)
    return router


def graded_release(desk: Desk, visitor: Visitor, course: str, lab: str) -> Release:
    """A lab of a course in which this person grades. Raises HTTPException."""
    desk.helped(visitor, course)
    return desk.release(visitor, course, lab)


def cells_of(desk: Desk, release: Release) -> tuple[ExerciseCells, ...]:
    """The exercises of a release, in its order."""
    return exercise_cells(desk.store.blob(release.sha256))


def _by_hand(
    desk: Desk, release: Release, exercises: Sequence[ExerciseCells], usernames: Sequence[str]
) -> dict[str, HandMarked]:
    from grader.gradebook import (
        GradebookError,
    )  # here and below when it is needed: it brings nbgrader with it
    from grader.markbook import markbook_of

    book = markbook_of(desk.settings.places, release.course)
    try:
        return book.marked_by_hand(release.lab, exercises, usernames)
    except GradebookError as error:
        raise HTTPException(409, str(error)) from error


def _sought(q: str = "", section: str = "") -> Sought:
    return Sought.asked(q, section)


def _lab(router: APIRouter, desk: Desk) -> None:
    who, looked_for = Depends(desk.visitor), Depends(_sought)
    store = desk.store

    @router.get("/labs/{lab}")
    def lab_page(
        *,
        course: str,
        lab: str,
        state: str = "",
        sort: str = SORTS[0],
        page: int = 1,
        sought: Sought = looked_for,
        visitor: Visitor = who,
    ) -> Response:
        """One lab: its newest job first, students by exercises, then the jobs before and what they said."""
        release = graded_release(desk, visitor, course, lab)
        exercises = cells_of(desk, release)
        jobs = store.jobs(course, lab)[:50]
        people = store.roll(course)
        work = {each.username: each for each in store.work_on(course, lab)}
        state = state if state in GRADED else ""
        sort = sort if sort in SORTS else SORTS[0]
        problem = ""
        try:
            marked = _by_hand(desk, release, exercises, ())
        except HTTPException as error:  # the jobs and the automatic marks are there all the same
            marked, problem = {}, error.detail
        everybody = mark_rows(people, release, work, marked, store.extended(course))
        wanted = {each.username for each in sought.among(people)}
        found = [
            row
            for row in everybody
            if row.person.username in wanted and (not state or row.graded_as == state)
        ]
        shown = paged(in_order(found, sort), page)
        names = [row.person.username for row in shown.rows]
        if marked.keys() & set(names):
            marked = _by_hand(desk, release, exercises, names)
        remarks = store.remarks([row.work.submission_id for row in shown.rows])
        reported = {
            row.person.username: remarks[row.work.submission_id].exercises
            for row in shown.rows
            if row.work.submission_id in remarks
        }
        return desk.render.page(
            "grading.html",
            visitor,
            course=store.course(course),
            release=release,
            tally=tally(row.graded_as for row in everybody),
            kept={
                name: value
                for name, value in (("state", state), ("sort", sort))
                if value not in ("", SORTS[0])
            },
            state=state,
            sort=sort,
            sorts=SORTS,
            page=shown,
            sought=sought,
            sections=sections(people),
            columns=columns(exercises, reported.values()),
            points={name: exercise_points(rows, marked.get(name)) for name, rows in reported.items()},
            remarks=remarks,
            problem=problem,
            jobs=jobs,
            live=bool(jobs) and jobs[0].state in OPEN,
        )


def _grade(router: APIRouter, desk: Desk) -> None:
    who, sent = Depends(desk.visitor), Depends(desk.form)

    @router.post("/labs/{lab}/grade")
    def grade(course: str, lab: str, form: _Form = sent) -> Response:
        """Grade what is new, or again; of everybody, or of those chosen. A press while it runs shares the job."""
        visitor, fields = form
        graded_release(desk, visitor, course, lab)
        what = fields.get("what", "new")
        chosen = {name.removeprefix(CHOSEN) for name in fields if name.startswith(CHOSEN)}
        if what.startswith("chosen"):
            chosen &= {each.username for each in desk.store.work_on(course, lab)}
            if not chosen:
                visitor.session.notice = "Nobody is chosen. Tick students in the table first."
                return desk.to("courses", course, "labs", lab)
        else:
            chosen = set()
        desk.limits.grading.press(visitor.name)
        try:
            again = what in ("chosen again", "all again")
            desk.store.open_job(course, lab, visitor.name, students=chosen, regrade=again)
        except RecordError as error:  # the job before is just being cancelled
            visitor.session.notice = str(error)
        return desk.to("courses", course, "labs", lab)

    @router.get("/labs/{lab}/again")
    def again(course: str, lab: str, visitor: Visitor = who) -> Response:
        """Ask before everybody's marks are made anew."""
        release = graded_release(desk, visitor, course, lab)
        work = desk.store.work_on(course, lab)
        marked = _by_hand(desk, release, cells_of(desk, release), ())
        return desk.render.page(
            "again.html",
            visitor,
            course=desk.store.course(course),
            release=release,
            handed_in=len(work),
            graded=sum(each.report_state is not None for each in work),
            by_hand=len(marked),
            released=sum(each.released for each in work),
        )


def _files(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)

    @router.get("/labs/{lab}/marks.csv")
    def lab_marks(course: str, lab: str, visitor: Visitor = who) -> Response:
        """A lab's students by exercises, for a spreadsheet."""
        release = graded_release(desk, visitor, course, lab)
        desk.limits.exports.press(visitor.name)
        exercises = cells_of(desk, release)
        work = {each.username: each for each in desk.store.work_on(course, lab)}
        marked = _by_hand(desk, release, exercises, list(work))
        people, extended = desk.store.roll(course), desk.store.extended(course)
        rows = in_order(mark_rows(people, release, work, marked, extended), SORTS[0])
        reported = {
            row.username: row.exercises or [] for row in desk.store.handed_in(course=course, lab=lab)
        }  # the newest comes last
        points = {name: exercise_points(each, marked.get(name)) for name, each in reported.items()}
        text = lab_csv(rows, columns(exercises, reported.values()), points)
        return _file(text.encode(), f"marks-{course}-{lab}.csv")

    @router.get("/export.csv")
    async def export(course: str, visitor: Visitor = who) -> Response:
        """What `nbgrader export` writes, byte for byte."""
        from grader.exports import nbgrader_csv
        from grader.gradebook import GradebookError

        await asyncio.to_thread(desk.helped, visitor, course)
        desk.limits.exports.press(visitor.name)
        try:
            data = await asyncio.to_thread(functools.partial(nbgrader_csv, desk.settings.places, course))
        except GradebookError as error:
            raise HTTPException(409, str(error)) from error
        return _file(data, f"grades-{course}.csv")


def _file(data: bytes, name: str) -> Response:
    headers: dict[str, Any] = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)
