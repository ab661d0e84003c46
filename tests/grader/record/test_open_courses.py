"""The record lets people join and leave open courses only, and keeps a student's last starts and unread feedback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import alembic.command
import pytest
from sqlalchemy import text

from grader.archives import pack
from grader.database import alembic_config, open_engine
from grader.opencourses import NotOpen
from grader.settings import Places
from grader.store import NotThere, Store

FILES = pack({"lab-one.ipynb": b"{}"})
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def roles(store: Store) -> dict[str, str]:
    """Who is in ict101 as what."""
    return {each.username: each.role for each in store.members("ict101")}


def release(store: Store, course: str, lab: str) -> None:
    store.release(course, lab, FILES, title=lab, environment="base", max_points=1, by="teacher")


def test_nobody_joins_or_leaves_a_course_that_is_not_open(store: Store) -> None:
    before = roles(store)

    with pytest.raises(NotOpen):
        store.join_course("ict101", "carol")
    with pytest.raises(NotOpen):
        store.leave_course("ict101", "alice")
    with pytest.raises(NotThere):
        store.join_course("nowhere", "carol")
    with pytest.raises(NotThere):
        store.set_open("nowhere", True)

    assert roles(store) == before
    assert store.open_courses() == []


def test_an_open_course_is_joined_and_left_and_keeps_what_was_handed_in(store: Store) -> None:
    release(store, "ict101", "lab-one")
    store.set_open("ict101", True)

    store.join_course("ict101", "carol")
    store.join_course("ict101", "carol")  # pressed twice
    handed_in = store.submit("ict101", "lab-one", "carol", FILES)
    joined = roles(store)
    store.leave_course("ict101", "carol")

    assert joined["carol"] == "student"
    assert "carol" not in roles(store)
    assert store.submission(handed_in.id).username == "carol"
    assert [each.id for each in store.open_courses()] == ["ict101"]


def test_joining_makes_nobody_less_and_only_students_leave(store: Store) -> None:
    store.set_open("ict101", True)

    store.join_course("ict101", "teacher")
    with pytest.raises(NotThere):
        store.leave_course("ict101", "teacher")

    assert roles(store)["teacher"] == "instructor"


def test_labs_of_several_courses_come_in_one_answer_without_those_taken_back(store: Store) -> None:
    store.create_course("net201")
    store.create_course("net301")
    for course in ("ict101", "net201", "net301"):
        release(store, course, "lab-one")
    release(store, "net201", "lab-two")
    store.withdraw("net201", "lab-one")

    assert [(each.course, each.lab) for each in store.offered(["net201", "ict101"])] == [
        ("ict101", "lab-one"),
        ("net201", "lab-two"),
    ]


def test_the_last_start_of_each_lab_is_kept(store: Store) -> None:
    store.started("alice", "ict101", "lab-one")
    first = store.last_starts("alice")
    store.started("alice", "ict101", "lab-one")
    store.started("bob", "ict101", "lab-two")

    now = store.last_starts("alice")

    assert first.keys() == now.keys() == {("ict101", "lab-one")}
    assert now["ict101", "lab-one"] > first["ict101", "lab-one"]


def test_feedback_is_new_until_it_is_read_and_again_when_it_is_released_again(store: Store) -> None:
    release(store, "ict101", "lab-one")
    hers = store.submit("ict101", "lab-one", "alice", FILES)
    store.release_feedback(hers.id, FILES, "teacher", 1, 1)

    def new(since: datetime = LONG_AGO, who: str = "alice") -> list[str]:
        return [submission.id for submission, _ in store.unread_feedback(who, since=since, most=5)]

    before = new()
    store.feedback_read(hers.id)
    read = new()
    store.release_feedback(hers.id, FILES, "teacher", 1, 1)

    assert (before, read, new()) == ([hers.id], [], [hers.id])
    assert new(since=datetime.now(UTC) + timedelta(seconds=5)) == []
    assert new(who="bob") == []


def test_courses_from_before_stay_closed(database_url: str, tmp_path: Path) -> None:
    engine = open_engine(database_url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0005")
        connection.execute(
            text("INSERT INTO course (id, title, created_at) VALUES ('old101', 'Old', :now)"),
            {"now": datetime.now(UTC).replace(tzinfo=None)},
        )
    engine.dispose()

    store = Store.open(database_url, Places(data=tmp_path))

    assert store.course("old101").open is False
    store.close()
