"""Pages of those who run the site: accounts that wait, servers, jobs, the machine, versions, the audit log."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from markupsafe import Markup
from starlette.responses import Response

from grader.audit import Asked, printable
from grader.models import Deed
from grader.store import NotThere, RecordError
from hub.accounts import AccountError, Accounts, NoAccount, roster_says
from hub.deeds import DEEDS
from hub.enginewatch import kept, memory
from hub.homes import homes
from hub.portal.desk import Desk, no_page
from hub.portal.hubclient import HubError, Running
from hub.portal.login import Visitor
from hub.portal.machine import Surveys, look, versions

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
_Hours = Annotated[int, Query(ge=1, le=1000)]
_Before = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
_LINES = 50  # of the audit log on a page
_MOST_ACCOUNTS = 200  # on the page; the others come when these are decided
_FAILED = timedelta(days=7)
_MOST_FAILED = 20


@dataclass(frozen=True)
class _Sought:
    """Lines of the audit log: of a person, of a word, of a day, before a line; empty is all."""

    person: str
    what: str
    day: date | None
    before: int | None

    @property
    def query(self) -> dict[str, str]:
        """As an address has it, without the place in the list."""
        found = {"person": self.person, "what": self.what, "day": str(self.day or "")}
        return {name: value for name, value in found.items() if value}

    def asked(self, course: str | None, zone: ZoneInfo) -> Asked:
        """As the record wants it."""
        since = datetime.combine(self.day, time.min, zone) if self.day else None
        until = datetime.combine(self.day + timedelta(days=1), time.min, zone) if self.day else None
        return Asked(self.person or None, course, self.what or None, since, until)


def administration_pages(desk: Desk) -> APIRouter:
    """Routes below administration/, for administrators of the hub, and each course's part of the audit log."""
    router = APIRouter()
    accounts = functools.cache(lambda: Accounts(desk.settings))  # opens the hub's database
    _overview(router, desk, accounts)
    _accounts(router, desk, accounts)
    _servers(router, desk)
    _jobs(router, desk)
    _log(router, desk)
    return router


def _overview(router: APIRouter, desk: Desk, accounts: Callable[[], Accounts]) -> None:
    who = Depends(desk.visitor)
    surveys = Surveys(desk.settings)

    def facts() -> dict[str, Any]:
        """What the record, the accounts and the machine say."""
        waiting = [(name, email) for name, email, approved in accounts().people() if not approved]
        shown = waiting[:_MOST_ACCOUNTS]
        members = desk.store.memberships_of([name for name, _email in shown])
        rows = [(name, email, roster_says(members.get(name, ()), email)) for name, email in shown]
        return {
            "waiting": rows,
            "waiting_count": len(waiting),
            "jobs": desk.store.jobs(only_open=True),
            "failed": desk.store.failed_jobs(datetime.now(UTC) - _FAILED, _MOST_FAILED),
            "homes": homes(desk.settings),
            "machine": look(desk.settings),
            "survey": surveys.newest(),
            "seen": kept(desk.settings),
            "memory": memory(desk.settings),
            "versions": versions(),
            "python": sys.version.split()[0],
            "database": desk.store.described(),
        }

    @router.get("/administration")
    async def administration(visitor: Visitor = who) -> Response:
        """Everything that somebody who runs the site looks at, on one page."""
        desk.operator(visitor)
        problem, running = "", []
        try:
            running = await desk.hub.running(visitor.session.token)
        except HubError as error:
            problem = f"{error} If this goes on, log out and in again."
        values = await asyncio.to_thread(facts)
        return desk.render.page(
            "administration.html",
            visitor,
            running=running,
            problem=problem,
            starts=desk.starts.counts(),
            at_once=desk.settings.hub.starts_at_once,
            **values,
        )


def _accounts(router: APIRouter, desk: Desk, accounts: Callable[[], Accounts]) -> None:
    sent = Depends(desk.form)

    @router.post("/administration/accounts/{username}/approve")
    def approve(username: str, form: _Form = sent) -> Response:
        """Let somebody log in who has asked for an account."""
        desk.operator(form[0])
        try:
            accounts().approve(username)
        except NoAccount:
            raise no_page() from None
        form[0].session.notice = f"{username} may log in."
        return desk.to("administration")

    @router.post("/administration/accounts/{username}/discard")
    def discard(username: str, form: _Form = sent) -> Response:
        """Forget a request for an account."""
        desk.operator(form[0])
        try:
            accounts().discard(username)
        except NoAccount:
            raise no_page() from None
        except AccountError as error:
            raise HTTPException(409, str(error)) from error
        form[0].session.notice = f"The request of {username} is gone. They may ask again."
        return desk.to("administration")


def _servers(router: APIRouter, desk: Desk) -> None:
    who, sent = Depends(desk.visitor), Depends(desk.form)

    async def one(visitor: Visitor, username: str, server: str) -> Running:
        desk.operator(visitor)
        for each in await desk.hub.running(visitor.session.token):
            if (each.username, each.server) == (username, server):
                return each
        raise no_page()

    async def idle_for(visitor: Visitor, hours: int) -> list[Running]:
        desk.operator(visitor)
        before = datetime.now(UTC) - timedelta(hours=hours)
        running = await desk.hub.running(visitor.session.token)
        return [each for each in running if each.state == "ready" and each.used_at and each.used_at < before]

    @router.get("/administration/stop")
    async def ask(username: str = "", server: str = "", visitor: Visitor = who) -> Response:
        """Ask whether this server should be stopped."""
        return desk.render.page("stop.html", visitor, servers=[await one(visitor, username, server)], hours=0)

    @router.post("/administration/stop")
    async def stop(form: _Form = sent) -> Response:
        """Stop somebody's server; files stay."""
        visitor, fields = form
        desk.operator(visitor)
        if not {"username", "server"} <= set(fields):
            raise HTTPException(422, "Say whose server, and which.")
        found = await one(visitor, fields["username"], fields["server"])
        await desk.hub.stop(visitor.session.token, found.username, found.server)
        visitor.session.notice = f"The server {found.server} of {found.username} is stopped."
        return desk.to("administration")

    @router.get("/administration/idle")
    async def ask_idle(hours: _Hours = 4, visitor: Visitor = who) -> Response:
        """Show the servers that nobody has used for so many hours, and ask whether to stop them."""
        return desk.render.page("stop.html", visitor, servers=await idle_for(visitor, hours), hours=hours)

    @router.post("/administration/idle")
    async def stop_idle(form: _Form = sent) -> Response:
        """Stop the servers that nobody has used for so many hours."""
        visitor, fields = form
        desk.operator(visitor)
        hours = fields.get("hours", "")
        if not (hours.isascii() and hours.isdigit() and 1 <= int(hours[:5]) <= 1000):
            raise HTTPException(422, "Say after how many hours: a whole number from 1 to 1000.")
        stopped = 0
        for each in await idle_for(visitor, int(hours)):
            await desk.hub.stop(visitor.session.token, each.username, each.server)
            stopped += 1
        visitor.session.notice = f"{stopped} server{'' if stopped == 1 else 's'} stopped."
        return desk.to("administration")


def _jobs(router: APIRouter, desk: Desk) -> None:
    sent = Depends(desk.form)

    def done(visitor: Visitor, number: int, deed: Callable[[], object]) -> None:
        desk.operator(visitor)
        try:
            desk.store.job(number)
            deed()
        except NotThere:
            raise no_page() from None
        except RecordError as error:
            raise HTTPException(409, str(error)) from error

    @router.post("/administration/jobs/{number}/cancel")
    def cancel(number: _Number, form: _Form = sent) -> Response:
        """Stop a job: what is graded stays."""
        done(form[0], number, lambda: desk.store.cancel_job(number))
        form[0].session.notice = f"Job {number} is being cancelled. What is graded stays."
        return desk.to("administration")

    @router.post("/administration/jobs/{number}/retry")
    def retry(number: _Number, form: _Form = sent) -> Response:
        """Grade what a job left."""
        done(form[0], number, lambda: desk.store.retry_job(number, form[0].name))
        form[0].session.notice = f"What job {number} left is being graded."
        return desk.to("administration")


def _log(router: APIRouter, desk: Desk) -> None:
    who, looked_for = Depends(desk.visitor), Depends(_sought)
    zone = ZoneInfo(desk.settings.site.timezone)

    def page(visitor: Visitor, address: str, sought: _Sought, course: str | None) -> Response:
        lines = desk.store.deeds(sought.asked(course, zone), before=sought.before, most=_LINES + 1)
        return desk.render.page(
            "log.html",
            visitor,
            address=address,
            course=course,
            sought=sought,
            lines=lines[:_LINES],
            older=lines[_LINES - 1].id if len(lines) > _LINES else None,
            deeds=DEEDS,
            said=said,
            days=desk.settings.portal.audit_days,
        )

    @router.get("/administration/log")
    def log(course: str = "", sought: _Sought = looked_for, visitor: Visitor = who) -> Response:
        """Who did what, newest first."""
        desk.operator(visitor)
        return page(
            visitor, f"{desk.prefix}administration/log", sought, printable(course, 40).strip() or None
        )

    @router.get("/courses/{course}/log")
    def courses_log(course: str, sought: _Sought = looked_for, visitor: Visitor = who) -> Response:
        """Who did what in a course, for its instructors."""
        desk.taught(visitor, course)
        return page(visitor, f"{desk.prefix}courses/{quote(course, safe='')}/log", sought, course)


def _sought(person: str = "", what: str = "", day: str = "", before: _Before = None) -> _Sought:
    """FastAPI dependency: which lines of the audit log are looked for."""
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        chosen = None
    if chosen is not None and not 2000 <= chosen.year < 2200:  # times near the calendar's ends have no UTC
        chosen = None
    return _Sought(printable(person, 64).strip(), what if what in DEEDS else "", chosen, before)


def said(line: Deed) -> Markup:
    """What somebody did, as a sentence goes on after their name."""
    sentence = DEEDS.get(line.what)
    if sentence is None:  # a route that has no words yet
        return Markup("<code>{}</code> {}").format(line.what, line.subject)
    return Markup(sentence).format(Markup("<bdi>{}</bdi>").format(line.subject))  # noqa: S704 (a constant of ours)
