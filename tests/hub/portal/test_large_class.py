"""A class of more than one page: everybody is on exactly one, can be found, and costs no page a further statement."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks.portal import measure
from benchmarks.portal_course import COURSE, TEACHER, fill
from grader.store import MemberRow, Store
from hub.portal.paging import PAGE, rows_of
from hub.settings import Settings

ON_THE_WIRE = 60_000  # bytes, without pictures and the style sheet
STUDENT = re.compile(r'<th scope="row"><a href="[^"]*/students/([^"]+)">')


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The SQL that is sent while the block runs."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


@dataclass
class School:
    """A site with the large course; what `visit` opens a portal over."""

    settings: Settings
    store: Store

    def becomes(self, other: School) -> None:
        """Another course from here on."""
        self.settings, self.store = other.settings, other.store


@pytest.fixture
def school(tmp_path: Path) -> School:
    """Course ict101 with 120 students and 6 labs, as the benchmark makes it."""
    return school_of(tmp_path, 120, 6)


def school_of(folder: Path, students: int, labs: int) -> School:
    """A course of this size."""
    settings = Settings(root=folder)
    store = Store.open(settings.database_url, settings.places)
    fill(store, students, labs)
    return School(settings, store)


@pytest.fixture
def tiny_hub(tiny_hub: Any) -> Any:
    """The stand-in, which knows a student of the large class too."""
    tiny_hub.groups["student0000"] = [f"nbgrader-{COURSE}"]
    return tiny_hub


def walked(browser: Any, path: str) -> list[str]:
    """Every student on a list and on the pages behind it, by *Next*."""
    found: list[str] = []
    while path:
        text = browser.get(path).text
        found += STUDENT.findall(text)
        after = re.search(r'rel="next" href="/services/portal/([^"]+)"', text)
        path = after[1].replace("&amp;", "&") if after else ""
    return found


@pytest.mark.parametrize("path", [f"courses/{COURSE}", f"courses/{COURSE}/labs/ai-link-failures"])
def test_everybody_is_on_exactly_one_page(visit: Any, school: School, path: str) -> None:
    found = walked(visit(TEACHER), path)

    assert len(found) == 120
    assert set(found) == {f"student{number:04}" for number in range(120)}


def test_a_page_holds_so_many_students_and_a_number_that_is_not_there_is_the_last(
    visit: Any, school: School
) -> None:
    browser = visit(TEACHER)

    first, last, beyond, before = (
        STUDENT.findall(browser.get(f"courses/{COURSE}?page={number}").text) for number in (1, 3, 99, -5)
    )

    assert (len(first), len(last)) == (PAGE, 20)
    assert (beyond, before) == (last, first)
    assert browser.get(f"courses/{COURSE}?page=x").status_code == 422


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("q=elodie+o%27neil", ["odette"]),  # the name, without case and accents
        ("q=ODETT", ["odette"]),  # the user name
        ("q=100%25", []),  # no wild card
        ("q=student0007", ["student0007"]),
        ("section=Evening", ["odette"]),
        ("q=student0007&section=Evening", []),
    ],
)
def test_a_student_is_found_by_name_user_name_and_group(
    visit: Any, school: School, asked: str, found: list[str]
) -> None:
    school.store.enrol(COURSE, [MemberRow("odette", name="Élodie O'Neil", section="Evening")])

    page = visit(TEACHER).get(f"courses/{COURSE}?{asked}").text

    assert STUDENT.findall(page) == found
    assert ("Nobody in this course" in page) == (not found)


def test_what_is_looked_for_stays_while_paging_and_is_no_markup(visit: Any, school: School) -> None:
    browser = visit(TEACHER)

    narrowed = walked(browser, f"courses/{COURSE}?q=student")
    hostile = browser.get(f'courses/{COURSE}?q="><script>alert(1)</script>&section="><b>').text

    assert len(narrowed) == len(set(narrowed)) == 120
    assert "<script" not in hostile
    assert "<b>" not in hostile


def test_who_is_no_student_but_handed_in_comes_last(visit: Any, school: School) -> None:
    browser = visit(TEACHER)
    browser.get(f"courses/{COURSE}")  # what is worked out once must notice what came since
    school.store.submit(COURSE, "ai-link-failures", "guest", b"PK")

    assert walked(browser, f"courses/{COURSE}")[-1] == "guest"
    assert "121 handed in" in browser.get(f"courses/{COURSE}").text


def test_submissions_are_counted_and_narrowed_by_what_grading_came_to(visit: Any, school: School) -> None:
    browser = visit(TEACHER)
    path = f"courses/{COURSE}/labs/ai-link-failures"

    offered = dict(re.findall(r'state=([^"#&]+)#handed-in"[^>]*>[a-z ]+ (\d+)</a>', browser.get(path).text))
    walks = {state: walked(browser, f"{path}?state={state}") for state in offered}

    assert sum(map(int, offered.values())) == 120
    assert {state: str(len(found)) for state, found in walks.items()} == offered


@pytest.mark.parametrize(
    ("who", "path"),
    [
        (TEACHER, ""),
        (TEACHER, f"courses/{COURSE}"),
        (TEACHER, f"courses/{COURSE}?q=student"),
        (TEACHER, f"courses/{COURSE}/marks.csv"),
        (TEACHER, f"courses/{COURSE}/labs/ai-link-failures"),
        (TEACHER, f"courses/{COURSE}/labs/ai-link-failures?sort=points"),
        (TEACHER, f"courses/{COURSE}/labs/ai-link-failures/again"),
        (TEACHER, f"courses/{COURSE}/labs/ai-link-failures/marks.csv"),
        (TEACHER, f"courses/{COURSE}/labs/ai-link-failures/students/student0000"),
        (TEACHER, f"courses/{COURSE}/inquiries"),
        (TEACHER, f"courses/{COURSE}/students/student0000"),
        ("student0000", ""),
        ("student0000", f"labs/{COURSE}/ai-link-failures"),
    ],
)
def test_a_larger_class_costs_no_page_more_statements(
    visit: Any, school: School, tmp_path: Path, who: str, path: str
) -> None:
    counts = []
    for each in (school_of(tmp_path / "small", 10, 6), replace(school)):
        school.becomes(each)
        browser = visit(who)
        with statements(school.store) as sent:
            answer = browser.get(path)
        assert answer.status_code == 200
        counts.append(len(sent))

    assert counts[0] == counts[1] > 0


def test_a_page_has_fewer_students_where_there_are_many_labs() -> None:
    assert [rows_of(columns) for columns in (0, 6, 20, 40, 400)] == [PAGE, PAGE, 50, 25, 10]


def test_a_page_of_forty_labs_fits_a_slow_line(visit: Any, school: School, tmp_path: Path) -> None:
    school.becomes(school_of(tmp_path / "forty", PAGE, 40))
    browser = visit(TEACHER)

    for path in ("", f"courses/{COURSE}", f"courses/{COURSE}/labs/ai-link-failures"):
        with browser.client.stream("GET", f"/services/portal/{path}") as answer:
            size = len(b"".join(answer.iter_raw()))
        assert answer.headers["content-encoding"] == "gzip"
        assert size < ON_THE_WIRE, path


def test_the_benchmark_opens_every_page_of_the_real_service() -> None:
    made, pages = measure("sqlite", 2, (60, 40))

    assert (made.students, made.labs) == (60, 40)
    assert made.marks > made.reports > made.feedback > 0
    assert {"student home", f"instructor courses/{COURSE}"} < set(pages)
    assert all(0 < page["bytes_on_wire"] < ON_THE_WIRE for page in pages.values())


def test_the_whole_class_is_a_table_that_runs_no_formula(visit: Any, school: School) -> None:
    school.store.enrol(COURSE, [MemberRow("zoe", name='=HYPERLINK("x")', section="@1")])

    rows = list(csv.DictReader(io.StringIO(visit(TEACHER).get(f"courses/{COURSE}/marks.csv").text)))

    by_name = {row["username"]: row for row in rows}
    assert len(rows) == len(by_name) == 121
    assert len(rows[0]) == 3 + 6
    assert (by_name["zoe"]["name"], by_name["zoe"]["group"]) == ('\'=HYPERLINK("x")', "'@1")
    marked = next(
        (each, report)
        for each in school.store.newest_submissions(COURSE, "ai-link-failures")
        if (report := school.store.report(each.id))
    )
    assert float(by_name[marked[0].username]["ai-link-failures"]) == marked[1].points


def test_the_table_of_the_whole_class_is_for_the_courses_instructors(visit: Any, school: School) -> None:
    for name in ("student0000", "prof", "nobody"):
        assert visit(name).get(f"courses/{COURSE}/marks.csv").status_code == 403
    assert visit(TEACHER).get(f"courses/{COURSE}/marks.csv").headers["content-type"].startswith("text/csv")
