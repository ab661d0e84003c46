"""When a lab is open to whom, and what handing in late costs: the arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from grader.schedule import (
    HandedIn,
    Schedule,
    ScheduleRefused,
    Times,
    days_late,
    lateness,
    merged,
    penalty,
    refusal,
    spread,
    with_extensions,
)

DUE = datetime(2027, 3, 1, 18, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("after_due", "days"),
    [
        (-HOUR, 0),
        (timedelta(0), 0),
        (timedelta(microseconds=1), 1),
        (HOUR, 1),
        (DAY, 1),
        (DAY + timedelta(seconds=1), 2),
        (10 * DAY, 10),
    ],
)
def test_a_day_late_is_24_hours_begun_since_the_due_time(after_due: timedelta, days: int) -> None:
    assert days_late(DUE + after_due, DUE) == days


def test_what_is_never_due_is_never_late() -> None:
    assert days_late(DUE, None) == 0


@pytest.mark.parametrize(
    ("extensions", "due", "cutoff"),
    [
        ([], DUE, DUE + 2 * DAY),
        ([(DUE + DAY, None)], DUE + DAY, DUE + 2 * DAY),
        ([(DUE + DAY, None), (DUE + 5 * DAY, None)], DUE + 5 * DAY, DUE + 5 * DAY),  # own and group's
        ([(DUE - DAY, DUE - DAY)], DUE, DUE + 2 * DAY),  # takes no time away
        ([(None, DUE + 9 * DAY)], DUE, DUE + 9 * DAY),
        ([(DUE + 4 * DAY, DUE + 6 * DAY)], DUE + 4 * DAY, DUE + 6 * DAY),
    ],
)
def test_the_latest_time_that_anybody_gave_a_student_holds(
    extensions: list[tuple[datetime | None, datetime | None]], due: datetime, cutoff: datetime
) -> None:
    assert with_extensions(Times(None, DUE, DUE + 2 * DAY), extensions) == Times(None, due, cutoff)


def test_an_extension_brings_no_end_to_what_has_none() -> None:
    assert with_extensions(Times(None, None, None), [(DUE, DUE)]) == Times(None, None, None)


def test_a_deduction_is_a_share_for_each_day_begun_and_never_more_than_all() -> None:
    def share(after_due: timedelta) -> float:
        return lateness([HandedIn("a", DUE + after_due, DUE, "deduction", 10)], 0)["a"].share

    assert [share(after) for after in (-DAY, HOUR, 2 * DAY, 30 * DAY)] == [0, 0.1, 0.2, 1]


def test_without_a_policy_lateness_is_told_and_costs_nothing() -> None:
    late = lateness([HandedIn("a", DUE + HOUR, DUE, "none", 50)], 3)["a"]

    assert (late.days, late.from_bank, late.share) == (1, 0, 0)


def test_a_bank_pays_for_the_labs_in_the_order_of_their_due_times() -> None:
    work = [
        HandedIn("third", DUE + 22 * DAY, DUE + 20 * DAY, "bank", 25),
        HandedIn("second", DUE + 12 * DAY, DUE + 10 * DAY, "bank", 25),
        HandedIn("first", DUE + HOUR, DUE, "bank", 25),
        HandedIn("other", DUE - 5 * DAY + HOUR, DUE - 5 * DAY, "deduction", 10),
    ]

    late = lateness(work, 2)

    assert {lab: (each.days, each.from_bank, each.share) for lab, each in late.items()} == {
        "other": (1, 0, 0.1),  # draws on no bank
        "first": (1, 1, 0),
        "second": (2, 1, 0.25),
        "third": (2, 0, 0.5),
    }


def test_an_extension_after_handing_in_gives_the_day_back_to_the_bank() -> None:
    second = HandedIn("second", DUE + 10 * DAY + HOUR, DUE + 10 * DAY, "bank", 50)
    late, extended = (HandedIn("first", DUE + HOUR, due, "bank", 50) for due in (DUE, DUE + DAY))

    assert lateness([late, second], 1)["second"].share == 0.5
    assert lateness([extended, second], 1)["second"].share == 0


@pytest.mark.parametrize(
    ("points", "share", "off"), [(20, 0.1, 2), (20, 0, 0), (1, 0.1, 1), (0, 0.5, 0), (20, 1, 20)]
)
def test_points_off_are_a_share_of_what_the_lab_is_worth_and_never_more_than_earned(
    points: float, share: float, off: float
) -> None:
    assert penalty(points, 20, share) == off


def test_points_off_are_found_in_several_notebooks() -> None:
    assert spread(3, [2, 0, 5]) == [2, 0, 1]
    assert spread(0, [2, 0, 5]) == [0, 0, 0]


def test_a_refusal_says_until_when_and_that_work_is_kept() -> None:
    times = Times(DUE - 9 * DAY, DUE, DUE + DAY)

    early = refusal(times, None, 0, DUE - 10 * DAY, "sums")
    closed = refusal(times, None, 0, DUE + DAY + HOUR, "sums")
    used = refusal(times, 2, 2, DUE, "sums")

    assert early is not None and early.told(ZoneInfo("Asia/Kolkata")).startswith(
        "sums opens at 2027-02-20 23:30 IST"
    )
    assert (
        closed is not None and "until 2027-03-02 18:00 UTC" in str(closed) and "work is kept" in str(closed)
    )
    assert used is not None and "2 times" in str(used) and "kept" in str(used)
    assert refusal(times, 2, 1, DUE + DAY, "sums") is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"cutoff_at": DUE - DAY}, "cut-off time is before the due time"),
        ({"opens_at": DUE}, "due time is before the opening time"),
        ({"opens_at": DUE, "due_at": None, "cutoff_at": DUE - DAY}, "cut-off time is before the opening"),
        ({"late_kind": "deduction"}, "percent a day"),
        ({"late_kind": "deduction", "late_percent": 101.0}, "100 at most"),
        ({"late_kind": "deduction", "late_percent": float("nan")}, "100 at most"),
        ({"late_kind": "bank", "due_at": None}, "needs a due time"),
        ({"late_kind": "fine"}, "Choose a late policy"),
        ({"reveal": "all"}, "what is revealed"),
        ({"attempts": 0}, "1 to 1000"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_the_reason(said: dict[str, object], why: str) -> None:
    with pytest.raises(ScheduleRefused, match=why):
        merged(Schedule(due_at=DUE), said)
