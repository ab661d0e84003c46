"""How far a grading job is, as it goes on: server-sent events from the record, for the instructor's page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from grader.database import NotThere
from grader.joblog import OPEN
from grader.models import Job
from grader.store import RecordError, Store
from hub.portal.desk import Desk, no_page
from hub.portal.login import Visitor

LOOK_S = 0.5  # between two looks at the record, which another process writes
ALIVE_S = 15  # a comment is sent at least this often, so that proxies keep the line open

_Form = tuple[Visitor, dict[str, str]]


def progress_routes(desk: Desk) -> APIRouter:
    """Events of a job, and its cancel and retry, below courses/, for those who grade in the course."""
    router = APIRouter(prefix="/courses/{course}/jobs/{number}")
    who, sent = Depends(desk.visitor), Depends(desk.form)

    @router.get("/events")
    async def events(course: str, number: int, request: Request, visitor: Visitor = who) -> Response:
        """One event a change: `job` with its state and the submissions that changed; `end` when it is over."""
        await asyncio.to_thread(_job, desk, visitor, course, number)
        stream = changes(desk.store, number, request)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.post("/cancel")
    def cancel(course: str, number: int, form: _Form = sent) -> Response:
        """Stop a job: what is graded stays."""
        job = _job(desk, form[0], course, number)
        try:
            desk.store.cancel_job(number)
            form[0].session.notice = "The job is being cancelled. What is graded stays."
        except RecordError as error:
            form[0].session.notice = str(error)
        return desk.to("courses", course, "labs", job.lab)

    @router.post("/retry")
    def retry(course: str, number: int, form: _Form = sent) -> Response:
        """Grade again what a job left."""
        job = _job(desk, form[0], course, number)
        desk.limits.grading.press(form[0].name)
        try:
            desk.store.retry_job(number, form[0].name)
        except RecordError as error:
            form[0].session.notice = str(error)
        return desk.to("courses", course, "labs", job.lab)

    return router


def _job(desk: Desk, visitor: Visitor, course: str, number: int) -> Job:
    desk.helped(visitor, course)
    try:
        job = desk.store.job(number)
    except NotThere:
        raise no_page() from None
    if job.course != course:
        raise no_page()
    return job


async def changes(store: Store, number: int, request: Request) -> AsyncIterator[str]:
    """The events of one job, from all that is known now to its end."""
    told: dict[str, str] = {}
    before, quiet_s = "", 0.0
    while not await request.is_disconnected():
        job, items = await asyncio.to_thread(lambda: (store.job(number), store.items(number)))
        changed = [
            {"username": item.username, "state": item.state, "message": item.message}
            for item in items
            if told.get(item.submission_id) != item.state
        ]
        told |= {item.submission_id: item.state for item in items}
        now: dict[str, Any] = {"state": job.state, "done": job.done, "total": job.total}
        if changed or json.dumps(now) != before:
            before, quiet_s = json.dumps(now), 0.0
            yield f"event: job\ndata: {json.dumps(now | {'items': changed})}\n\n"
        elif quiet_s >= ALIVE_S:
            quiet_s = 0.0
            yield ": still there\n\n"
        if job.state not in OPEN:
            yield f"event: end\ndata: {json.dumps(now)}\n\n"
            return
        await asyncio.sleep(LOOK_S)
        quiet_s += LOOK_S
