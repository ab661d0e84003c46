"""Where students are, in the record: one row for each student and lab, many written at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, tuple_, update

from grader.database import Database
from grader.models import Presence
from grader.places import Place

_MOST_KEYS = 300  # SQLite bounds the variables of one statement, and a key has three


class PlaceLog(Database):
    """The record's places."""

    def place(self, course: str, lab: str, username: str) -> Place | None:
        """Where a student was seen last in a lab."""
        with self._read() as session:
            row = session.get(Presence, (course, username, lab))
        return _place(row) if row else None

    def places(self, course: str, *, since: datetime) -> list[Place]:
        """Everybody of a course who was seen since then."""
        query = select(Presence).where(Presence.course == course, Presence.seen_at >= since)
        with self._read() as session:
            return [_place(row) for row in session.scalars(query)]

    def put_places(self, places: Collection[Place]) -> None:
        """Write where students are, over what is there: one transaction."""
        rows = {(each.course, each.username, each.lab): _row(each) for each in places}
        keys = list(rows)
        key = tuple_(Presence.course, Presence.username, Presence.lab)
        columns = (Presence.course, Presence.username, Presence.lab)
        with self._write() as session:
            there: set[tuple[str, str, str]] = set()
            for at in range(0, len(keys), _MOST_KEYS):
                query = select(*columns).where(key.in_(keys[at : at + _MOST_KEYS]))
                there |= {(row[0], row[1], row[2]) for row in session.execute(query)}
            if new := [row for each, row in rows.items() if each not in there]:
                session.execute(insert(Presence), new)
            if known := [row for each, row in rows.items() if each in there]:
                session.execute(update(Presence), known)


def _place(row: Presence) -> Place:
    return Place(
        course=row.course,
        username=row.username,
        lab=row.lab,
        seen_at=row.seen_at,
        since=row.since,
        exercise=row.exercise,
        failing_since=row.failing_since,
        failing=row.failing,
        solved=row.solved,
    )


def _row(place: Place) -> dict[str, Any]:
    return asdict(place) | {"solved": list(place.solved)}
