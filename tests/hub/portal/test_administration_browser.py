"""In a real Chromium: a student waits in the queue and gets there, an administrator approves, stops and looks up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from grader.audit import Asked
from hub.accounts import Accounts
from hub.settings import HubSettings

pytestmark = pytest.mark.browser
# WCAG 2.2 AA, and what axe's makers hold to be good beyond it
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HUB = HubSettings(concurrent_starts=1)


@pytest.fixture
def picture(root: Path) -> Callable[[Page, str], None]:
    """Keep a page as pictures, light and dark, wide and narrow; axe finds nothing in any of them."""
    folder = root / "test-artifacts"
    folder.mkdir(exist_ok=True)

    def keep(page: Page, name: str) -> None:
        for scheme in ("light", "dark"):
            for width in (1280, 360):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.set_viewport_size({"width": width, "height": 900})
                assert violations(page) == [], (name, scheme, width)
                page.screenshot(path=folder / f"portal-{name}-{scheme}-{width}.png", full_page=True)

    return keep


@pytest.fixture
def busy(served: Any) -> Iterator[Any]:
    """The only slot is taken by a server of the teacher's; call it to let every server be ready."""
    hub = served.hub
    hub.running = {"teacher": {"base": {"ready": False, "pending": "spawn"}}}
    hub.events = [f"data: {json.dumps({'progress': 40, 'message': 'Making the container'})}\n\n"]

    def ready() -> None:
        hub.running = {name: {"base": {"ready": True, "pending": None}} for name in ("teacher", "alice")}
        hub.events = [f"data: {json.dumps({'progress': 100, 'ready': True, 'message': 'Ready'})}\n\n"]

    yield ready
    hub.running, hub.events = {}, []


def violations(page: Page) -> list[str]:
    """What axe finds."""
    said = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response["violations"]
    return [f"{each['id']} {node['target']}: {each['help']}" for each in said for node in each["nodes"]]


def start(page: Page) -> None:
    page.get_by_role("button", name="Start Permissions").click()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_student_waits_in_the_queue_and_gets_to_the_lab(
    at: Any, served: Any, busy: Any, picture: Any, javascript: bool
) -> None:
    teacher = at("teacher")
    teacher.request.post(
        f"{served.url}labs/ict101/lab-two/start",
        form={"csrf": teacher.locator("input[name=csrf]").first.input_value()},
        headers={"Sec-Fetch-Site": "same-origin"},
        max_redirects=0,
    )
    how = {"java_script_enabled": javascript, "bypass_csp": javascript}  # axe is a script that no page allows
    bob, alice = at("bob", **how), at("alice", **how)
    start(bob)
    expect(bob.locator("main")).to_contain_text("You are number 1 in the queue.")
    start(alice)
    expect(alice.locator("main")).to_contain_text("You are number 2 in the queue.")
    if javascript:
        picture(alice, "queue")

    bob.get_by_role("button", name="Cancel").click()
    expect(bob.get_by_role("status")).to_contain_text("You left the queue.")
    expect(alice.locator("main")).to_contain_text("You are number 1 in the queue.", timeout=60_000)
    busy()

    alice.wait_for_url("**/user/alice/base/ictlab/open?course=ict101&lab=lab-two", timeout=20_000)
    assert not [each for each in served.hub.asked if "bob" in each]


def test_an_administrator_approves_stops_and_finds_it_in_the_log(at: Any, served: Any, picture: Any) -> None:
    accounts = Accounts(served.school.settings)
    for name in ("carol", "dave.with-a-long-name"):
        accounts.add(name, "a-long-password", authorized=False)
    used = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    about = {"ready": True, "pending": None, "started": used, "last_activity": used}
    served.hub.running = {f"student{number}": {"base": about} for number in range(4)}
    page = at("admin", bypass_csp=True)  # for axe

    page.get_by_role("link", name="Administration").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Administration")
    picture(page, "administration")
    page.get_by_role("button", name="Approve: carol").click()
    expect(page.get_by_role("status")).to_contain_text("carol may log in.")
    page.get_by_role("link", name="Stop base of student2").click()
    picture(page, "administration-stop")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_contain_text("The server base of student2 is stopped.")
    page.get_by_role("link", name="Audit log").click()
    page.get_by_label("What").select_option("account.approve")
    page.get_by_role("button", name="Find").click()

    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("approved the account of carol")
    picture(page, "audit-log")
    assert served.hub.asked[-1] == "stop student2/base"
    assert [each.what for each in served.school.store.deeds(Asked())] == ["server.stop", "account.approve"]
    served.hub.running = {}
