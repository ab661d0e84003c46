"""The audit log in the record: who did what, when; lines are added, read and, when they are old, forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, select

from grader.database import Database
from grader.models import Deed


def printable(text: str, most: int) -> str:
    """`text` without what no line holds (PostgreSQL takes no NUL), cut to `most` characters."""
    return "".join(char for char in text if char.isprintable())[:most]


@dataclass(frozen=True)
class Asked:
    """Which lines of the audit log; what is None is not asked for."""

    who: str | None = None
    course: str | None = None
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # not at this moment any more

    def conditions(self) -> list[ColumnElement[bool]]:
        """As the database wants them."""
        found: list[ColumnElement[bool]] = []
        if self.who is not None:
            found.append(Deed.who == self.who)
        if self.course is not None:
            found.append(Deed.course == self.course)
        if self.what is not None:
            found.append(Deed.what == self.what)
        if self.since is not None:
            found.append(Deed.at >= self.since)
        if self.until is not None:
            found.append(Deed.at < self.until)
        return found


class AuditLog(Database):
    """The record's audit log."""

    def note(
        self, who: str, what: str, *, course: str | None = None, subject: str = "", detail: str = ""
    ) -> None:
        """Add a line: `who` has done `what`. What is too long is cut."""
        with self._write() as session:
            session.add(
                Deed(
                    at=datetime.now(UTC),
                    who=printable(who, 64),
                    what=printable(what, 80),
                    course=printable(course, 40) if course else None,
                    subject=printable(subject, 200),
                    detail=printable(detail, 500),
                )
            )

    def deeds(self, asked: Asked, *, before: int | None = None, most: int = 50) -> list[Deed]:
        """Lines, newest first, at most `most`. before: only those with a smaller id."""
        query = select(Deed).where(*asked.conditions()).order_by(Deed.id.desc()).limit(most)
        if before is not None:
            query = query.where(Deed.id < before)
        with self._read() as session:
            return list(session.scalars(query))

    def forget_deeds(self, before: datetime) -> int:
        """Drop the lines from before a moment; returns how many."""
        with self._write() as session:
            return int(session.execute(delete(Deed).where(Deed.at < before)).rowcount)  # type: ignore[attr-defined]
