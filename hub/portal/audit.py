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
    "POST /courses/{course}/jobs/{number}/cancel": Line("job.cancel"),
    "POST /courses/{course}/jobs/{number}/retry": Line("job.retry"),
    "POST /courses/{course}/people": Line("people.add", ("username", "role")),
    "POST /courses/{course}/people/{username}": Line("people.change", ("role",)),
    "POST /courses/{course}/people/{username}/remove": Line("people.remove"),
    "POST /courses/{course}/roster/apply": Line("people.import"),
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
    "POST /logout": "the reader's own session",
    "POST /receipts/verify": "only looks",
    "POST /courses/{course}/roster": "only looks",
    "POST /labs/{course}/{lab}/start": "one's own server; the hub logs it",
    "POST /courses/{course}/formgrader": "one's own server; the hub logs it",
    "POST /servers/{server}/stop": "one's own server; the hub logs it",
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
