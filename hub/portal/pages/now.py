"""*Now*: a class in the lab as it works, and its raised hands, for instructors and assistants."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from grader.models import Hand, OpenServer
from grader.outline import Outline, outline
from grader.store import NotThere
from hub.portal.classnow import AtWork, at_work, by_lab, span, stuck_first
from hub.portal.desk import Desk
from hub.portal.hubclient import HubError
from hub.portal.login import Visitor
from hub.portal.paging import Sought, paged, sections

_Form = tuple[Visitor, dict[str, str]]
_LOOK_S = 3  # between two looks of a page that is open
_RELOAD_S = 30  # without JavaScript: time to read, and to fill in the search
_MOST_STUCK = 30  # on one page; with more it is the exercise that needs help


def now_pages(desk: Desk) -> APIRouter:
    """Routes below courses/, for those who help in the course."""
    router = APIRouter(prefix="/courses/{course}")
    _now(router, desk)
    _hands(router, desk)
    return router


def _sought(q: str = "", section: str = "") -> Sought:
    """FastAPI dependency: who is looked for."""
    return Sought.asked(q, section)


def _now(router: APIRouter, desk: Desk) -> None:
    who, looked_for = Depends(desk.visitor), Depends(_sought)
    store = desk.store

    @router.get("/now")
    def now_page(
        *, course: str, page: int = 1, live: str = "on", sought: Sought = looked_for, visitor: Visitor = who
    ) -> Response:
        """Raised hands, who is stuck, what is worked on, and everybody who is at work."""
        desk.helped(visitor, course)
        now = datetime.now(UTC)
        people = {each.username: each for each in store.roll(course) if each.enrolled}
        names = {username: each.name for username, each in people.items()}
        titles = {row.lab: row.title for row in store.releases(course, withdrawn=True)}
        places = desk.whereabouts.working(course)
        outlines = {lab: _outline(desk, course, lab) for lab in {place.lab for place in places}}
        rows = at_work(places, names, titles, outlines, now)
        wanted = {each.username for each in sought.among(people.values())}
        stuck = stuck_first(rows)
        return desk.render.page(
            "now.html",
            visitor,
            course=store.course(course),
            students=len(people),
            working=len(rows),
            hands=_waiting(desk, course, {row.place.username: row for row in rows}, titles, now),
            stuck=stuck[:_MOST_STUCK],
            stuck_count=len(stuck),
            labs=by_lab(rows, outlines),
            page=paged([row for row in rows if row.place.username in wanted], page),
            sought=sought,
            sections=sections(people.values()),
            paused=live == "off",
            refresh_s=0 if live == "off" else _LOOK_S,
            reload_s=_RELOAD_S,
        )


def _outline(desk: Desk, course: str, lab: str) -> Outline:
    try:
        return outline(desk.store.blob(desk.store.find_release(course, lab).sha256))
    except NotThere:
        return Outline((), {})


def _waiting(
    desk: Desk, course: str, working: dict[str, AtWork], titles: dict[str, str], now: datetime
) -> list[dict[str, Any]]:
    """The hands that are up, of people who are still in the course."""
    hands = desk.store.hands(course)
    if not hands:
        return []
    names = {member.username: member.name for member in desk.store.members(course)}
    opened = desk.store.opened(course)
    return [
        {
            "hand": hand,
            "name": names[hand.username] or hand.username,
            "lab": titles.get(hand.lab, hand.lab),
            "exercise": row.exercise if (row := working.get(hand.username)) and row.place.lab == hand.lab else "",
            "waits": span(now - hand.raised_at),
            "opened": opened.get(hand.username),
        }
        for hand in hands
        if hand.username in names
    ]  # fmt: skip


def _hands(router: APIRouter, desk: Desk) -> None:
    sent = Depends(desk.form)
    store = desk.store

    @router.post("/hands/{username}/seen")
    def seen(course: str, username: str, form: _Form = sent) -> Response:
        """Tell the student that somebody is coming."""
        desk.helped(form[0], course)
        if not store.see_hand(course, username, form[0].name):
            form[0].session.notice = "That hand is down already."
        return desk.to("courses", course, "now")

    @router.post("/hands/{username}/lower")
    async def lower(course: str, username: str, form: _Form = sent) -> Response:
        """Lower a hand that is answered; what its owner opened ends with it."""
        desk.helped(form[0], course)
        await asyncio.to_thread(store.lower_hand, course, username, form[0].name)
        await _end(desk, form[0], username, course)
        return desk.to("courses", course, "now")

    @router.post("/hands/{username}/close")
    async def close(course: str, username: str, form: _Form = sent) -> Response:
        """Give back the way into a student's server; the hand stays up."""
        desk.helped(form[0], course)
        await asyncio.to_thread(store.end_server, username, course)
        await _end(desk, form[0], username, course)
        return desk.to("courses", course, "now")

    @router.post("/hands/{username}/enter")
    async def enter(course: str, username: str, form: _Form = sent) -> Response:
        """On to the lab in the student's own server, by way of the hub, which asks once and keeps who went in."""
        visitor = form[0]
        desk.helped(visitor, course)
        hand, opened = await asyncio.to_thread(
            lambda: (store.hand(course, username), store.opened(course).get(username))
        )
        if hand is None or hand.lowered_at is not None or opened is None:
            visitor.session.notice = "That server is not open any more. Ask the student to open it again."
            return desk.to("courses", course, "now")
        await asyncio.to_thread(store.see_hand, course, username, visitor.name)
        try:
            sharing = await desk.hub.sharing(username, opened.server)
        except HubError as error:
            visitor.session.notice = f"The server cannot be opened at the moment: {error}"
            return desk.to("courses", course, "now")
        inside = sharing is not None and visitor.name in sharing.inside
        return RedirectResponse(_way_in(desk, hand, opened, inside=inside), 303)


def _way_in(desk: Desk, hand: Hand, opened: OpenServer, *, inside: bool) -> str:
    server = f"{desk.user_prefix}{quote(hand.username, safe='')}/{opened.server}/"
    lab = f"{server}ictlab/open?{urlencode({'course': hand.course, 'lab': hand.lab})}"
    return lab if inside else f"{desk.hub_prefix}accept-share?{urlencode({'code': opened.code, 'next': lab})}"


async def _end(desk: Desk, visitor: Visitor, username: str, course: str) -> None:
    if not await desk.opening.end_due(username):
        visitor.session.notice = (
            "The hub does not answer at the moment. The server closes as soon as it does."
        )
