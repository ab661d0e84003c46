"""An instructor opens a course, anybody finds it in the catalogue and joins, and its students may leave."""

from __future__ import annotations

import re
from typing import Any

import pytest

from grader.archives import pack
from labs.library import Library

PEOPLE = ("alice", "bob", "teacher", "prof", "nobody")


def release(school: Any, course: str, lab: str) -> None:
    files = pack({f"{lab}.ipynb": b"{}"})
    school.store.release(course, lab, files, title=lab, environment="base", max_points=5, by="teacher")


@pytest.fixture
def opened(school: Any) -> Any:
    """The class, with net201 open and two labs in it."""
    school.store.set_open("net201", True)
    release(school, "net201", "net-ospf")
    release(school, "net201", "linux-permissions")
    return school


def labs_on(page: str) -> set[str]:
    """The labs of a page of the catalogue."""
    return set(re.findall(r'<li class="lab" id="([^"]+)"', page))


@pytest.mark.parametrize("name", PEOPLE)
def test_only_its_instructors_open_and_close_a_course(visit: Any, school: Any, name: str) -> None:
    person = visit(name)

    opened = person.post("courses/ict101/open", open="yes")
    was_open = school.store.course("ict101").open
    person.post("courses/ict101/open")

    assert opened.status_code == (303 if name == "teacher" else 403)
    assert was_open == (name == "teacher")
    assert school.store.course("ict101").open is False


@pytest.mark.parametrize("name", PEOPLE)
def test_anybody_joins_an_open_course_and_nobody_changes_role_by_it(
    visit: Any, opened: Any, name: str
) -> None:
    person = visit(name)

    answer = person.post("courses/net201/join", lab="net-ospf")

    role = {each.username: each.role for each in opened.store.members("net201")}[name]
    assert answer.headers["location"] == "/services/portal/labs/net201/net-ospf"
    assert role == ("instructor" if name == "prof" else "student")
    assert person.get("labs/net201/net-ospf").status_code == 200


@pytest.mark.parametrize("name", ["alice", "bob", "teacher", "nobody"])
def test_nobody_joins_a_course_that_is_not_open(visit: Any, school: Any, name: str) -> None:
    answer = visit(name).post("courses/net201/join")

    nowhere = visit(name).post("courses/nothing/join")
    assert (answer.status_code, nowhere.status_code) == (404, 404)
    assert [each.username for each in school.store.members("net201")] == ["prof"]


def test_who_joined_hands_in_and_leaves_and_what_they_handed_in_is_kept(visit: Any, opened: Any) -> None:
    nobody = visit("nobody")
    token = {"Authorization": "token token-nobody"}
    address = "api/exchange/releases"
    before = nobody.get(address, headers=token).json()

    nobody.post("courses/net201/join")
    joined = nobody.get().text
    offered = nobody.get(address, headers=token).json()
    kept = opened.store.submit("net201", "net-ospf", "nobody", pack({"net-ospf.ipynb": b"{}"}))
    left = nobody.post("courses/net201/leave")

    assert before == []
    assert "You are in the course Another course." in joined
    assert "Leave the course" in joined
    assert {row["course"] for row in offered} == {"net201"}
    assert left.headers["location"] == "/services/portal/"
    assert "What you handed in is kept." in nobody.get().text
    assert nobody.get("labs/net201/net-ospf").status_code == 404
    assert nobody.get(f"submissions/{kept.id}/receipt").status_code == 200


@pytest.mark.parametrize("name", ["alice", "teacher", "prof", "nobody"])
def test_leaving_is_for_students_of_an_open_course(visit: Any, opened: Any, name: str) -> None:
    before = {course: len(opened.store.members(course)) for course in ("ict101", "net201")}

    answers = [visit(name).post(f"courses/{course}/leave").status_code for course in before]

    assert answers == [404, 404]
    assert {course: len(opened.store.members(course)) for course in before} == before


def test_a_course_that_is_enrolled_offers_no_way_out(visit: Any, school: Any) -> None:
    assert "Leave the course" not in visit("alice").get().text


def test_who_is_in_no_course_is_led_to_the_open_ones(visit: Any, opened: Any) -> None:
    assert 'href="/services/portal/catalogue#open-courses"' in visit("nobody").get().text


def test_the_catalogue_offers_open_courses_to_those_who_are_not_in_them(visit: Any, opened: Any) -> None:
    alice, prof = visit("alice").get("catalogue").text, visit("prof").get("catalogue").text
    entry = alice.partition('id="net-ospf"')[2].partition("</li>")[0]
    without = alice.partition('id="net-subnetting"')[2].partition("</li>")[0]

    assert 'data-course="net201"' in alice
    assert ">2 labs<" in alice
    assert 'action="/services/portal/courses/net201/join"' in entry
    assert "/join" not in without
    assert "/join" not in prof
    assert 'href="/services/portal/courses/net201/labs/net-ospf"' in prof


@pytest.mark.parametrize(
    ("query", "lab", "other"),
    [
        ("q=ospf", "net-ospf", "linux-permissions"),
        ("q=OSPF%20area", "net-ospf", "net-subnetting"),
        ("q=let%20the%20routers%20meet", "net-ospf", "net-subnetting"),
        ("track=linux", "linux-permissions", "net-ospf"),
        ("track=network&level=2", "net-ospf", "net-subnetting"),
        ("q=ccna", "net-ospf", "linux-permissions"),
    ],
)
def test_the_catalogue_finds_labs_by_words_track_and_level(
    visit: Any, school: Any, query: str, lab: str, other: str
) -> None:
    page = visit("nobody").get(f"catalogue?{query}").text

    found = labs_on(page)
    assert lab in found
    assert other not in found
    assert f"{len(found)} lab{'s' if len(found) != 1 else ''} found." in page
    assert all(
        f'href="#{each}"' not in page for each in Library().labs()
    )  # what is not shown is linked there


@pytest.mark.parametrize("query", ["", "q=+&track=&level=", "track=nothing", "level=9", "level=x"])
def test_a_search_for_nothing_in_particular_shows_every_lab(visit: Any, school: Any, query: str) -> None:
    page = visit("nobody").get(f"catalogue?{query}").text

    assert labs_on(page) == set(Library().labs())
    assert "found." not in page


def test_a_search_that_finds_nothing_says_so_and_stays_text(visit: Any, school: Any) -> None:
    page = visit("nobody").get("catalogue", params={"q": '"><script>alert(1)</script>' + "x" * 500}).text

    assert "0 labs found." in page
    assert "<script>alert(1)" not in page
    assert "x" * 101 not in page


def test_a_reader_searches_in_their_own_language(visit: Any, school: Any) -> None:
    nobody = visit("nobody")
    nobody.client.headers["Accept-Language"] = "fr"

    found = labs_on(nobody.get("catalogue?q=reseaux+debutant").text)

    assert "net-subnetting" in found
    assert "net-ospf" not in found
