"""Whatever the hub answers, a person gets a page that says what happened. With the tiny hub of conftest.py."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

OPEN = "/user/alice/base/ictlab/open?course=ict101&lab=lab-one"
STARTING = "/services/portal/starting/base?course=ict101&lab=lab-one"


def event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def settled(browser: Any, page: str = STARTING) -> Any:
    """Load the starting page, as a browser does by itself, until it says something else."""
    for _ in range(60):
        answer = browser.get(page.removeprefix("/services/portal/"))
        if 'http-equiv="refresh"' not in answer.text:
            return answer
        time.sleep(0.1)
    raise AssertionError("the page went on refreshing")


def led(browser: Any, answer: Any) -> str:
    """Where Start led in the end: at once, or by way of the starting page when the machine is busy."""
    there = answer if answer.headers["location"] == OPEN else settled(browser)
    return str(there.headers["location"])


def test_start_leads_to_the_lab_in_the_persons_own_server(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.events = [event(progress=100, ready=True, message="Server ready")]
    browser = visit("alice")

    answer = browser.post("labs/ict101/lab-one/start")

    assert led(browser, answer) == OPEN
    assert tiny_hub.asked == ["start alice/base"]


def test_on_a_slow_line_the_notebook_alone_is_asked_for_all_the_way(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": False, "pending": "spawn"}}
    browser = visit("alice")

    offered = browser.get("labs/ict101/lab-one").text
    waiting = browser.post("labs/ict101/lab-one/start", view="notebook").headers["location"]
    tiny_hub.events = [event(failed=True, message="Spawn failed: no room")]
    tiny_hub.servers = {}
    again = settled(browser, waiting).text
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    tiny_hub.events = [event(progress=100, ready=True, message="Server ready")]
    browser.post("labs/ict101/lab-one/start", view="notebook")
    ready = settled(browser, waiting).headers["location"]
    other = led(browser, browser.post("labs/ict101/lab-one/start", view="//elsewhere"))

    assert 'name="view" value="notebook"' in offered
    assert waiting == f"{STARTING}&view=notebook"
    assert '<input type="hidden" name="view" value="notebook">' in again
    assert ready == f"{OPEN}&view=notebook"
    assert other == OPEN


def test_while_it_starts_the_hubs_own_messages_are_shown(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": False, "pending": "spawn"}}
    tiny_hub.events = [event(progress=40, message="Making <b>container</b>")]
    browser = visit("alice")

    answer = browser.post("labs/ict101/lab-one/start")
    page = browser.get(STARTING.removeprefix("/services/portal/"))
    tiny_hub.events = [event(progress=100, ready=True, message="Server ready")]

    assert answer.headers["location"] == STARTING
    assert "Making &lt;b&gt;container&lt;/b&gt;" in page.text
    assert 'value="40"' in page.text
    assert '<meta http-equiv="refresh" content="1">' in page.text
    assert settled(browser).headers["location"] == OPEN


def test_a_start_begun_before_this_portal_was_up_is_followed(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}

    assert settled(visit("alice")).headers["location"] == OPEN


def test_a_failed_start_says_why_and_what_to_do(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.start_status, tiny_hub.start_message = 500, "Internal"
    tiny_hub.events = [event(progress=100, failed=True, message="Spawn failed: no image <ictlabs/base>")]
    browser = visit("alice")
    browser.post("labs/ict101/lab-one/start")

    page = settled(browser)

    assert "no image &lt;ictlabs/base&gt;" in page.text
    assert "Start again" in page.text


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_start_the_hub_refuses_gives_its_sentence(visit: Any, tiny_hub: Any, status: int) -> None:
    tiny_hub.start_status, tiny_hub.start_message = status, "Too many start at once."
    browser = visit("alice")
    browser.post("labs/ict101/lab-one/start")

    assert "Too many start at once." in settled(browser).text


def test_a_server_that_runs_already_is_no_error(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.start_status, tiny_hub.start_message = 400, "alice:base is already running"
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    browser = visit("alice")

    answer = browser.post("labs/ict101/lab-one/start")

    assert led(browser, answer) == OPEN


def test_two_presses_ask_the_hub_once(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": False, "pending": "spawn"}}
    browser = visit("alice")

    browser.post("labs/ict101/lab-one/start")
    browser.post("labs/ict101/lab-one/start")

    assert tiny_hub.asked == ["start alice/base"]


def test_a_starting_page_opened_later_does_not_start_anything(visit: Any, tiny_hub: Any) -> None:
    page = visit("alice").get(STARTING.removeprefix("/services/portal/"))

    assert "is not running" in page.text
    assert tiny_hub.asked == []


def test_nobody_starts_a_lab_of_another_course_or_one_taken_back(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    school.store.withdraw("ict101", "lab-two")

    assert visit("prof").post("labs/ict101/lab-one/start").status_code == 404
    assert visit("alice").post("labs/ict101/lab-two/start").status_code == 409
    assert visit("alice").post("labs/ict101/no-such/start").status_code == 404
    assert tiny_hub.asked == []


def test_stop_stops_ones_own_server(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.servers = {"base": {"ready": True, "pending": None}}
    browser = visit("alice")

    assert "Stop server" in browser.get().text
    answer = browser.post("servers/base/stop")

    assert answer.headers["location"] == "/services/portal/"
    assert tiny_hub.asked == ["stop alice/base"]
    assert "Your server is stopped" in browser.get().text
    assert "Your server is stopped" not in browser.get().text


def test_a_hub_that_answers_nonsense_is_said_so(
    visit: Any, tiny_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.portal.hubclient._CACHE_S", 0)
    browser = visit("alice")

    for raw in (b"", b"[]", b"{}", b"<html>", b'{"name": 5}', b'{"name": "portal", "kind": "service"}'):
        tiny_hub.raw_user = raw
        answer = browser.get()
        assert answer.status_code == 503, raw
        assert "does not understand" in answer.text


def test_without_a_hub_pages_and_exchange_say_try_again(visit: Any, school: Any) -> None:
    from starlette.testclient import TestClient

    from hub.portal.app import create_app
    from hub.portal.hubclient import HubClient

    hub = HubClient("http://127.0.0.1:9/hub/api", client_id="c", client_secret="s")
    with TestClient(create_app(school.settings, school.store, hub)) as client:
        answer = client.get(
            "/services/portal/api/exchange/releases", headers={"Authorization": "token abcdefgh12345678"}
        )

        health = client.get("/services/portal/health")
    assert health.status_code == 503
    assert health.json() == {"hub": "does not answer", "database": "ok", "jobs": "ok"}
    assert answer.status_code == 503
    assert "Try again" in answer.json()["detail"]


class TestExchange:
    """The exchange knows people by their hub token, never by a cookie."""

    def test_a_token_says_who_it_is(self, visit: Any, school: Any) -> None:
        browser = visit()

        for kind in ("token", "Bearer", "bearer"):
            answer = browser.get("api/exchange/submissions", headers={"Authorization": f"{kind} token-bob"})
            assert [row["id"] for row in answer.json()] == [school.bobs.id]

    @pytest.mark.parametrize(
        "header", ["", "token", "token ", "Basic YWJj", "token unknown-person", "token a b c"]
    )
    def test_anything_else_is_a_401_with_a_sentence(self, visit: Any, header: str) -> None:
        answer = visit("alice").get("api/exchange/submissions", headers={"Authorization": header})

        assert answer.status_code == 401
        assert answer.json()["detail"].endswith(".")

    def test_a_token_that_may_not_use_the_portal_is_a_403(self, visit: Any, tiny_hub: Any) -> None:
        tiny_hub.scopes = ["self"]

        answer = visit().get("api/exchange/submissions", headers={"Authorization": "token token-bob"})

        assert answer.status_code == 403
        assert "may not use" in answer.json()["detail"]
