"""`ict course` makes courses and enrols rosters; a bad row is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grader.store import Store
from hub.commands.course import command
from hub.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Store:
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict102", "ICT 102")
    return store


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), obj=settings)


def roster(tmp_path: Path, text: str) -> str:
    file = tmp_path / "roster.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_create_makes_the_course_and_its_folder(settings: Settings) -> None:
    result = run(settings, "create", "ict103", "--title", "ICT 103", "--instructor", "teacher")

    assert result.exit_code == 0, result.output
    assert (settings.places.course("ict103") / "nbgrader_config.py").exists()
    store = Store.open(settings.database_url, settings.places)
    assert store.groups_of("teacher") == {"formgrade-ict103"}


def test_create_refuses_a_course_that_is_there_and_a_bad_name(settings: Settings, store: Store) -> None:
    again = run(settings, "create", "ict102")
    bad = run(settings, "create", "../ict")

    assert again.exit_code == 1
    assert "already" in again.output
    assert bad.exit_code == 1
    assert "not a course id" in bad.output


def test_a_good_roster_enrols_everybody(settings: Settings, store: Store, tmp_path: Path) -> None:
    file = roster(tmp_path, "name,e-mail,group\ncarol,carol@academy.example,A\ndan,,B\n")

    result = run(settings, "enrol", "ict102", file)

    assert result.exit_code == 0, result.output
    assert [(m.username, m.email, m.section) for m in store.members("ict102")] == [
        ("carol", "carol@academy.example", "A"),
        ("dan", "", "B"),
    ]
    assert store.groups_of("carol") == {"nbgrader-ict102"}


BAD = "name,e-mail,group\ncarol,carol@academy.example,A\n../etc,,A\ndan,not-an-address,A\ncarol,,B\nerin,,A,extra\n\nfrank,,A\n"


def test_bad_rows_are_named_by_line_and_nobody_is_enrolled(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    result = run(settings, "enrol", "ict102", roster(tmp_path, BAD))

    assert result.exit_code == 1
    for line in ("line 3:", "line 4:", "line 5:", "line 6:"):
        assert line in result.output
    assert "line 2:" not in result.output
    assert store.members("ict102") == []


def test_partial_keeps_the_good_rows_and_still_exits_with_1(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    result = run(settings, "enrol", "ict102", roster(tmp_path, BAD), "--partial")

    assert result.exit_code == 1
    assert [m.username for m in store.members("ict102")] == ["carol", "frank"]


def test_an_empty_cell_leaves_what_the_course_has(settings: Settings, store: Store, tmp_path: Path) -> None:
    run(settings, "enrol", "ict102", roster(tmp_path, "username;name;e-mail\ncarol;Carol;c@x.example\n"))
    run(settings, "enrol", "ict102", roster(tmp_path, "carol,,B\n"))

    (carol,) = store.members("ict102")

    assert (carol.name, carol.email, carol.section) == ("Carol", "c@x.example", "B")


def test_a_roster_that_is_not_text_is_refused_with_a_sentence(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "roster.csv"
    file.write_bytes(b"\xff\xfe\x00name")

    result = run(settings, "enrol", "ict102", str(file))

    assert result.exit_code == 1
    assert "Save it as CSV UTF-8" in result.output


def test_enrolling_in_no_course_says_so(settings: Settings, store: Store, tmp_path: Path) -> None:
    result = run(settings, "enrol", "nowhere", roster(tmp_path, "carol,,\n"))

    assert result.exit_code == 1
    assert "nowhere" in result.output
    assert "Traceback" not in result.output


def test_list_shows_courses_and_people(settings: Settings, store: Store, tmp_path: Path) -> None:
    run(settings, "enrol", "ict102", roster(tmp_path, "carol,carol@academy.example,A\n"))

    courses = run(settings, "list")
    people = run(settings, "list", "ict102")

    assert "ict102" in courses.output
    assert "1 students" in courses.output
    assert "carol@academy.example" in people.output


def test_a_course_is_opened_and_closed(settings: Settings, store: Store) -> None:
    opened = run(settings, "open", "ict102")
    listed = run(settings, "list")
    was_open = store.course("ict102").open
    closed = run(settings, "close", "ict102")

    assert (opened.exit_code, closed.exit_code) == (0, 0)
    assert "ICT 102 (open)" in listed.output
    assert was_open
    assert not store.course("ict102").open


def test_a_course_that_is_not_there_is_not_opened(settings: Settings, store: Store) -> None:
    result = run(settings, "open", "nothing")

    assert result.exit_code == 1
    assert "There is no course nothing." in result.output
