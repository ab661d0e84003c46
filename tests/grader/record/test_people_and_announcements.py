"""The record keeps an instructor in a course, applies the roster that was shown, and gains announcements by migration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import alembic.command
import pytest
from sqlalchemy import text

from grader.announcements import LONGEST_TEXT, AnnouncementRefused
from grader.database import alembic_config, open_engine
from grader.memberlog import LastInstructor, RosterMoved
from grader.roster import MemberRow, RosterRefused, RosterRow, plan_roster
from grader.settings import Places
from grader.store import AlreadyThere, NotThere, Store


def roles(store: Store) -> dict[str, str]:
    """Who is in ict101 as what."""
    return {each.username: each.role for each in store.members("ict101")}


def test_one_person_is_added_changed_and_removed(store: Store) -> None:
    store.add_member("ict101", MemberRow("carol", section="A"))
    store.change_member("ict101", MemberRow("carol", "instructor", name="Carol"))
    store.unenrol("ict101", "bob")

    assert roles(store) == {"alice": "student", "carol": "instructor", "teacher": "instructor"}
    with pytest.raises(AlreadyThere):
        store.add_member("ict101", MemberRow("carol"))
    with pytest.raises(RosterRefused):
        store.add_member("ict101", MemberRow("dan", email="no address"))
    with pytest.raises(NotThere):
        store.change_member("ict101", MemberRow("dan"))
    with pytest.raises(NotThere):
        store.add_member("nowhere", MemberRow("dan"))


def test_the_last_instructor_stays_whatever_is_tried(store: Store) -> None:
    before = roles(store)
    rows = [RosterRow("teacher", role="student"), RosterRow("carol")]

    with pytest.raises(LastInstructor):
        store.unenrol("ict101", "teacher")
    with pytest.raises(LastInstructor):
        store.change_member("ict101", MemberRow("teacher", "student"))
    with pytest.raises(LastInstructor):
        store.apply_roster("ict101", rows, plan_roster(store.members("ict101"), rows).fingerprint)

    assert roles(store) == before


def test_a_course_that_nobody_teaches_may_lose_students(store: Store) -> None:
    store.create_course("ict102")
    store.enrol("ict102", [MemberRow("alice")])

    store.unenrol("ict102", "alice")

    assert store.members("ict102") == []


def test_a_roster_is_applied_as_it_was_shown_or_not_at_all(store: Store) -> None:
    rows = [RosterRow("alice", section="B"), RosterRow("carol", name="Carol")]
    shown = plan_roster(store.members("ict101"), rows).fingerprint
    store.add_member("ict101", MemberRow("dan"))

    with pytest.raises(RosterMoved):
        store.apply_roster("ict101", rows, shown)
    assert "carol" not in roles(store)

    plan = plan_roster(store.members("ict101"), rows)
    assert store.apply_roster("ict101", rows, plan.fingerprint) == plan
    assert [each.username for each in store.members("ict101")] == ["alice", "bob", "carol", "dan", "teacher"]
    assert store.members("ict101")[0].section == "B"


def test_announcements_are_kept_newest_first_and_withdrawn(store: Store) -> None:
    store.create_course("ict102")
    first = store.announce("ict101", " The  lab\r\n is open ", "Line one\r\nLine\x00 two\n", by="teacher")
    second = store.announce("ict101", "Exam", "On Friday", by="teacher", mail_to=2)
    store.announce("ict102", "Other", "course", by="prof")
    store.mailed(second.id, 1, "1 refused: bob (550 no).", ended=True)

    store.withdraw_announcement("ict101", first.id)

    assert (first.title, first.text) == ("The lab is open", "Line one\nLine two")
    assert [row.id for row in store.announcements("ict101")] == [second.id]
    both = store.announcements("ict101", withdrawn=True)
    assert [row.id for row in both] == [second.id, first.id]
    assert (both[0].mail_to, both[0].mail_sent, both[0].mail_told) == (2, 1, "1 refused: bob (550 no).")
    with pytest.raises(NotThere):
        store.withdraw_announcement("ict102", second.id)


def test_recent_announcements_are_those_of_the_courses_asked_for(store: Store) -> None:
    store.create_course("ict102")
    for number in range(5):
        store.announce("ict101", f"Number {number}", "text", by="teacher")
    store.announce("ict102", "Other", "text", by="prof")
    day_ago = datetime.now(UTC) - timedelta(days=1)

    recent = store.recent_announcements(["ict101"], since=day_ago, most=3)

    assert [row.title for row in recent] == ["Number 4", "Number 3", "Number 2"]
    assert store.recent_announcements([], since=day_ago, most=3) == []
    assert store.recent_announcements(["ict101"], since=datetime.now(UTC) + timedelta(1), most=3) == []


@pytest.mark.parametrize(
    ("title", "said"), [("", "x"), ("x", " \n"), ("x" * 201, "x"), ("x", "x" * (LONGEST_TEXT + 1))]
)
def test_an_announcement_without_words_or_with_too_many_is_refused(
    store: Store, title: str, said: str
) -> None:
    with pytest.raises(AnnouncementRefused):
        store.announce("ict101", title, said, by="teacher")


def test_a_record_from_before_announcements_gains_them_and_keeps_its_rows(
    database_url: str, tmp_path: Path
) -> None:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO course (id, title, created_at) VALUES ('old1', 'Old', '2026-01-05 20:00:00+00:00')"
            )
        )
    engine.dispose()

    store = Store.open(database_url, Places(data=tmp_path))
    row = store.announce("old1", "Hello", "again", by="teacher")

    assert store.course("old1").title == "Old"
    assert [each.id for each in store.announcements("old1")] == [row.id]
    store.close()
