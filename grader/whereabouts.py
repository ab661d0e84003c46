"""What notebooks tell, as it comes in: kept in memory, written together every two seconds; and the raised hands.

A class of 200 tells something many times a second; the record gets one transaction every two seconds at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from grader.handlog import LONGEST_ABOUT, HandRefused
from grader.names import check_course, check_lab
from grader.outline import outline
from grader.people import Person
from grader.places import WORKING, Place, Ran, moved
from grader.store import Store

log = logging.getLogger("ictlabs.exchange")

WRITE_S = 2.0
_FORGET = timedelta(hours=1)  # what is written and old stands in the record
_MOST_BYTES = 32 * 1024

Body = TypeVar("Body", bound=BaseModel)


class Whereabouts:
    """Where everybody is, from what their notebooks tell."""

    def __init__(self, store: Store, write_s: float = WRITE_S) -> None:
        """Write to `store`, `write_s` seconds after something changed at the latest."""
        self._store = store
        self._write_s = write_s
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str], Place] = {}
        self._changed: set[tuple[str, str, str]] = set()
        self._timer: threading.Timer | None = None

    def take(self, course: str, lab: str, username: str, batch: Sequence[Ran]) -> Place:
        """Note what ran. Raises NotThere for a lab that is not released."""
        release = self._store.find_release(course, lab)
        exercises = outline(self._store.blob(release.sha256))
        key, now = (course, username, lab), datetime.now(UTC)
        with self._lock:
            before = self._known.get(key)
        if before is None:
            before = self._store.place(course, lab, username) or Place(course, username, lab, now, now)
        with self._lock:
            place = moved(self._known.get(key, before), batch, exercises, now)
            self._known[key] = place
            self._changed.add(key)
            if self._timer is None:
                self._timer = threading.Timer(self._write_s, self.write)
                self._timer.daemon = True
                self._timer.start()
        return place

    def working(self, course: str) -> list[Place]:
        """Who is at work in a course at this moment, in no order; of two labs of a person the last."""
        now = datetime.now(UTC)
        rows = self._store.places(course, since=now - WORKING)
        with self._lock:
            known = [place for place in self._known.values() if place.course == course]
        last: dict[str, Place] = {}
        for place in sorted([*rows, *known], key=lambda each: each.seen_at):
            last[place.username] = place
        return [place for place in last.values() if place.is_working(now)]

    def write(self) -> None:
        """Write what changed; what cannot be written now is written with the next."""
        with self._lock:
            self._timer = None
            keys, self._changed = self._changed, set()
            places = [self._known[key] for key in keys]
        try:
            if places:
                self._store.put_places(places)
        except Exception:  # a full disk: whatever it is, the class goes on
            log.exception("where %d students are could not be written", len(places))
            with self._lock:
                self._changed |= keys
            return
        old = datetime.now(UTC) - _FORGET
        with self._lock:
            for key in [key for key, place in self._known.items() if place.seen_at < old]:
                if key not in self._changed:
                    del self._known[key]


@dataclass(frozen=True)
class Live:
    """What the routes below need. press: counts what one person sends, and raises when it is too much."""

    whereabouts: Whereabouts
    press_event: Callable[[str], None]
    press_hand: Callable[[str], None]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Said(_Told):
    """One check of a check cell."""

    name: str = Field(max_length=200)
    holds: bool


class Cell(_Told):
    """A cell that ran; `cell`: its name in nbgrader, empty for one that is none of the lab's."""

    cell: str = Field(max_length=200)
    checks: list[Said] = Field(default=[], max_length=50)


class Events(_Told):
    """What ran in one lab since the last time."""

    course: str = Field(max_length=40)
    lab: str = Field(max_length=64)
    events: list[Cell] = Field(max_length=50)


class Raised(_Told):
    """A hand; `about`: a few words, or null to lower it."""

    course: str = Field(max_length=40)
    lab: str = Field(max_length=64)
    about: str | None = Field(max_length=LONGEST_ABOUT)


def _described(body: type[BaseModel]) -> dict[str, Any]:
    """For the OpenAPI description: the body is read by hand, in bounds. Its parts stand where they are used."""
    schema = body.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(found: Any) -> Any:
        if isinstance(found, list):
            return [whole(each) for each in found]
        if not isinstance(found, dict):
            return found
        if "$ref" in found:
            return whole(parts[found["$ref"].rpartition("/")[2]])
        return {name: whole(each) for name, each in found.items()}

    return {"requestBody": {"content": {"application/json": {"schema": whole(schema)}}, "required": True}}


def live_routes(router: APIRouter, store: Store, live: Live, who: Any) -> None:
    """Add the routes that notebooks use while somebody works."""

    @router.post("/events", status_code=202, tags=["now"], openapi_extra=_described(Events))
    async def take_events(request: Request, person: Person = who) -> dict[str, int]:
        """What ran in the person's notebook: names of checks and whether they hold, no answers."""
        told = await _read(request, Events)
        _student(person, told.course, told.lab)
        live.press_event(person.name)
        batch = [Ran(each.cell, tuple((one.name, one.holds) for one in each.checks)) for each in told.events]
        await run_in_threadpool(live.whereabouts.take, told.course, told.lab, person.name, batch)
        return {"taken": len(batch)}

    @router.post("/hands", tags=["now"], openapi_extra=_described(Raised))
    async def raise_hand(request: Request, person: Person = who) -> dict[str, str]:
        """Raise the person's hand, or lower it."""
        told = await _read(request, Raised)
        _student(person, told.course, told.lab)
        live.press_hand(person.name)
        return {"told": await run_in_threadpool(_hand, store, person.name, told)}


def _hand(store: Store, username: str, told: Raised) -> str:
    if told.about is None:
        was_up = store.lower_hand(told.course, username, username)
        return "Your hand is down." if was_up else "Your hand was not up."
    store.find_release(told.course, told.lab)
    try:
        store.raise_hand(told.course, told.lab, username, told.about)
    except HandRefused as refused:
        raise HTTPException(422, str(refused)) from refused
    return "Your hand is up: the instructors of the course see it now."


def _student(person: Person, course: str, lab: str) -> None:
    check_course(course)
    check_lab(lab)
    if course not in person.student_courses:
        raise HTTPException(403, f"You are no student of {course}, so nobody needs to see where you are.")


async def _read(request: Request, kind: type[Body]) -> Body:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, f"That is more than {_MOST_BYTES} bytes. Send less at once.")
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:100] or "the body"
        raise HTTPException(
            422, f"{where}: {first['msg']}. The API's description says what is taken."
        ) from error
