"""What costs the server much can be pressed only so often, by each person for themselves."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from fastapi import HTTPException

from hub.portal.limits import Limit

PREFIX = "/services/portal/"


class Clock:
    """A clock that a test turns."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


def refused(limit: Limit, name: str) -> HTTPException | None:
    try:
        limit.press(name)
    except HTTPException as error:
        return error
    return None


def test_so_many_presses_then_one_says_when_to_try_again() -> None:
    limit = Limit(3, 60, Clock())

    answers = [refused(limit, "alice") for _ in range(4)]

    assert answers[:3] == [None] * 3
    assert answers[3] is not None
    assert answers[3].status_code == 429
    assert answers[3].headers == {"Retry-After": "20"}
    assert answers[3].detail.endswith("Press again in 20 s.")


def test_the_time_it_says_is_the_time_it_takes() -> None:
    clock = Clock()
    limit = Limit(3, 60, clock)
    for _ in range(3):
        limit.press("alice")

    clock.s = 19.5
    assert refused(limit, "alice")
    clock.s = 20
    assert not refused(limit, "alice")
    assert refused(limit, "alice")
    clock.s = 1000
    assert [bool(refused(limit, "alice")) for _ in range(4)] == [False, False, False, True]


def test_one_persons_presses_are_not_counted_for_another() -> None:
    limit = Limit(1, 60, Clock())
    limit.press("alice")

    assert refused(limit, "alice")
    assert not refused(limit, "bob")


@pytest.mark.parametrize(
    ("name", "action", "times"),
    [
        ("teacher", "courses/ict101/labs/lab-one/grade", 20),
        ("teacher", "courses/ict101/labs/lab-two/feedback", 10),
        ("teacher", "courses/ict101/formgrader", 10),
        ("alice", "labs/ict101/lab-one/start", 10),
    ],
)
def test_a_button_that_costs_much_is_refused_with_a_page_that_says_when(
    visit: Any, monkeypatch: pytest.MonkeyPatch, name: str, action: str, times: int
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")  # so that `ict` ends at once
    browser = visit(name)
    csrf = browser.csrf()

    answers = [browser.post(action, csrf) for _ in range(times)]
    last = browser.post(action, csrf)

    assert {answer.status_code for answer in answers} == {303}
    assert last.status_code == 429
    assert 1 <= int(last.headers["retry-after"]) <= 6
    assert "Too often" in last.text
    assert f"Press again in {last.headers['retry-after']} s." in last.text


def test_a_program_that_asks_for_too_much_grading_is_told_when_to_ask_again(
    visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    client = visit().client

    answers = []
    while not answers or (answers[-1].status_code == 201 and len(answers) < 1_000):
        answers.append(
            client.post(
                f"{PREFIX}api/exchange/grading/ict101/lab-one?student=alice",
                headers={"Authorization": "token token-teacher"},
            )
        )

    assert len(answers) > 120
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["detail"].endswith("Press again in 1 s.")


def test_who_may_not_press_it_at_all_is_told_that(visit: Any) -> None:
    browser = visit("bob")
    csrf = browser.csrf()

    statuses = {browser.post("courses/ict101/labs/lab-one/grade", csrf).status_code for _ in range(25)}

    assert statuses == {403}
