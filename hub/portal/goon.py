"""What a student's first page puts on top: the lab to go on with and why that one, and what is due next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hub.portal.overview import LabRow

MOST_DUE = 3


@dataclass(frozen=True)
class GoOn:
    """The lab that one press opens. why: its server runs, it was begun, or it is the next one."""

    row: LabRow
    why: Literal["running", "begun", "next"]


def go_on(rows: Sequence[LabRow], running: Collection[str], now: datetime) -> GoOn | None:
    """What to go on with: the lab worked on last as long as it runs or is not handed in, else the next one.

    `rows`: all labs of the student. `running`: environments whose server runs.
    """
    open_rows = [row for row in rows if row.can_start]
    begun = [row for row in open_rows if row.started_at is not None]
    last = max(begun, key=lambda row: row.started_at or now, default=None)
    if last is not None:
        if last.release.environment in running:
            return GoOn(last, "running")
        if not _handed_in_since(last):
            return GoOn(last, "begun")
    waiting = [row for row in open_rows if row.newest is None]
    ahead = due_next(waiting, now) or [row for row in waiting if not row.overdue] or waiting
    return GoOn(ahead[0], "next") if ahead else None


def due_next(rows: Iterable[LabRow], now: datetime) -> list[LabRow]:
    """Labs that are due and not handed in, the soonest first."""
    due = [
        (row.release.due_at, row)
        for row in rows
        if row.release.due_at and row.release.due_at > now and not row.newest and row.can_start
    ]
    return [row for _, row in sorted(due, key=lambda pair: pair[0])]


def _handed_in_since(row: LabRow) -> bool:
    return row.newest is not None and row.started_at is not None and row.newest.received_at >= row.started_at
