"""The audit log in the record, on both kinds of database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from grader.audit import Asked
from grader.models import Deed
from grader.store import MemberRow, Store

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def test_lines_are_found_by_person_course_word_and_day_newest_first(store: Store) -> None:
    store.note("teacher", "lab.grade", course="ict101", subject="lab-one")
    store.note("prof", "lab.grade", course="net201", subject="lab-x")
    store.note("teacher", "account.approve", subject="carol")
    with store.engine.begin() as connection:
        connection.execute(
            update(Deed).where(Deed.who == "prof").values(at=DAY + timedelta(hours=23, minutes=59))
        )

    def found(asked: Asked) -> list[tuple[str, str]]:
        return [(each.who, each.what) for each in store.deeds(asked)]

    assert found(Asked(course="net201")) == [("prof", "lab.grade")]
    assert found(Asked(who="teacher")) == [("teacher", "account.approve"), ("teacher", "lab.grade")]
    assert len(found(Asked(what="lab.grade"))) == 2
    assert found(Asked(since=DAY, until=DAY + timedelta(days=1))) == [("prof", "lab.grade")]
    assert found(Asked(who="teacher", course="net201")) == []


def test_a_list_goes_on_where_the_last_one_ended(store: Store) -> None:
    for number in range(5):
        store.note("teacher", "lab.grade", subject=str(number))

    first = store.deeds(Asked(), most=2)
    then = store.deeds(Asked(), before=first[-1].id, most=2)

    assert [each.subject for each in first + then] == ["4", "3", "2", "1"]


def test_old_lines_are_forgotten_and_no_other(store: Store) -> None:
    store.note("teacher", "lab.grade", subject="old")
    with store.engine.begin() as connection:
        connection.execute(update(Deed).values(at=DAY))
    store.note("teacher", "lab.grade", subject="new")

    gone = store.forget_deeds(datetime.now(UTC) - timedelta(days=1))

    assert gone == 1
    assert [each.subject for each in store.deeds(Asked())] == ["new"]


def test_a_line_holds_what_fits_and_can_be_kept(store: Store) -> None:
    store.note("x" * 100, "y" * 100, course="z" * 100, subject="s\0\n" * 300, detail="ü" * 900)

    (line,) = store.deeds(Asked())

    assert (len(line.who), len(line.what), len(line.course or "")) == (64, 80, 40)
    assert line.subject == "s" * 200
    assert line.detail == "ü" * 500


def test_the_record_says_what_it_is_kept_in(store: Store) -> None:
    assert store.engine.dialect.name in store.described()
    assert "tables of revision" in store.described()


def test_the_courses_of_several_people_are_asked_for_at_once(store: Store) -> None:
    store.create_course("net201")
    store.enrol("net201", [MemberRow("alice")])

    found = store.memberships_of(["alice", "teacher", "nobody"])

    assert {name: [row.course for row in rows] for name, rows in found.items()} == {
        "alice": ["ict101", "net201"],
        "teacher": ["ict101"],
    }
