"""From *Start* to the open notebook: asks for the server, waits where everybody can see, leads on; and *Stop*."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import RedirectResponse, Response

from grader.names import is_submission_id
from hub.portal.desk import Desk, no_page
from hub.portal.hubclient import HubError
from hub.portal.languages import gettext as _
from hub.portal.languages import spoken
from hub.portal.login import Visitor
from hub.portal.starts import SERVER_NAME, Start
from hub.portal.zones import readers_zone

_Form = tuple[Visitor, dict[str, str]]
INSTRUCTORS_SERVER = "base"  # where Formgrader is


def server_pages(desk: Desk) -> APIRouter:
    """Routes about a person's own servers."""
    sent = Depends(desk.form)
    router = APIRouter()
    _starting(router, desk)

    @router.post("/servers/{server}/stop")
    async def stop(server: str, form: _Form = sent) -> Response:
        """Stop the person's server; files stay."""
        visitor = form[0]
        _check(server)
        visitor.session.notice = await _stopped(desk, visitor, server)
        return desk.to("")

    return router


async def _stopped(desk: Desk, visitor: Visitor, server: str) -> str:
    """Stop a server, or its start; returns what to tell the person."""
    token, name = visitor.session.token, visitor.name
    start = desk.starts.cancel(name, server)
    if start is None:
        try:
            await desk.hub.stop(token, name, server)
            await desk.hub.user(token, fresh=True)
            return _("Your server is stopped. Your files are kept.")
        except HubError as error:
            user = await desk.hub.user(token, fresh=True)
            if user is None or user.server_state(server) != "starting":
                return _("Your server could not be stopped: %(reason)s") % {"reason": error}
            desk.starts.follow(token, name, server)  # begun elsewhere
            start = desk.starts.cancel(name, server)
    if start is not None and start.unwanted:
        return _("Your server is on its way up and is stopped as soon as it is there. Your files are kept.")
    return _("You left the queue. Press Start when you want your server.")


def _starting(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)
    sent = Depends(desk.form)

    @router.post("/labs/{course}/{lab}/start")
    async def start_lab(course: str, lab: str, form: _Form = sent) -> Response:
        """Start the server of a lab's environment and open the lab there."""
        release = desk.release(form[0], course, lab)
        if release.withdrawn_at is not None:
            raise HTTPException(
                409, _("This lab is no longer offered. Ask your instructor to release it again.")
            )
        opens_at = None if form[0].person.may_help(course) else release.opens_at
        if opens_at is not None and datetime.now(UTC) < opens_at:
            zone = readers_zone() or ZoneInfo(desk.settings.site.timezone)
            when = spoken().moment(opens_at, zone)
            raise HTTPException(409, _("This lab opens on %(when)s. Come back then.") % {"when": when})
        where = {"course": course, "lab": lab} | _view(form[1].get("view", ""))
        answer = await _begin(desk, form[0], release.environment, where)
        await asyncio.to_thread(desk.store.started, form[0].name, course, lab)
        return answer

    @router.post("/courses/{course}/formgrader")
    async def formgrader(course: str, form: _Form = sent) -> Response:
        """Open Formgrader in the instructor's own server: at a student's submission, or at its start."""
        visitor, fields = form
        await asyncio.to_thread(desk.taught, visitor, course)
        where = {"course": course}
        if "lab" in fields and course == formgraders_course(visitor):
            page = await asyncio.to_thread(
                _formgraders_page, desk, course, fields["lab"], fields.get("username", "")
            )
            where |= {"submission": page} if page else {}
        return await _begin(desk, visitor, INSTRUCTORS_SERVER, where)

    @router.get("/starting/{server}")
    async def starting(
        server: str,
        *,
        course: str = "",
        lab: str = "",
        submission: str = "",
        view: str = "",
        visitor: Visitor = who,
    ) -> Response:
        """How far a start is. Loads itself again until the server is ready."""
        _check(server)
        where = {"course": course, "lab": lab} | _view(view) if lab else {"course": course}
        if is_submission_id(submission):  # nbgrader's own ids look like ours
            where["submission"] = submission
        if not visitor.person.may_learn(course):
            raise no_page()
        token, name = visitor.session.token, visitor.name
        start = desk.starts.take(name, server)
        if start is None or start.state in ("failed", "cancelled"):
            user = await desk.hub.user(token, fresh=True)
            state = user.server_state(server) if user else "off"
            if state == "ready":
                return _open(desk, visitor, server, where)
            if state == "starting":
                start = desk.starts.follow(token, name, server)
            if start is None or start.state == "cancelled":
                start = Start("failed")
        if start.state == "ready":
            return _open(desk, visitor, server, where)
        values: dict[str, Any] = {
            "server": server,
            "start": start,
            "turn": desk.starts.turn(name, server),
            "course": course,
            "lab": lab,
            "title": lab,
            "view": where.get("view", ""),
        }
        if start.state == "failed":
            return desk.render.page("failed.html", visitor, **values)
        if lab:
            values["title"] = desk.release(visitor, course, lab).title
        return desk.render.page("starting.html", visitor, refresh_s=2 if values["turn"] else 1, **values)


async def _begin(desk: Desk, visitor: Visitor, server: str, where: dict[str, str]) -> Response:
    _check(server)
    desk.limits.starts.press(visitor.name)
    start = await desk.starts.begin(visitor.session.token, visitor.name, server)
    if start.state == "ready":
        desk.starts.take(visitor.name, server)
        return _open(desk, visitor, server, where)
    return RedirectResponse(f"{desk.prefix}starting/{server}?{urlencode(where)}", 303)


def _view(asked: str) -> dict[str, str]:
    """For the address of a lab: Notebook 7 rather than JupyterLab, where that was asked for."""
    return {"view": asked} if asked == "notebook" else {}


def _open(desk: Desk, visitor: Visitor, server: str, where: dict[str, str]) -> Response:
    """On to the server: to the lab, or to Formgrader when no lab was asked for, at a submission if there is one."""
    home = f"{desk.user_prefix}{quote(visitor.name, safe='')}/{server}/"
    if "lab" in where:
        return RedirectResponse(f"{home}ictlab/open?{urlencode(where)}", 303)
    page = f"/submissions/{where['submission']}/" if "submission" in where else ""
    return RedirectResponse(f"{home}formgrader{page}", 303)


def formgraders_course(visitor: Visitor) -> str:
    """The course that Formgrader shows in this person's server: the first that they teach (see the image's settings)."""
    return min(visitor.person.instructor_courses, default="")


def _formgraders_page(desk: Desk, course: str, lab: str, username: str) -> str | None:
    """The id of the page that Formgrader has for a submission's first notebook, if the gradebook has it."""
    from grader.gradebook import GradebookError  # here: it brings nbgrader with it
    from grader.markbook import markbook_of

    try:
        pages = markbook_of(desk.settings.places, course).sheet(lab, username, ()).formgrader
    except GradebookError:
        return None
    return pages[min(pages)] if pages else None


def _check(server: str) -> None:
    if not SERVER_NAME.fullmatch(server):
        raise no_page()
