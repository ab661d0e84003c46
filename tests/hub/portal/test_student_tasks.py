"""What a student does all day, in a real Chromium: go on, find and join, keep and verify a receipt, read due times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from grader.archives import pack

pytestmark = pytest.mark.browser

WITH_AND_WITHOUT_JAVASCRIPT = pytest.mark.parametrize("javascript", [True, False])
NOTEBOOK = pack({"net-ospf.ipynb": b"{}"})


@pytest.fixture
def picture(root: Path) -> Callable[[Page, str], None]:
    """`picture(page, name)`: keep how the page looks, for people to see."""

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=root / "test-artifacts" / f"student-{name}.png", full_page=True)

    return keep


@WITH_AND_WITHOUT_JAVASCRIPT
def test_one_press_goes_on_where_a_student_stopped(
    at: Any, served: Any, picture: Any, javascript: bool
) -> None:
    served.hub.servers = {"base": {"ready": True, "pending": None}}
    served.hub.events = [f"data: {json.dumps({'progress': 100, 'ready': True, 'message': 'Ready'})}\n\n"]
    page = at("alice", java_script_enabled=javascript)
    page.locator("[data-lab='lab-two']").get_by_role("button", name="Start").click()
    page.wait_for_url("**/user/alice/base/ictlab/open?course=ict101&lab=lab-two")

    page.goto(served.url)
    picture(page, f"home-{javascript}")
    page.get_by_role("button", name="Go on with Permissions").click()

    page.wait_for_url("**/user/alice/base/ictlab/open?course=ict101&lab=lab-two")
    served.hub.servers, served.hub.events = {}, []


@WITH_AND_WITHOUT_JAVASCRIPT
def test_a_lab_is_found_by_search_joined_and_left(
    at: Any, served: Any, picture: Any, javascript: bool
) -> None:
    store = served.school.store
    store.set_open("net201", True)
    store.release(
        "net201",
        "net-ospf",
        NOTEBOOK,
        title="OSPF in one area",
        environment="network",
        max_points=5,
        by="prof",
    )
    page = at("nobody", java_script_enabled=javascript)
    page.get_by_role("link", name="Open courses").click()

    page.get_by_label("Words").fill("ospf area")
    page.get_by_label("Level").select_option("intermediate")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("status")).to_contain_text("1 lab found.")
    picture(page, f"search-{javascript}")
    page.get_by_role("button", name="Join Another course and open OSPF in one area").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("OSPF in one area")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.goto(served.url)
    page.get_by_role("button", name="Leave the course Another course").click()
    expect(page.get_by_role("status")).to_contain_text("You left the course Another course.")
    assert [each.username for each in store.members("net201")] == ["prof"]


@WITH_AND_WITHOUT_JAVASCRIPT
def test_a_receipt_is_downloaded_and_verified(
    at: Any, served: Any, picture: Any, javascript: bool, tmp_path: Path
) -> None:
    alices = served.school.alices
    page = at("alice", java_script_enabled=javascript)
    page.locator("[data-lab='lab-one']").get_by_role("link", name="Subnets").click()

    with page.expect_download() as download:
        page.get_by_role("link", name=f"Download receipt {alices.id[:8]}").click()
    download.value.save_as(tmp_path / "receipt.txt")
    picture(page, f"lab-{javascript}")
    page.get_by_role("link", name=f"Verify receipt {alices.id[:8]}").click()

    expect(page.get_by_role("status")).to_contain_text("This site signed it")
    assert (tmp_path / "receipt.txt").read_text().strip() == alices.receipt
    expect(page.get_by_role("textbox")).to_have_value(alices.receipt)


def test_the_browser_says_its_zone_and_due_times_are_in_it_at_once(at: Any, served: Any) -> None:
    page = at("alice", timezone_id="Africa/Nairobi")

    expect(page.locator("footer")).to_contain_text("Times are in Africa/Nairobi.")
    assert page.locator("script").count() == 0  # it is asked once
    page.get_by_role("link", name="Change the time zone").click()
    page.get_by_label("Your time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Use this time zone").click()

    expect(page).to_have_url(served.url)
    expect(page.locator("footer")).to_contain_text("Times are in Asia/Tokyo.")


def test_a_browser_without_cookies_for_scripts_is_not_reloaded_for_ever(at: Any, served: Any) -> None:
    page = at("alice", timezone_id="Africa/Nairobi")
    page.context.add_init_script("Object.defineProperty(document, 'cookie', {get: () => '', set: () => {}})")
    page.context.clear_cookies(name="ictlabs-zone")
    loads: list[str] = []
    page.on("load", lambda: loads.append("load"))

    page.goto(served.url)
    page.wait_for_timeout(1000)

    assert loads == ["load"]
    expect(page.locator("footer")).to_contain_text("Times are in UTC.")


@pytest.mark.parametrize("path", ["", "catalogue?q=ospf", "labs/ict101/lab-one", "timezone"])
def test_axe_finds_nothing_on_full_pages(at: Any, served: Any, path: str) -> None:
    store = served.school.store
    store.set_open("net201", True)
    store.set_open("ict101", True)
    store.started("alice", "ict101", "lab-two")
    store.announce("ict101", "Exam", "On Friday.", by="teacher")
    for _ in range(60):
        store.submit("ict101", "lab-one", "alice", NOTEBOOK)
    page = at("alice", bypass_csp=True)
    found: dict[str, list[str]] = {}

    for scheme in ("light", "dark"):
        for locale in ("en", "ar"):
            page.emulate_media(color_scheme=scheme)
            page.set_extra_http_headers({"Accept-Language": locale})
            page.goto(served.url + path)
            violations = Axe().run(page).response["violations"]
            found |= {f"{scheme} {locale} {each['id']}": [str(each["nodes"])[:300]] for each in violations}

    assert found == {}
