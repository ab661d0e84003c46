"""Which requests are lines of the audit log: every one that changes something, by its route, after it succeeded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grader.store import Store

log = logging.getLogger(__name__)

CHANGES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Line:
    """How a route is written down. fields: of its form or its query, those that hold no text and no secret."""

    what: str
    fields: tuple[str, ...] = ()


LINES: Mapping[str, Line] = {
    "POST /courses/{course}/labs/{lab}/grade": Line("lab.grade"),
    "POST /courses/{course}/labs/{lab}/feedback": Line("feedback.release"),
    "POST /courses/{course}/labs/{lab}/students/{username}": Line("mark.save"),
    "POST /courses/{course}/labs/{lab}/students/{username}/feedback": Line("feedback.release"),
    "POST /courses/{course}/labs/{lab}/release": Line("lab.release"),
    "POST /courses/{course}/labs/{lab}/release/version": Line("lab.version"),
    "POST /courses/{course}/labs/{lab}/release/extensions": Line("extension.add", ("username", "section")),
    "POST /courses/{course}/labs/{lab}/release/extensions/{number}/remove": Line("extension.remove"),
    "POST /courses/{course}/labs/{lab}/release/withdraw": Line("lab.withdraw"),
    "POST /courses/{course}/jobs/{number}/cancel": Line("job.cancel"),
    "POST /courses/{course}/jobs/{number}/retry": Line("job.retry"),
    "POST /courses/{course}/people": Line("people.add", ("username", "role")),
    "POST /courses/{course}/people/{username}": Line("people.change", ("role",)),
    "POST /courses/{course}/people/{username}/remove": Line("people.remove"),
    "POST /courses/{course}/roster/apply": Line("people.import"),
    "POST /courses/{course}/open": Line("course.open", ("open",)),
    "POST /courses/{course}/join": Line("course.join"),
    "POST /courses/{course}/leave": Line("course.leave"),
    "POST /courses/{course}/inquiries/{number}/answer": Line("inquiry.answer"),
    "POST /courses/{course}/inquiries/{number}/close": Line("inquiry.close"),
    "POST /courses/{course}/questions/{number}/show": Line("question.show"),
    "POST /courses/{course}/questions/{number}/withdraw": Line("question.withdraw"),
    "POST /courses/{course}/hands/{username}/enter": Line("server.enter"),
    "POST /courses/{course}/hands/{username}/close": Line("server.shut"),
    "POST /courses/{course}/hands/{username}/lower": Line("hand.lower"),
    "POST /labs/{course}/{lab}/hand/open": Line("server.open"),
    "POST /labs/{course}/{lab}/hand/close": Line("server.shut"),
    "POST /courses/{course}/announcements": Line("announcement.make"),
    "POST /courses/{course}/announcements/{number}/withdraw": Line("announcement.withdraw"),
    "POST /administration/accounts/{username}/approve": Line("account.approve"),
    "POST /administration/accounts/{username}/discard": Line("account.discard"),
    "POST /administration/jobs/{number}/cancel": Line("job.cancel"),
    "POST /administration/jobs/{number}/retry": Line("job.retry"),
    "POST /administration/stop": Line("server.stop", ("username", "server")),
    "POST /administration/idle": Line("server.stop-idle", ("hours",)),
    "POST /api/exchange/releases/{course}/{lab}": Line("lab.release"),
    "DELETE /api/exchange/releases/{course}/{lab}": Line("lab.withdraw"),
    "POST /api/exchange/feedback/{course}/{lab}/{submission_id}": Line("feedback.write"),
    "POST /api/exchange/grading/{course}/{lab}": Line("lab.grade", ("student",)),
}
# Changes nothing that others see, or is in the record itself.
SILENT = {
    "POST /language": "the reader's own cookie",
    "POST /timezone": "the reader's own cookie",
    "POST /logout": "the reader's own session",
    "POST /receipts/verify": "only looks",
    "POST /courses/{course}/roster": "only looks",
    "POST /labs/{course}/{lab}/start": "one's own server; the hub logs it",
    "POST /courses/{course}/formgrader": "one's own server; the hub logs it",
    "POST /servers/{server}/stop": "one's own server; the hub logs it",
    "POST /courses/{course}/hands/{username}/seen": "the hand has who comes",
    "POST /labs/{course}/{lab}/hand": "a hand is up until it is lowered",
    "POST /labs/{course}/{lab}/hand/lower": "one's own hand",
    "POST /api/exchange/hands": "one's own hand",
    "POST /api/exchange/events": "where somebody is in a lab, overwritten as they go on",
    "POST /feedback/{submission_id}/inquiries": "an inquiry has a history of its own",
    "POST /inquiries/{number}/reopen": "an inquiry has a history of its own",
    "POST /inquiries/{number}/withdraw": "an inquiry has a history of its own",
    "POST /courses/{course}/questions/new": "a question has who asked it",
    "POST /courses/{course}/questions/{number}": "a post has who wrote it",
    "POST /courses/{course}/questions/{number}/close": "changes nothing that was written",
    "POST /api/questions/{course}": "a question has who asked it",
    "POST /api/questions/{course}/{number}": "a post has who wrote it",
    "POST /api/exchange/submissions/{course}/{lab}": "a submission is a record of its own, with a receipt",
}


class Audit:
    """ASGI middleware: writes the line before the answer goes out. What Login and the exchange found says who it was.

    A route without a Line is written down by its method and path.
    """

    def __init__(self, app: ASGIApp, store: Store, prefix: str) -> None:
        """Wrap `app`. prefix: of all routes, without a slash at the end."""
        self.app = app
        self._store = store
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and write down what was done."""
        if scope["type"] != "http" or scope["method"] not in CHANGES:
            await self.app(scope, receive, send)
            return

        async def send_after(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await self._write(scope)
            await send(message)

        await self.app(scope, receive, send_after)

    async def _write(self, scope: Scope) -> None:
        state: Mapping[str, Any] = scope.get("state", {})
        route = scope.get("route")
        if "who" not in state or route is None:
            return
        name = f"{scope['method']} {route.path.removeprefix(self._prefix)}"
        if name in SILENT:
            return
        line = LINES.get(name, Line(name))
        places = {key: str(value) for key, value in scope.get("path_params", {}).items()}
        course = places.pop("course", None)
        given = dict(HTTPConnection(scope).query_params) | state.get("fields", {})
        kept = [f"{field}: {given[field]}" for field in line.fields if given.get(field)]
        try:
            await asyncio.to_thread(
                self._store.note,
                state["who"],
                line.what,
                course=course,
                subject=" / ".join(places.values()),
                detail=", ".join(kept),
            )
        except Exception:
            log.exception("%s by %s is not in the audit log", name, state["who"])  # it is done all the same
