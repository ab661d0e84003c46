"""Login, cookies and forms: what a browser must bring, and what is refused. With the tiny hub of conftest.py."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.portal.sessions import Sessions


def ask(browser: Any, path: str = "") -> dict[str, str]:
    """Open a page without login; the parameters of the hub's login address."""
    location = browser.get(path).headers["location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def back(browser: Any, state: str, code: str = "code-alice", **how: Any) -> Any:
    return browser.get(f"oauth_callback?code={code}&state={state}", **how)


def test_login_uses_a_state_of_this_browser_and_pkce(visit: Any, tiny_hub: Any) -> None:
    browser = visit()

    query = ask(browser)
    answer = back(browser, query["state"])

    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    digest = hashlib.sha256(tiny_hub.verifiers[-1].encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert answer.headers["location"] == "/services/portal/"


def test_the_session_cookie_is_for_the_portal_only_and_out_of_reach_of_scripts(visit: Any) -> None:
    browser = visit()

    plain = back(browser, ask(browser)["state"]).headers["set-cookie"]
    asked = browser.get(headers={"x-forwarded-proto": "https"})
    secure = asked.headers.get("set-cookie", "")

    for part in ("HttpOnly", "SameSite=lax", "Path=/services/portal/"):
        assert part in plain
    assert "Secure" not in plain
    assert secure == ""  # logged in: nothing is set
    browser.client.cookies.clear()
    assert "Secure" in browser.get(headers={"x-forwarded-proto": "https"}).headers["set-cookie"]


def test_a_login_begun_in_another_browser_is_refused(visit: Any) -> None:
    attacker, victim = visit(), visit()
    state = ask(attacker)["state"]

    answer = back(victim, state)

    assert answer.status_code == 400
    assert victim.get().status_code == 302


@pytest.mark.parametrize("state", ["", "x", "A" * 43, "A" * 5000, "%00", "../"])
def test_a_state_that_was_not_given_out_is_refused(visit: Any, state: str) -> None:
    browser = visit()
    ask(browser)

    assert back(browser, state).status_code == 400


def test_a_state_works_once(visit: Any) -> None:
    browser = visit()
    state = ask(browser)["state"]

    assert back(browser, state).status_code == 302
    assert back(browser, state).status_code == 400


def test_a_code_the_hub_refuses_is_a_sentence(visit: Any) -> None:
    browser = visit()

    answer = back(browser, ask(browser)["state"], code="wrong")

    assert answer.status_code == 502
    assert "did not accept this login" in answer.text


def test_after_login_one_is_where_one_wanted_to_go(visit: Any) -> None:
    browser = visit()
    state = ask(browser, "starting/base?course=ict101&lab=lab-one")["state"]

    assert (
        back(browser, state).headers["location"] == "/services/portal/starting/base?course=ict101&lab=lab-one"
    )


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/hub/logout",
        "/services/portal/../../hub/",
        "/services/portal/\\x",
    ],
)
def test_login_leads_nowhere_else(visit: Any, wanted: str) -> None:
    browser = visit()
    state = ask(browser)["state"]
    name = f"ictlabs-login-{state[:12]}"
    kept = browser.client.cookies[name].rsplit(".", 1)[0]
    browser.client.cookies.clear()
    browser.client.cookies.set(
        name,
        f"{kept}.{base64.urlsafe_b64encode(wanted.encode()).rstrip(b'=').decode()}",
        path="/services/portal/",
    )

    assert back(browser, state).headers["location"] == "/services/portal/"


def test_each_login_gets_a_new_session(visit: Any) -> None:
    browser = visit("alice")
    before = browser.client.cookies["ictlabs-portal"]
    browser.client.cookies.clear()
    browser.login("alice")

    assert browser.client.cookies["ictlabs-portal"] != before


def test_a_person_without_the_scope_is_told_so(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.scopes = ["read:users:name!user=alice"]
    browser = visit()

    answer = back(browser, ask(browser)["state"])

    assert answer.status_code == 403
    assert "may not use this portal" in answer.text


def test_log_out_at_the_hub_is_log_out_here(
    visit: Any, tiny_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = visit("alice")
    tiny_hub.revoked.add("alice")
    monkeypatch.setattr("hub.portal.hubclient._CACHE_S", 0)

    assert browser.get().status_code == 302


def test_log_out_ends_the_session(visit: Any) -> None:
    browser = visit("alice")
    cookie = browser.client.cookies["ictlabs-portal"]

    answer = browser.post("logout")
    browser.client.cookies.set("ictlabs-portal", cookie, path="/services/portal/")

    assert answer.headers["location"] == "/hub/logout"
    assert browser.get().status_code == 302


def test_sessions_end_after_their_time() -> None:
    sessions = Sessions(lasts_h=0)
    cookie = sessions.begin("token")

    assert sessions.find(cookie) is None
    assert sessions.find("guess") is None
    assert sessions.find(None) is None


POSTS = (
    "logout",
    "receipts/verify",
    "labs/ict101/lab-one/start",
    "servers/base/stop",
    "courses/ict101/formgrader",
    "courses/ict101/labs/lab-one/grade",
    "courses/ict101/labs/lab-one/feedback",
)


@pytest.mark.parametrize("path", POSTS)
def test_nothing_changes_without_a_form_of_ours(visit: Any, school: Any, tiny_hub: Any, path: str) -> None:
    teacher = visit("teacher")
    foreign = visit("alice").csrf()

    assert teacher.post(path, csrf="").status_code == 403
    assert teacher.post(path, csrf=foreign).status_code == 403
    assert teacher.post(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert teacher.post(path, headers={"sec-fetch-site": "same-site"}).status_code == 403
    good = teacher.csrf()
    as_json = teacher.client.post(f"/services/portal/{path}", json={"csrf": good})
    assert as_json.status_code == 415
    assert teacher.client.get(f"/services/portal/{path}", follow_redirects=False).status_code in (
        200,
        404,
        405,
    )
    assert tiny_hub.asked == []
    assert len(school.store.jobs("ict101")) == 1


@pytest.mark.parametrize("path", POSTS)
def test_no_form_is_taken_without_login(visit: Any, path: str) -> None:
    browser = visit()

    answer = browser.post(path, csrf="x")

    assert answer.status_code == 302
    assert "/hub/api/oauth2/authorize" in answer.headers["location"]


def test_a_huge_form_is_refused(visit: Any) -> None:
    assert visit("alice").post("receipts/verify", receipt="x" * 100_000).status_code == 413
