"""*Now* and a raised hand in a real browser: both sides see the other as it happens, and keep their place on the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from grader.archives import pack
from grader.places import Place
from grader.store import MemberRow

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[3] / "test-artifacts"
NOW, LAB = "courses/ict101/now", "labs/ict101/lab-one"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EXERCISES = {"split": "Split the network", "mask": "Find the mask", "plan": "Plan with room to grow"}
CHECKS = ("room for all hosts", "no two subnets overlap", "the smallest prefix that does")


@pytest.fixture(scope="module", autouse=True)
def lab(served: Any) -> None:
    """lab-one has exercises."""
    cells: list[dict[str, Any]] = []
    for name, title in EXERCISES.items():
        cells.append({"cell_type": "markdown", "metadata": {}, "source": f"## {title}"})
        for kind, flags in (("answer", {"solution": True}), ("check", {"grade": True})):
            meta = {"nbgrader": {"grade_id": f"{kind}-{name}", **flags}, "ictlabs": {"exercise": name}}
            cells.append({"cell_type": "code", "source": "check.earned", "metadata": meta})
    archive = pack({"lab-one.ipynb": json.dumps({"cells": cells}).encode()})
    kept: dict[str, Any] = {
        "title": "IPv4 subnetting",
        "environment": "base",
        "max_points": 6,
        "by": "teacher",
    }
    served.school.store.release("ict101", "lab-one", archive, **kept)


@pytest.fixture
def full_class(served: Any) -> None:
    """60 students at work, some stuck; bob's hand is up and his server open."""
    now, store = datetime.now(UTC), served.school.store
    names = [f"s{number:02}" for number in range(60)]
    store.enrol(
        "ict101",
        [MemberRow(name, name=f"Student {name}", section="AB"[n % 2]) for n, name in enumerate(names)],
    )
    places = []
    for number, name in enumerate(names):
        exercise = list(EXERCISES)[number % 3]
        failing = {f"check-{exercise}": [CHECKS[number % 3]]} if number % 4 == 0 else {}
        since = now - timedelta(minutes=number % 17)
        places.append(
            Place("ict101", name, "lab-one", now, since, exercise, since if failing else None, failing, [])
        )
    store.put_places(places)
    store.raise_hand("ict101", "lab-one", "bob", "Why does the second host not answer?")
    store.open_server("bob", "base", "ict101", "c", now + timedelta(hours=1))
    served.hub.shares_status = 500  # so that it stays open: this hub knows nothing of shares


@pytest.fixture(autouse=True)
def hands_down(served: Any) -> Any:
    """Nothing is left of a test."""
    yield
    store = served.school.store
    for hand in store.hands("ict101"):
        store.lower_hand("ict101", hand.username, hand.username)
    for row in store.open_servers():
        store.server_ended(row)
    served.hub.shares_status = 404


def tell(page: Page, served: Any, name: str, **checks: bool) -> None:
    """What somebody's notebook sends."""
    said = [{"name": check.replace("_", " "), "holds": holds} for check, holds in checks.items()]
    body = {"course": "ict101", "lab": "lab-one", "events": [{"cell": "check-mask", "checks": said}]}
    answer = page.request.post(
        f"{served.url}api/exchange/events",
        data=json.dumps(body),
        headers={"Authorization": f"token token-{name}", "Content-Type": "application/json"},
    )
    assert answer.status == 202, answer.text()


def test_the_class_is_seen_as_it_works_without_a_reload_and_the_focus_stays(at: Any, served: Any) -> None:
    teacher = at("teacher")
    teacher.goto(served.url + NOW)
    expect(teacher.get_by_text("No hand is up.")).to_be_visible()
    teacher.evaluate("window.still = 'here'")

    tell(teacher, served, "alice", room_for_all=False)
    expect(teacher.locator('[data-student="alice"]')).to_contain_text("Find the mask", timeout=60_000)
    expect(teacher.get_by_role("region", name="IPv4 subnetting")).to_contain_text("room for all: 1")

    alice = at("alice")
    alice.goto(served.url + LAB)
    alice.get_by_label("What is it about?").fill("Why /26?")
    alice.get_by_role("button", name="Raise my hand").click()
    expect(alice.get_by_text("An instructor will see it.")).to_be_visible()
    expect(teacher.get_by_text("Why /26?")).to_be_visible(timeout=60_000)
    expect(teacher.locator('[data-hand="alice"]')).to_contain_text("Find the mask")

    answered = teacher.get_by_role("button", name="Answered: lower the hand of Alice")
    answered.focus()
    tell(teacher, served, "bob", the_prefix=False)
    expect(teacher.locator('[data-student="bob"]')).to_be_visible(timeout=60_000)
    expect(answered).to_be_focused()
    assert teacher.evaluate("window.still") == "here"


def test_both_sides_of_a_raised_hand_see_the_other_by_keyboard(at: Any, served: Any) -> None:
    alice, teacher = at("alice"), at("teacher")
    alice.goto(served.url + LAB)
    alice.get_by_label("What is it about?").focus()
    alice.keyboard.insert_text("It does not ping")
    alice.keyboard.press("Enter")
    expect(alice.get_by_text("An instructor will see it.")).to_be_visible()

    teacher.goto(served.url + NOW)
    teacher.get_by_role("button", name="I am coming").focus()
    teacher.keyboard.press("Enter")
    expect(alice.get_by_text("teacher has seen your hand and is coming.")).to_be_visible(timeout=60_000)
    teacher.get_by_role("button", name="Answered").focus()
    teacher.keyboard.press("Enter")
    expect(teacher.get_by_text("No hand is up.")).to_be_visible()
    expect(alice.get_by_text("teacher answered and lowered your hand")).to_be_visible(timeout=60_000)
    expect(alice.get_by_role("button", name="Raise my hand")).to_be_visible()


def test_without_javascript_a_hand_goes_up_and_down_and_the_page_loads_itself_again(
    at: Any, served: Any
) -> None:
    alice, teacher = at("alice", java_script_enabled=False), at("teacher", java_script_enabled=False)
    alice.goto(served.url + LAB)
    alice.get_by_role("button", name="Raise my hand").click()
    teacher.goto(served.url + NOW)
    refresh = teacher.locator('meta[http-equiv="refresh"]')

    assert refresh.get_attribute("content") == "30"
    teacher.get_by_role("button", name="Answered").click()
    expect(teacher.get_by_text("No hand is up.")).to_be_visible()
    alice.goto(served.url + LAB)
    expect(alice.get_by_text("answered and lowered your hand")).to_be_visible()


def test_it_can_be_read_by_everybody_and_looks_as_it_should(at: Any, served: Any, full_class: None) -> None:
    PICTURES.mkdir(exist_ok=True)
    found = {}

    for who, path, name in (("teacher", NOW + "?live=off", "now"), ("bob", LAB, "hand")):
        page = at(who, bypass_csp=True)
        for scheme in ("light", "dark"):
            for width in (1280, 360):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                page.goto(served.url + path)
                page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
                rules = {"runOnly": {"type": "tag", "values": TAGS}}
                said = Axe().run(page, options=rules).response["violations"]
                found[name, scheme, width] = [f"{each['id']}: {each['help']}" for each in said]
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)

    assert {look: said for look, said in found.items() if said} == {}
