"""Schedules in the record: who may hand in, until when and how often, and what others cannot get around."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grader.archives import pack
from grader.schedule import NotNow, Schedule, ScheduleRefused
from grader.store import MemberRow, NotThere, Store

LAB = "net-subnetting"
WORK = pack({f"{LAB}.ipynb": b"{}"})
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def offer(store: Store, lab: str = LAB, **terms: Any) -> None:
    """Release a lab on these terms."""
    store.release(
        "ict101",
        lab,
        WORK,
        title="T",
        environment="base",
        max_points=5,
        by="teacher",
        schedule=Schedule(**terms),
    )


def now() -> datetime:
    return datetime.now(UTC)


def test_before_the_opening_nobody_hands_in_but_those_who_teach(store: Store) -> None:
    offer(store, opens_at=now() + HOUR)

    with pytest.raises(NotNow, match="opens at"):
        store.submit("ict101", LAB, "alice", WORK)
    with pytest.raises(NotNow, match="opens at"):
        store.check_open("ict101", LAB)
    assert store.submit("ict101", LAB, "teacher", WORK, bound=False)


def test_after_the_cutoff_only_those_with_an_extension_hand_in(store: Store) -> None:
    store.enrol("ict101", [MemberRow("bob", section="B"), MemberRow("carol", section="B")])
    offer(store, due_at=now() - DAY, cutoff_at=now() - HOUR)
    given = {"due_at": now() + HOUR, "cutoff_at": None, "by": "teacher"}
    store.extend("ict101", LAB, username="alice", reason="ill", **given)
    store.extend("ict101", LAB, section="B", reason="the network was down", **given)

    for name in ("alice", "bob", "carol"):
        assert store.submit("ict101", LAB, name, WORK)
    with pytest.raises(NotNow, match=r"until .* UTC; it is closed"):
        store.submit("ict101", LAB, "dave", WORK)


def test_an_extension_that_is_removed_holds_no_more(store: Store) -> None:
    offer(store, due_at=now() - DAY, cutoff_at=now() - HOUR)
    row = store.extend(
        "ict101", LAB, username="alice", due_at=now() + DAY, cutoff_at=None, reason="ill", by="t"
    )

    store.remove_extension("ict101", LAB, row.id)

    with pytest.raises(NotNow):
        store.submit("ict101", LAB, "alice", WORK)
    with pytest.raises(NotThere):
        store.remove_extension("ict101", LAB, row.id)


def test_a_second_extension_takes_the_place_of_the_first(store: Store) -> None:
    offer(store, due_at=now())
    for days in (1, 2):
        due = now() + days * DAY
        store.extend("ict101", LAB, username="alice", due_at=due, cutoff_at=None, reason="ill", by="t")

    assert [row.due_at for row in store.extensions("ict101", LAB)] == [due]
    assert [row.due_at for row in store.own_releases("ict101", "alice")] == [due]
    assert [row.due_at for row in store.own_releases("ict101", "bob")] != [due]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": " "},
        {"due_at": None},
        {"section": "B"},
        {"username": ""},
        {"cutoff_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_an_extension_says_for_whom_until_when_and_why(store: Store, wrong: dict[str, Any]) -> None:
    offer(store, due_at=now())
    right = {"username": "alice", "due_at": now() + DAY, "cutoff_at": None, "reason": "ill", "by": "t"}

    with pytest.raises(ScheduleRefused):
        store.extend("ict101", LAB, **(right | wrong))
    with pytest.raises(NotThere):
        store.extend("ict101", LAB, **(right | {"username": "zoe"}))


def test_attempts_are_counted_and_many_at_once_get_no_more(store: Store) -> None:
    """Both kinds of database: one that has one writer at a time, and one that has many."""
    offer(store, attempts=3)
    taken: list[str] = []
    refused: list[NotNow] = []
    gate = threading.Barrier(8)

    def hand_in() -> None:
        gate.wait()
        try:
            taken.append(store.submit("ict101", LAB, "alice", WORK).id)
        except NotNow as error:
            refused.append(error)

    threads = [threading.Thread(target=hand_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(taken), len(refused)) == (3, 5)
    assert "3 times" in str(refused[0])
    assert store.submit("ict101", LAB, "bob", WORK)


def test_releasing_again_keeps_the_schedule(store: Store) -> None:
    terms = {
        "opens_at": now() - DAY, "cutoff_at": now() + DAY, "due_at": now(), "late_kind": "deduction",
        "late_percent": 10.0, "attempts": 2, "reveal": "marks",
    }  # fmt: skip
    offer(store, **terms)

    store.release(
        "ict101", LAB, WORK, title="T", environment="base", max_points=5, by="t", due_at=terms["due_at"]
    )

    row = store.find_release("ict101", LAB)
    assert {name: getattr(row, name) for name in terms} == terms


def test_a_student_s_bank_is_what_their_labs_have_left_of_it(store: Store) -> None:
    store.set_bank("ict101", 3)
    offer(store, due_at=now() - HOUR - DAY, late_kind="bank", late_percent=20.0)
    offer(store, "other", due_at=now() + DAY, late_kind="bank", late_percent=20.0)
    store.submit("ict101", LAB, "alice", WORK)

    assert store.bank_left("ict101", "alice") == 1
    assert store.bank_left("ict101", "bob") == 3
