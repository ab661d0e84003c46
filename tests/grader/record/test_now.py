"""What notebooks tell becomes where students are: who is stuck, what is solved; one row each, written together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from grader.archives import pack
from grader.handlog import HandRefused
from grader.outline import Exercise, Outline, outline
from grader.places import Place, Ran, moved
from grader.store import MemberRow, NotThere, Store
from grader.whereabouts import Whereabouts

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
LAB = Outline(
    (
        *(Exercise(name, name.title(), frozenset({f"check-{name}"})) for name in ("one", "two", "three")),
        Exercise("four", "Four", frozenset({"check-four", "check-four-2"})),
    ),
    {f"{kind}-{name}": name for kind in ("answer", "check") for name in ("one", "two", "three", "four")}
    | {"check-four-2": "four"},
)
FRESH = Place("ict101", "alice", "net-plan", NOW, NOW)


def fails(cell: str, *names: str) -> Ran:
    return Ran(cell, tuple((name, False) for name in names or ("room",)))


def holds(cell: str) -> Ran:
    return Ran(cell, (("room", True),))


def after(*steps: tuple[float, Ran]) -> Place:
    """Where alice is after cells that ran so many minutes after the start."""
    place = FRESH
    for minutes, ran in steps:
        place = moved(place, [ran], LAB, NOW + timedelta(minutes=minutes))
    return place


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_a_check_that_fails_for_ten_minutes_means_stuck_while_somebody_is_there() -> None:
    place = after((0, fails("check-one")), (6, fails("check-one", "mask", "room")), (9, Ran("answer-one")))

    assert not place.is_stuck(at(9.9))
    assert place.is_stuck(at(10))
    assert place.failing_checks == ["mask", "room"]
    assert not place.is_stuck(at(25)), "nobody is there any more"


@pytest.mark.parametrize(
    "step", [holds("check-one"), Ran("answer-two"), fails("check-two")], ids=["solved", "went on", "other"]
)
def test_success_and_another_exercise_begin_anew(step: Ran) -> None:
    place = after((0, fails("check-one")), (9, step), (9.5, Ran("")))

    assert not place.is_stuck(at(11))


def test_time_before_a_break_does_not_count() -> None:
    place = after((0, fails("check-one")), (60, fails("check-one")))

    assert (place.since, place.is_stuck(at(61)), place.is_stuck(at(70))) == (at(60), False, True)


def test_an_exercise_is_solved_when_all_its_check_cells_hold_and_open_again_when_one_fails() -> None:
    first = after((0, holds("check-four")))
    both = after((0, holds("check-four")), (1, holds("check-four-2")))
    broken = after((0, holds("check-four")), (1, holds("check-four-2")), (2, fails("check-four")))

    assert (first.solved, both.solved, broken.solved) == ([], ["four"], [])


def test_a_notebook_run_through_leaves_the_student_where_the_first_open_check_is() -> None:
    everything = [holds("check-one"), fails("check-two"), fails("check-three"), fails("check-four")]

    fresh = moved(FRESH, everything, LAB, NOW)
    working = moved(after((0, fails("check-three"))), everything, LAB, at(5))

    assert (fresh.exercise, fresh.solved) == ("two", ["one"])
    assert (working.exercise, working.failing_since) == ("three", NOW)


def test_what_is_not_in_the_release_is_only_a_sign_of_life_and_what_is_told_is_cut() -> None:
    place = moved(
        FRESH,
        [fails("check-made-up"), fails("answer-one"), fails("check-one", *map(str, range(50)))],
        LAB,
        NOW,
    )
    long = moved(FRESH, [fails("check-one", "x" * 500)], LAB, NOW)
    stranger = moved(FRESH, [fails("check-made-up")], LAB, at(3))

    assert set(place.failing) == {"check-one"}
    assert len(place.failing_checks) == 3
    assert len(long.failing_checks[0]) == 120
    assert (stranger.exercise, stranger.seen_at, stranger.failing) == ("", at(3), {})


def notebook() -> bytes:
    """A released lab with two exercises, the second with a hidden check only."""

    def cell(kind: str, name: str, source: str, **nbgrader: Any) -> dict[str, Any]:
        meta = {"nbgrader": {"grade_id": f"{kind}-{name}", **nbgrader}, "ictlabs": {"exercise": name}}
        return {"cell_type": "code", "source": source, "metadata": meta, "id": f"{kind}-{name}"}

    heading = {"cell_type": "markdown", "metadata": {}, "source": ["# A lab\n", "## The plan\n", "Do."]}
    cells = [
        heading,
        cell("answer", "plan", "plan = ...", solution=True, grade=False),
        cell("check", "plan", ["check = Check(2)\n", "check.earned"], grade=True, points=2),
        {"cell_type": "markdown", "metadata": {}, "source": "## The names"},
        cell("answer", "names", "names = ...", solution=True, grade=False),
        cell("check", "names", "# hidden", grade=True, points=2),
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


@pytest.fixture
def released(store: Store) -> Store:
    """The record, with the lab released."""
    kept: dict[str, Any] = {"title": "Plan", "environment": "base", "max_points": 4, "by": "teacher"}
    store.release("ict101", "net-plan", pack({"net-plan.ipynb": notebook()}), **kept)
    return store


def test_exercises_are_read_from_the_release(tmp_path: Path) -> None:
    file, broken = tmp_path / "a.zip", tmp_path / "b.zip"
    file.write_bytes(pack({"net-plan.ipynb": notebook()}))
    broken.write_bytes(pack({"net-plan.ipynb": b'{"cells": [{"metadata": 7}]}'}))

    found = outline(file)

    assert found.exercises == (
        Exercise("plan", "The plan", frozenset({"check-plan"})),
        Exercise("names", "The names", frozenset()),
    )
    assert found.checked == 1
    assert outline(broken) == Outline((), {})


@pytest.fixture
def whereabouts(released: Store) -> Iterator[Whereabouts]:
    """Never writes by itself here."""
    yield Whereabouts(released, write_s=3600)


def test_what_is_told_is_seen_at_once_and_written_when_it_is_time(
    released: Store, whereabouts: Whereabouts
) -> None:
    whereabouts.take("ict101", "net-plan", "alice", [fails("check-plan", "room for all")])
    before = released.places("ict101", since=datetime.now(UTC) - timedelta(hours=1))
    seen = whereabouts.working("ict101")
    whereabouts.write()

    assert before == []
    assert [(place.username, place.exercise, place.failing_checks) for place in seen] == [
        ("alice", "plan", ["room for all"])
    ]
    assert Whereabouts(released).working("ict101") == seen, "as a portal that starts again finds it"
    with pytest.raises(NotThere):
        whereabouts.take("ict101", "no-lab", "alice", [])


def test_two_hundred_students_are_one_transaction_and_one_row_each(
    released: Store, whereabouts: Whereabouts
) -> None:
    names = [f"s{number}" for number in range(200)]
    released.enrol("ict101", [MemberRow(name) for name in names])
    commits: list[Any] = []
    event.listen(released.engine, "commit", commits.append)

    for turn in range(3):
        for name in names:
            whereabouts.take("ict101", "net-plan", name, [fails("check-plan", f"turn {turn}")])
        commits.clear()
        whereabouts.write()
        assert len(commits) == 1
    rows = released.places("ict101", since=datetime.now(UTC) - timedelta(hours=1))

    assert sorted(row.username for row in rows) == sorted(names)
    assert {tuple(row.failing_checks) for row in rows} == {("turn 2",)}


def test_it_is_written_by_itself_soon(released: Store) -> None:
    Whereabouts(released, write_s=0.1).take("ict101", "net-plan", "alice", [Ran("answer-plan")])
    deadline = time.monotonic() + 30
    while (place := released.place("ict101", "net-plan", "alice")) is None and time.monotonic() < deadline:
        time.sleep(0.05)

    assert place is not None
    assert place.exercise == "plan"


def test_a_place_that_could_not_be_written_is_written_with_the_next(
    released: Store, whereabouts: Whereabouts
) -> None:
    whereabouts.take("ict101", "net-plan", "alice", [Ran("answer-plan")])
    with released.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE presence RENAME TO away")
    whereabouts.write()
    with released.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO presence")
    whereabouts.write()

    assert released.place("ict101", "net-plan", "alice") is not None


def test_a_hand_keeps_its_turn_and_ends_what_was_open_when_it_goes_down(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    first = store.raise_hand("ict101", "net-plan", "bob", "  Why\n/26? \x07")
    store.raise_hand("ict101", "net-plan", "alice", "")
    again = store.raise_hand("ict101", "net-vlans", "bob", "And why /27?")
    store.see_hand("ict101", "bob", "teacher")
    store.open_server("bob", "base", "ict101", "a-code", later)

    assert first.about == "Why /26?"
    assert (again.raised_at, again.lab) == (first.raised_at, "net-vlans")
    assert [(hand.username, hand.seen_by) for hand in store.hands("ict101")] == [
        ("bob", "teacher"),
        ("alice", ""),
    ]
    assert list(store.opened("ict101")) == ["bob"]

    assert store.lower_hand("ict101", "bob", "teacher")
    assert not store.lower_hand("ict101", "bob", "teacher")
    assert [hand.username for hand in store.hands("ict101")] == ["alice"]
    assert store.opened("ict101") == {}
    (left,) = store.open_servers()  # until the hub has ended it
    store.server_ended(left)
    assert store.open_servers() == []

    fresh = store.raise_hand("ict101", "net-plan", "bob", "Again")
    assert (fresh.seen_by, fresh.lowered_at, fresh.lowered_by) == ("", None, "")
    assert fresh.raised_at > first.raised_at


def test_a_server_opened_again_meanwhile_is_not_forgotten(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    old = store.open_server("bob", "base", "ict101", "old", later)
    store.open_server("bob", "base", "ict101", "new", later)
    store.server_ended(old)
    store.set_inside("bob", "base", ["teacher"])

    assert [(row.code, row.inside) for row in store.open_servers()] == [("new", ["teacher"])]


def test_too_many_words_are_refused(store: Store) -> None:
    with pytest.raises(HandRefused):
        store.raise_hand("ict101", "net-plan", "bob", "x" * 301)
    assert store.hand("ict101", "bob") is None
