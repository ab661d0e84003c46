"""A student's raised hand: up and down, and their own server open to the course's instructors for a while."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from starlette.responses import Response

from grader.handlog import LONGEST_ABOUT
from hub.portal.desk import Desk
from hub.portal.hubclient import HubError
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor

_Form = tuple[Visitor, dict[str, str]]
_LOOK_S = 5  # while a hand is up
_RELOAD_S = 30  # without JavaScript
_TOLD = timedelta(hours=1)  # for so long a student reads who lowered their hand


def hand_values(desk: Desk, visitor: Visitor, course: str) -> dict[str, Any]:
    """What hand.html shows of a person's own hand; the values of the page around it."""
    hand = desk.store.hand(course, visitor.name)
    is_up = hand is not None and hand.lowered_at is None
    if hand is not None and hand.lowered_at is not None:
        by_other = hand.lowered_by != visitor.name
        if not by_other or datetime.now(UTC) - hand.lowered_at > _TOLD:
            hand = None

    def called(username: str) -> str:
        member = desk.store.someone(course, username)
        return (member.name if member else "") or username

    opened = desk.store.opened(course).get(visitor.name)
    return {
        "hand": hand,
        "hand_is_up": is_up,
        "opened": opened,
        "called": called,
        "longest_about": LONGEST_ABOUT,
        "refresh_s": _LOOK_S if is_up or opened else 0,
        "reload_s": _RELOAD_S,
    }


def hand_pages(desk: Desk) -> APIRouter:
    """Routes about a person's own hand, below the lab that it is about."""
    router = APIRouter(prefix="/labs/{course}/{lab}/hand")
    sent = Depends(desk.form)
    store = desk.store

    @router.post("")
    async def up(course: str, lab: str, form: _Form = sent) -> Response:
        """Raise it, with a few words; with a tick, let the instructors in too."""
        visitor, fields = form
        await asyncio.to_thread(desk.release, visitor, course, lab)
        about = " ".join(fields.get("about", "").split())
        if len(about) > LONGEST_ABOUT:
            raise HTTPException(422, _("That is too long for a raised hand. Say it in a few words."))
        desk.limits.hands.press(visitor.name)
        await asyncio.to_thread(store.raise_hand, course, lab, visitor.name, about)
        if "open" in fields:
            await _open(desk, visitor, course)
        return desk.to("labs", course, lab)

    @router.post("/lower")
    async def down(course: str, lab: str, form: _Form = sent) -> Response:
        """Lower it; what was open ends with it."""
        visitor = form[0]
        await asyncio.to_thread(desk.release, visitor, course, lab)
        await asyncio.to_thread(store.lower_hand, course, visitor.name, visitor.name)
        await _end(desk, visitor)
        return desk.to("labs", course, lab)

    @router.post("/open")
    async def open_server(course: str, lab: str, form: _Form = sent) -> Response:
        """Let the instructors into the lab's server while the hand is up."""
        visitor = form[0]
        await asyncio.to_thread(desk.release, visitor, course, lab)
        desk.limits.hands.press(visitor.name)
        await _open(desk, visitor, course)
        return desk.to("labs", course, lab)

    @router.post("/close")
    async def close_server(course: str, lab: str, form: _Form = sent) -> Response:
        """Let nobody in any more; the hand stays up."""
        visitor = form[0]
        await asyncio.to_thread(desk.release, visitor, course, lab)
        await asyncio.to_thread(store.end_server, visitor.name, course)
        await _end(desk, visitor)
        return desk.to("labs", course, lab)

    return router


async def _open(desk: Desk, visitor: Visitor, course: str) -> None:
    """Open the server of the lab that the hand is about; why not is said on the next page."""
    hand = await asyncio.to_thread(desk.store.hand, course, visitor.name)
    if hand is None or hand.lowered_at is not None:
        visitor.session.notice = _("Raise your hand first: your server is open only while it is up.")
        return
    release = await asyncio.to_thread(desk.store.find_release, course, hand.lab)
    try:
        await desk.opening.open(visitor.session.token, visitor.name, release.environment, course)
    except HubError as error:
        visitor.session.notice = _("Your server was not opened to anybody: %(reason)s") % {"reason": error}


async def _end(desk: Desk, visitor: Visitor) -> None:
    if not await desk.opening.end_due(visitor.name):
        visitor.session.notice = _(
            "The hub does not answer at the moment. Your server closes to others as soon as it does; to be sure, stop it."
        )
