"""The exchange keeps to a lab's schedule: nothing before it opens, nothing after it closes, no attempt too many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from grader.archives import pack
from grader.schedule import Schedule
from grader.store import MemberRow

LAB = "net-subnetting"
WORK = pack({f"{LAB}.ipynb": b'{"cells": []}'})
PAGE = pack({f"{LAB}.html": b"<p>Well done.</p>"})
PEOPLE = {
    "t-alice": ("alice", ["nbgrader-ict101"]),
    "t-bob": ("bob", ["nbgrader-ict101"]),
    "t-helper": ("helper", ["assist-ict101"]),
    "t-teacher": ("teacher", ["formgrade-ict101"]),
}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def site(tmp_path: Any, exchange_service: ModuleType) -> Iterator[Any]:
    """A running exchange with one lab released."""
    with exchange_service.running(tmp_path, PEOPLE) as running:
        running.store.create_course("ict101")
        running.store.enrol("ict101", [MemberRow("alice"), MemberRow("bob", section="B")])
        running.store.release("ict101", LAB, WORK, title="T", environment="base", max_points=5, by="teacher")
        yield running


def set_terms(site: Any, **terms: Any) -> None:
    site.store.set_schedule("ict101", LAB, Schedule(**terms))


def hand_in(site: Any, token: str) -> tuple[int, str]:
    """The status and the sentence, if there is one."""
    answer = site.ask(token, "POST", f"/submissions/ict101/{LAB}", data=WORK)
    return answer.status_code, answer.json().get("detail", "")


def offered(site: Any, token: str) -> list[str]:
    return [row["lab"] for row in site.ask(token, "GET", "/releases").json()]


def test_before_it_opens_students_neither_see_nor_fetch_it_nor_hand_it_in(site: Any) -> None:
    opens = datetime.now(UTC) + DAY
    set_terms(site, opens_at=opens)

    fetched = site.ask("t-alice", "GET", f"/releases/ict101/{LAB}/archive")

    assert offered(site, "t-alice") == []
    assert fetched.status_code == 409
    assert fetched.json()["detail"] == f"{LAB} opens at {opens:%Y-%m-%d %H:%M} UTC. Come back then."
    assert hand_in(site, "t-alice")[0] == 409
    for token in ("t-teacher", "t-helper"):
        assert offered(site, token) == [LAB]
        assert site.ask(token, "GET", f"/releases/ict101/{LAB}/archive").status_code == 200
        assert hand_in(site, token)[0] == 201


def test_after_the_cutoff_it_says_until_when_and_that_work_is_kept(site: Any) -> None:
    cutoff = datetime.now(UTC) - HOUR
    set_terms(site, due_at=cutoff - DAY, cutoff_at=cutoff)
    more = {"due_at": None, "cutoff_at": cutoff + DAY, "reason": "ill", "by": "teacher"}
    site.store.extend("ict101", LAB, section="B", **more)

    status, said = hand_in(site, "t-alice")

    assert status == 409
    assert f"until {cutoff:%Y-%m-%d %H:%M} UTC" in said
    assert "Your work is kept" in said
    assert hand_in(site, "t-bob")[0] == 201
    assert offered(site, "t-alice") == [LAB]  # to look at it


def test_attempts_are_counted_also_when_they_come_at_once(site: Any) -> None:
    set_terms(site, attempts=2)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: hand_in(site, "t-alice"), range(6)))

    assert sorted(status for status, _ in answers) == [201, 201, 409, 409, 409, 409]
    assert all("2 times" in said for status, said in answers if status == 409)
    assert len(site.store.submissions_of("alice", "ict101", LAB)) == 2


def test_releasing_again_through_nbgrader_keeps_the_schedule(site: Any) -> None:
    terms = {
        "due_at": datetime(2030, 1, 1, tzinfo=UTC),
        "cutoff_at": datetime(2030, 1, 2, tzinfo=UTC),
        "attempts": 2,
    }
    set_terms(site, **terms)

    again = site.ask("t-teacher", "POST", f"/releases/ict101/{LAB}?force=1", data=WORK)

    assert again.status_code == 201
    row = site.store.find_release("ict101", LAB)
    assert {name: getattr(row, name) for name in terms} == terms


def test_feedback_through_nbgrader_waits_until_nobody_gains_by_it(site: Any) -> None:
    due = datetime.now(UTC) + HOUR
    set_terms(site, due_at=due, reveal="closed")
    row = site.store.submit("ict101", LAB, "alice", WORK)
    where = f"/feedback/ict101/{LAB}/{row.id}"

    early = site.ask("t-teacher", "POST", where, data=PAGE)
    set_terms(site, due_at=due - DAY, reveal="closed")
    later = site.ask("t-teacher", "POST", where, data=PAGE)

    assert early.status_code == 409
    assert "reveals nothing before it is closed" in early.json()["detail"]
    assert later.status_code == 201
