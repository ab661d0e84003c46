"""Raised hands in the record, and servers that their owners let instructors open for a while."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from grader.database import Database, RecordError
from grader.models import Hand, OpenServer

LONGEST_ABOUT = 300


class HandRefused(RecordError):
    """A hand that cannot be raised so; the message says why."""


class HandLog(Database):
    """The record's hands and open servers."""

    def raise_hand(self, course: str, lab: str, username: str, about: str) -> Hand:
        """Raise a hand; one that is up keeps its turn and gets the new words. Raises HandRefused."""
        plain = "".join(" " if unicodedata.category(char) == "Cc" else char for char in about)
        about = " ".join(plain.split())
        if len(about) > LONGEST_ABOUT:
            raise HandRefused(
                f"That has {len(about)} characters, and {LONGEST_ABOUT} is the most. Shorten it."
            )
        with self._write() as session:
            row = session.get(Hand, (course, username))
            if row is None or row.lowered_at is not None:
                row = session.merge(Hand(course=course, username=username, raised_at=datetime.now(UTC)))
                row.seen_by = row.lowered_by = ""
                row.lowered_at = None
            row.lab, row.about = lab, about
        return row

    def see_hand(self, course: str, username: str, by: str) -> bool:
        """Note that somebody is coming. Returns whether the hand is up."""
        with self._write() as session:
            row = _up(session, course, username)
            if row is not None:
                row.seen_by = by
        return row is not None

    def lower_hand(self, course: str, username: str, by: str) -> bool:
        """Lower a hand, and with it end what its owner opened in this course. Returns whether it was up."""
        with self._write() as session:
            row = _up(session, course, username)
            if row is not None:
                row.lowered_at, row.lowered_by = datetime.now(UTC), by
            _end(session, username, course)
        return row is not None

    def hand(self, course: str, username: str) -> Hand | None:
        """A person's last hand in a course, up or lowered."""
        with self._read() as session:
            return session.get(Hand, (course, username))

    def hands(self, course: str) -> list[Hand]:
        """The hands that are up, who waits longest first."""
        query = select(Hand).where(Hand.course == course, Hand.lowered_at.is_(None)).order_by(Hand.raised_at)
        with self._read() as session:
            return list(session.scalars(query))

    def open_server(self, username: str, server: str, course: str, code: str, until: datetime) -> OpenServer:
        """Note that a server is open to who has the hub's `code`."""
        with self._write() as session:
            return session.merge(
                OpenServer(username=username, server=server, course=course, code=code, until=until, inside=[])
            )

    def open_servers(self) -> list[OpenServer]:
        """All that are open, and all whose end the hub has not confirmed yet."""
        with self._read() as session:
            return list(session.scalars(select(OpenServer)))

    def opened(self, course: str) -> dict[str, OpenServer]:
        """What is open to instructors of a course now, by whose it is."""
        query = select(OpenServer).where(OpenServer.course == course, OpenServer.until > datetime.now(UTC))
        with self._read() as session:
            return {row.username: row for row in session.scalars(query)}

    def end_server(self, username: str, course: str) -> None:
        """Let what a person opened in a course end now; the hub is told next."""
        with self._write() as session:
            _end(session, username, course)

    def set_inside(self, username: str, server: str, inside: Sequence[str]) -> None:
        """Note who used the code, as the hub says."""
        which = (OpenServer.username == username, OpenServer.server == server)
        with self._write() as session:
            session.execute(update(OpenServer).where(*which).values(inside=list(inside)))

    def server_ended(self, row: OpenServer) -> None:
        """The hub has ended it: forget it, unless it was opened again meanwhile."""
        with self._write() as session:
            now = session.get(OpenServer, (row.username, row.server))
            if now is not None and now.code == row.code:
                session.delete(now)


def _up(session: Session, course: str, username: str) -> Hand | None:
    row = session.get(Hand, (course, username))
    return row if row is not None and row.lowered_at is None else None


def _end(session: Session, username: str, course: str) -> None:
    now = datetime.now(UTC)
    session.execute(
        update(OpenServer)
        .where(OpenServer.username == username, OpenServer.course == course, OpenServer.until > now)
        .values(until=now)
    )
