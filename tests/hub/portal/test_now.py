"""*Now* shows a class of 200 as it works, to those who help it alone; notebooks tell it, in bounds; hands go up and down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from grader.archives import pack
from grader.places import Place
from grader.store import MemberRow

PREFIX = "/services/portal/"
EXERCISES = ("split", "mask", "plan")
XSS = "<script>alert(1)</script>"


def notebook() -> bytes:
    """A released lab with three exercises."""

    def cell(kind: str, name: str, **meta: Any) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "source": "check.earned" if kind == "check" else "...",
            "metadata": {"nbgrader": {"grade_id": f"{kind}-{name}", **meta}, "ictlabs": {"exercise": name}},
        }

    cells: list[dict[str, Any]] = []
    for name in EXERCISES:
        cells += [
            {"cell_type": "markdown", "metadata": {}, "source": f"## Exercise {name} {XSS}"},
            cell("answer", name, solution=True, grade=False),
            cell("check", name, grade=True, points=2),
        ]
    return json.dumps({"cells": cells}).encode()


@pytest.fixture(autouse=True)
def lab(school: Any) -> None:
    """lab-one has exercises."""
    school.store.release(
        "ict101",
        "lab-one",
        pack({"lab-one.ipynb": notebook()}),
        title=f"Subnets {XSS}",
        environment="base",
        max_points=6,
        by="teacher",
    )


@pytest.fixture
def tell(visit: Any) -> Callable[..., Any]:
    """`tell(name, body, path="events")`: what somebody's notebook sends to a portal with nobody logged in."""
    client = visit().client

    def send(name: str, body: Any, path: str = "events") -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"token token-{name}"}
        return client.post(f"{PREFIX}api/exchange/{path}", content=content, headers=headers)

    return send


def events(*cells: tuple[str, dict[str, bool]], course: str = "ict101") -> dict[str, Any]:
    said = [
        {"cell": cell, "checks": [{"name": name, "holds": holds} for name, holds in checks.items()]}
        for cell, checks in cells
    ]
    return {"course": course, "lab": "lab-one", "events": said}


def test_what_a_notebook_tells_is_on_the_page_at_once_and_no_markup(visit: Any) -> None:
    teacher = visit("teacher")  # one portal, for the page and for what is told
    headers = {"Authorization": "token token-bob"}
    body = events(("check-split", {"two halves": True}), ("check-mask", {f"room {XSS}": False, "name": True}))

    answer = teacher.client.post(f"{PREFIX}api/exchange/events", json=body, headers=headers)
    page = teacher.get("courses/ict101/now").text

    assert (answer.status_code, answer.json()) == (202, {"taken": 2})
    row = re.search(r'data-student="bob".*?</tr>', page, re.S)
    assert row
    assert "Exercise mask" in row[0]
    assert "1 of 3" in row[0]
    assert re.search(r"Exercise mask.*?room &lt;script&gt;.*?</bdi>: <strong>1<", page, re.S)
    assert "<script>alert" not in page
    assert 'data-count="working">1<' in page


def test_only_those_who_help_the_course_see_it(visit: Any, school: Any, tiny_hub: Any) -> None:
    tiny_hub.groups["helper"] = ["assist-ict101"]
    school.store.enrol("ict101", [MemberRow("helper", "assistant")])

    statuses = {
        name: visit(name).get("courses/ict101/now").status_code
        for name in ("helper", "teacher", "alice", "prof", "nobody")
    }

    assert statuses == {"helper": 200, "teacher": 200, "alice": 403, "prof": 403, "nobody": 403}


@pytest.fixture
def class_of_200(school: Any) -> Any:
    """200 students at work: every tenth stuck at `mask`, one who left, one of another course's."""
    now = datetime.now(UTC)
    store = school.store
    names = [f"s{number:03}" for number in range(200)]
    store.enrol("ict101", [MemberRow(name, name=f"Student {name}", section="B") for name in names])

    def place(number: int, name: str) -> Place:
        exercise = EXERCISES[number % 3] if number % 10 else "mask"
        failing = {f"check-{exercise}": ["room for all"]} if number % 2 == 0 else {}
        return Place(
            "ict101",
            name,
            "lab-one",
            now - timedelta(seconds=number),
            now - timedelta(minutes=20),
            exercise,
            now - timedelta(minutes=15 if number % 10 == 0 else 2) if failing else None,
            failing,
            ["split"] if exercise != "split" else [],
        )

    store.put_places([place(number, name) for number, name in enumerate(names)])
    away = Place("ict101", "bob", "lab-one", now - timedelta(minutes=16), now - timedelta(hours=1), "plan")
    removed = Place("ict101", "ghost", "lab-one", now, now, "plan")
    store.put_places([away, removed])
    return school


def test_a_class_of_200_is_counted_grouped_and_found(visit: Any, class_of_200: Any) -> None:
    teacher = visit("teacher")

    page = teacher.get("courses/ict101/now").text
    found = teacher.get("courses/ict101/now?q=s123").text

    assert 'data-count="working">200<' in page
    assert 'data-count="stuck">20<' in page
    assert page.count("data-stuck=") == 20
    assert page.count("data-student=") == 50
    assert 'data-student="bob"' not in page
    assert "ghost" not in page
    mask = re.search(r"Exercise mask [^<]*</bdi></th>(.*?)</tr>", page, re.S)
    assert mask
    numbers = [int(each) for each in re.findall(r'<td class="number">(\d+)', mask[1])]
    on_mask = sum(1 for n in range(200) if n % 10 == 0 or EXERCISES[n % 3] == "mask")
    failing = sum(1 for n in range(200) if n % 2 == 0 and (n % 10 == 0 or EXERCISES[n % 3] == "mask"))
    assert numbers == [on_mask, 20]
    assert f"room for all</bdi>: <strong>{failing}<" in mask[1]
    assert re.findall('data-student="(.*?)"', found) == ["s123"]


def test_the_page_of_200_is_small_and_asks_the_record_a_dozen_times_at_most(
    visit: Any, class_of_200: Any
) -> None:
    teacher, store = visit("teacher"), class_of_200.store
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))

    page = teacher.get("courses/ict101/now")

    assert len(page.content) < 60_000
    assert len([each for each in asked if each.startswith("SELECT")]) <= 12, asked


def test_paused_it_has_no_script_and_stays_so_while_paging(visit: Any, class_of_200: Any) -> None:
    page = visit("teacher").get("courses/ict101/now?live=off")

    assert "<script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert re.search(r"\?live=off&amp;page=2#students", page.text)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[" * 20_000, 422),
        (b" " * 40_000, 413),
        ({"course": "ict101", "lab": "lab-one", "events": [], "answer": "42"}, 422),
        (events(*[("check-mask", {})] * 51), 422),
        (events(("x" * 201, {})), 422),
        (events(("check-mask", {"x" * 201: True})), 422),
        (events(("check-mask", {str(number): True for number in range(51)})), 422),
        ({"course": "ict101", "lab": "no-such-lab", "events": []}, 404),
        ({"course": "../up", "lab": "lab-one", "events": []}, 422),
        (events(course="net201"), 403),
        (events(course="no-course"), 403),
    ],
)
def test_what_is_too_much_or_not_theirs_is_refused_in_a_sentence(
    tell: Any, school: Any, body: Any, status: int
) -> None:
    answer = tell("alice", body)

    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")
    assert school.store.place("ict101", "lab-one", "alice") is None


def test_an_instructor_who_tries_the_lab_is_not_seen_at_work(tell: Any) -> None:
    assert tell("teacher", events(("check-mask", {"room": False}))).status_code == 403


def test_who_tells_too_often_is_told_to_wait_and_nobody_else(tell: Any) -> None:
    statuses = [tell("alice", events(("check-mask", {"room": False}))).status_code for _ in range(70)]

    assert statuses[:60] == [202] * 60
    assert 429 in statuses[60:]
    assert tell("bob", events(("check-mask", {"room": False}))).status_code == 202


def test_a_hand_goes_up_is_seen_and_goes_down(visit: Any, school: Any) -> None:
    alice, teacher = visit("alice"), visit("teacher")

    alice.post("labs/ict101/lab-one/hand", about=f"Why {XSS}?")
    waiting = alice.get("labs/ict101/lab-one").text
    now = teacher.get("courses/ict101/now").text
    teacher.post("courses/ict101/hands/alice/seen")
    coming = alice.get("labs/ict101/lab-one").text
    teacher.post("courses/ict101/hands/alice/lower")
    answered = alice.get("labs/ict101/lab-one").text

    assert "An instructor will see it." in waiting
    assert 'data-hand="alice"' in now
    assert "Why &lt;script&gt;" in now
    assert "<script>alert" not in now + waiting
    assert "<bdi>teacher</bdi> has seen your hand" in coming
    assert "<bdi>teacher</bdi> answered" in answered
    assert 'name="about"' in answered
    assert school.store.hands("ict101") == []


def test_hands_stand_in_the_order_in_which_they_went_up(visit: Any) -> None:
    for name in ("bob", "alice"):
        visit(name).post("labs/ict101/lab-one/hand")

    page = visit("teacher").get("courses/ict101/now").text

    assert re.findall('data-hand="(.*?)"', page) == ["bob", "alice"]


def test_a_hand_from_the_notebook_is_the_same_hand(visit: Any, tell: Any, school: Any) -> None:
    hand = {"course": "ict101", "lab": "lab-one", "about": "Why?"}

    up = tell("alice", hand, "hands")
    shown = visit("alice").get("labs/ict101/lab-one").text
    down = tell("alice", hand | {"about": None}, "hands")

    assert "Your hand is up" in up.json()["told"]
    assert "Lower my hand" in shown
    assert down.json()["told"] == "Your hand is down."
    assert school.store.hands("ict101") == []
    assert tell("alice", hand | {"about": "x" * 301}, "hands").status_code == 422
    assert tell("prof", hand, "hands").status_code == 403


def test_a_student_sees_nothing_of_another_ones_hand(visit: Any, school: Any) -> None:
    visit("alice").post("labs/ict101/lab-one/hand", about="a private matter")
    later = datetime.now(UTC) + timedelta(hours=1)
    school.store.open_server("alice", "base", "ict101", "the-code", later)

    page = visit("bob").get("labs/ict101/lab-one").text

    assert "a private matter" not in page
    assert "can open your server" not in page
    assert "the-code" not in visit("alice").get("labs/ict101/lab-one").text


def test_a_server_is_opened_only_while_the_hand_is_up_and_the_server_runs(visit: Any, school: Any) -> None:
    alice = visit("alice")

    alice.post("labs/ict101/lab-one/hand/open")
    without_hand = alice.get("labs/ict101/lab-one").text
    alice.post("labs/ict101/lab-one/hand", about="", open="yes")
    without_server = alice.get("labs/ict101/lab-one").text

    assert "Raise your hand first" in without_hand
    assert "Your server is not running" in without_server
    assert "Your hand is up" in without_server
    assert school.store.open_servers() == []


def test_nobody_is_led_into_a_server_that_is_not_open(visit: Any, school: Any) -> None:
    teacher = visit("teacher")
    visit("alice").post("labs/ict101/lab-one/hand")

    answer = teacher.post("courses/ict101/hands/alice/enter")
    unknown = teacher.post("courses/ict101/hands/nobody-there/enter")

    assert answer.headers["location"] == unknown.headers["location"] == f"{PREFIX}courses/ict101/now"
    assert "not open any more" in teacher.get("courses/ict101/now").text


def test_while_the_hub_is_away_the_end_is_kept_and_said(visit: Any, school: Any, tiny_hub: Any) -> None:
    """The tiny hub knows no shares; here its answer is a fault."""
    alice = visit("alice")
    alice.post("labs/ict101/lab-one/hand")
    school.store.open_server("alice", "base", "ict101", "c", datetime.now(UTC) + timedelta(hours=1))
    tiny_hub.shares_status = 500

    alice.post("labs/ict101/lab-one/hand/close")
    page = alice.get("labs/ict101/lab-one").text

    assert "Your server closes to others as soon as it does" in page
    assert "can open your server and work" not in page
    assert len(school.store.open_servers()) == 1
