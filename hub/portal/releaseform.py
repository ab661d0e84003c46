"""The form in which instructors write a schedule: times in the site's time zone, as browsers send them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast
from zoneinfo import ZoneInfo

from grader.schedule import LateKind, Reveal, Schedule, ScheduleRefused

_YEARS = range(2000, 2200)


def entered_of(schedule: Schedule, bank_days: int, zone: ZoneInfo) -> dict[str, str]:
    """The fields of the form that say this schedule."""
    return {
        "opens": _written(schedule.opens_at, zone),
        "due": _written(schedule.due_at, zone),
        "cutoff": _written(schedule.cutoff_at, zone),
        "late": schedule.late_kind,
        "percent": f"{schedule.late_percent:g}",
        "bank": str(bank_days),
        "attempts": str(schedule.attempts or ""),
        "reveal": schedule.reveal,
    }


def schedule_from(fields: Mapping[str, str], known: Schedule, zone: ZoneInfo) -> tuple[Schedule, int | None]:
    """What a form says, and the days of the bank if the lab draws on it. Raises ScheduleRefused.

    known: what is set now; a time that was left alone keeps its seconds.
    """
    late = fields.get("late", "none")
    attempts = fields.get("attempts", "").strip()

    def moment(name: str, was: datetime | None) -> datetime | None:
        text = fields.get(name, "").strip()
        return was if text == _written(was, zone) else moment_of(text, zone)

    schedule = Schedule(
        opens_at=moment("opens", known.opens_at),
        due_at=moment("due", known.due_at),
        cutoff_at=moment("cutoff", known.cutoff_at),
        late_kind=cast(LateKind, late),
        late_percent=_number(fields.get("percent", "")) if late != "none" else 0.0,
        attempts=int(_number(attempts)) if attempts else None,
        reveal=cast(Reveal, fields.get("reveal", "messages")),
    ).checked()
    return schedule, int(_number(fields.get("bank", ""))) if late == "bank" else None


def moment_of(text: str, zone: ZoneInfo) -> datetime | None:
    """A time as a browser sends it; None for an empty field. Raises ScheduleRefused."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        shown = text.strip()[:40]
        raise ScheduleRefused(f"{shown!r} is no time. Write it as 2027-03-01T18:00.")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _written(when: datetime | None, zone: ZoneInfo) -> str:
    return f"{when.astimezone(zone):%Y-%m-%dT%H:%M}" if when else ""


def _number(text: str) -> float:
    try:
        number = float(text.strip() or 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 10_000:  # the bounds that matter are the schedule's
        raise ScheduleRefused(f"{text.strip()[:40]!r} is not a number that can be used here.")
    return number
