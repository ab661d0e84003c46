"""Every route, walked as everybody: who is let in, and that nobody else learns anything of alice's.

The routes come from the portal's own OpenAPI description, so that a new one fails here until somebody has
thought about who may use it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from hub.portal.app import create_app
from hub.portal.hubclient import HubClient
from hub.portal.jobs import Jobs

PREFIX = "/services/portal"
OUTSIDE = "outside"  # somebody who is not logged in
PEOPLE = ("alice", "bob", "teacher", "prof", "nobody")
ALL = {OUTSIDE, *PEOPLE}
LOGGED_IN = set(PEOPLE)
CLASS = {"alice", "bob", "teacher"}  # who is in the course
ALICES = {"alice", "teacher"}  # whose it is, and who marks it
TEACHER = {"teacher"}
NO_ONE: set[str] = set()
# Who is let in. Alice's ids fill the addresses; prof teaches another course, nobody is in no course at all.
LET_IN = {
    "GET /health": ALL,
    "GET /static/{name}": ALL,
    "GET ": ALL,  # leads to the same with a slash
    "GET /oauth_callback": NO_ONE,  # without a login under way
    "GET /": LOGGED_IN,
    "GET /catalogue": LOGGED_IN,
    "GET /progress": LOGGED_IN,  # their own
    "POST /language": LOGGED_IN,
    "GET /receipts/verify": LOGGED_IN,
    "POST /receipts/verify": LOGGED_IN,
    "POST /logout": LOGGED_IN,
    "POST /servers/{server}/stop": LOGGED_IN,  # their own
    "GET /labs/{course}/{lab}": CLASS,
    "POST /labs/{course}/{lab}/start": CLASS,
    "GET /starting/{server}": CLASS,
    "GET /submissions/{submission_id}/receipt": ALICES,
    "GET /submissions/{submission_id}/receipt.txt": ALICES,
    "GET /feedback/{submission_id}": ALICES,
    "GET /feedback/{submission_id}/{page}.html": ALICES,
    "GET /courses/{course}": TEACHER,
    "GET /courses/{course}/labs/{lab}": TEACHER,
    "GET /courses/{course}/marks.csv": TEACHER,
    "GET /courses/{course}/insight": TEACHER,
    "GET /courses/{course}/now": TEACHER,
    "POST /courses/{course}/hands/{username}/seen": TEACHER,
    "POST /courses/{course}/hands/{username}/lower": TEACHER,
    "POST /courses/{course}/hands/{username}/close": TEACHER,
    "POST /courses/{course}/hands/{username}/enter": TEACHER,
    "POST /labs/{course}/{lab}/hand": CLASS,
    "POST /labs/{course}/{lab}/hand/lower": CLASS,
    "POST /labs/{course}/{lab}/hand/open": CLASS,
    "POST /labs/{course}/{lab}/hand/close": CLASS,
    "GET /courses/{course}/labs/{lab}/insight": TEACHER,
    "GET /courses/{course}/students/{username}": TEACHER,
    "GET /courses/{course}/people": TEACHER,
    "POST /courses/{course}/people": TEACHER,
    "GET /courses/{course}/people/{username}": TEACHER,
    "POST /courses/{course}/people/{username}": TEACHER,
    "GET /courses/{course}/people/{username}/remove": TEACHER,
    "POST /courses/{course}/people/{username}/remove": TEACHER,
    "GET /courses/{course}/roster": TEACHER,
    "GET /courses/{course}/roster.csv": TEACHER,
    "POST /courses/{course}/roster": TEACHER,
    "POST /courses/{course}/roster/apply": TEACHER,
    "GET /courses/{course}/announcements": CLASS,
    "POST /courses/{course}/announcements": TEACHER,
    "POST /courses/{course}/announcements/{number}/withdraw": TEACHER,
    "GET /courses/{course}/jobs/{number}/events": TEACHER,
    "POST /courses/{course}/jobs/{number}/cancel": TEACHER,
    "POST /courses/{course}/jobs/{number}/retry": TEACHER,
    "POST /courses/{course}/labs/{lab}/grade": TEACHER,
    "POST /courses/{course}/labs/{lab}/feedback": TEACHER,
    "POST /courses/{course}/formgrader": TEACHER,
    "GET /api/exchange/receipt-key": ALL,
    "GET /api/exchange/releases": CLASS,
    "GET /api/exchange/releases/{course}/{lab}/archive": CLASS,
    "POST /api/exchange/releases/{course}/{lab}": TEACHER,
    "DELETE /api/exchange/releases/{course}/{lab}": TEACHER,
    "GET /api/exchange/submissions": LOGGED_IN,  # their own
    "POST /api/exchange/events": LOGGED_IN,  # which course is in the body
    "POST /api/exchange/hands": LOGGED_IN,  # likewise
    "POST /api/exchange/submissions/{course}/{lab}": CLASS,
    "GET /api/exchange/submissions/{course}/{lab}/{submission_id}/archive": ALICES,
    "GET /api/exchange/feedback/{course}/{lab}/{submission_id}/archive": ALICES,
    "POST /api/exchange/feedback/{course}/{lab}/{submission_id}": TEACHER,
    "POST /api/exchange/grading/{course}/{lab}": TEACHER,
    "GET /api/exchange/grading/{course}/{lab}/{number}": TEACHER,
}
LAST = (  # after them the others are not the same
    "DELETE /api/exchange/releases/{course}/{lab}",
    "POST /courses/{course}/people/{username}/remove",
    "POST /logout",
)
UPLOADS = {"POST /courses/{course}/roster", "POST /courses/{course}/roster/apply"}
FIELDS_MISSING = {  # let in, and told what is missing: the form is empty here
    "POST /courses/{course}/people",
    "POST /courses/{course}/people/{username}",
    "POST /courses/{course}/roster",
    "POST /courses/{course}/roster/apply",
    "POST /courses/{course}/announcements",
    "POST /language",
}
FROM_ELSEWHERE = {
    "no page of ours": {},
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
    "another host of the site": {"Sec-Fetch-Site": "same-site", "Origin": "https://pages.testserver"},
    "another site, in a browser from before Sec-Fetch-Site": {"Origin": "https://elsewhere.example"},
    "a sandboxed frame": {"Origin": "null"},
}
REFUSED = {302, 401, 403, 404}
BAD = {400, 409, 422}  # let in, and told that what was sent cannot be right: bodies are empty here


@dataclass
class Route:
    """One operation of the description, with alice's ids in its address."""

    name: str
    method: str
    address: str

    @property
    def of_the_api(self) -> bool:
        """Whether programs use it, with a token."""
        return "/api/" in self.name


def routes_of(app: FastAPI, school: Any) -> list[Route]:
    values = {
        "course": "ict101", "lab": "lab-one", "page": "lab-one", "server": "base", "name": "style.css",
        "username": "alice", "student": "alice", "submission_id": school.alices.id,
        "number": school.store.jobs("ict101")[0].id, "q": "alice", "section": "A", "state": "graded", "live": "off",
    }  # fmt: skip
    found = []
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            asked = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            query = "&".join(f"{name}={values[name]}" for name in asked if name != "page")  # here a number
            name = f"{method.upper()} {path.removeprefix(PREFIX)}"
            found.append(Route(name, method.upper(), path.format(**values) + (f"?{query}" if query else "")))
    last = {name: at for at, name in enumerate(LAST, 1)}
    return sorted(found, key=lambda route: (last.get(route.name, 0), route.method != "GET"))


@dataclass
class Site:
    """A portal over a class, and what is alice's in it."""

    app: FastAPI
    client: TestClient
    routes: list[Route]
    alices: list[str]

    def walk(
        self, name: str, headers: dict[str, str] | None = None, **form: str
    ) -> Iterator[tuple[Route, Any]]:
        """Each route and its answer to this person, in the order in which they can be asked."""
        for route in self.routes:
            sent: dict[str, Any] = {"headers": dict(headers or {})}
            if route.of_the_api:
                if name != OUTSIDE:
                    sent["headers"]["Authorization"] = f"token token-{name}"
            elif route.method == "POST":
                sent["data"] = form
                if route.name in UPLOADS:
                    sent["files"] = {"file": ("roster.csv", b"")}
            yield route, self.client.request(route.method, route.address, follow_redirects=False, **sent)


@pytest.fixture
def site(school: Any, tiny_hub: Any) -> Iterator[Site]:
    """A portal whose jobs end at once."""
    hub = HubClient(f"{tiny_hub.url}/hub/api", client_id="service-portal", client_secret="s")
    jobs = Jobs(school.store, school.settings, (sys.executable, "-c", ""))
    told = school.store.announce("ict101", "Welcome", "To all.", by="teacher")
    assert told.id == school.store.jobs("ict101")[0].id  # one {number} serves both
    app = create_app(school.settings, school.store, hub, jobs=jobs)
    alices = [
        school.alices.id, school.alices.receipt, "alice@example.org", "Alice ",
        "18 / 20", "Expected /26", "Marked",
    ]  # fmt: skip
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Site(app, client, routes_of(app, school), alices)


def login(client: TestClient, name: str) -> str:
    """Log in as a browser does; returns the token of this person's forms."""
    if name == OUTSIDE:
        return ""
    state = re.search(r"state=([^&]+)", client.get(f"{PREFIX}/", follow_redirects=False).headers["location"])
    assert state
    client.get(f"{PREFIX}/oauth_callback?code=code-{name}&state={state[1]}", follow_redirects=False)
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get(f"{PREFIX}/").text)
    assert csrf
    return csrf[1]


def to_login(answer: Any) -> bool:
    return answer.status_code == 302 and "/oauth2/authorize?" in answer.headers["location"]


def let_in(answer: Any) -> bool:
    """Whether an answer is more than a refusal."""
    return not to_login(answer) and answer.status_code not in REFUSED


def record_of(store: Any) -> list[Any]:
    """What a refused request must not change."""
    releases = [
        (row.lab, row.released_at, row.withdrawn_at) for row in store.releases("ict101", withdrawn=True)
    ]
    jobs = [(job.id, job.state, job.cancel_requested_at) for job in store.jobs("ict101")]
    people = [(row.username, row.role, row.name, row.email, row.section) for row in store.members("ict101")]
    said = [(row.title, row.withdrawn_at) for row in store.announcements("ict101")]
    hands = [(row.username, row.about, row.seen_by) for row in store.hands("ict101")]
    return [releases, jobs, [row.id for row in store.submissions("ict101")], people, said, hands]


def test_every_route_is_in_the_table(site: Site) -> None:
    assert {route.name for route in site.routes} == set(LET_IN)


@pytest.mark.parametrize("name", [OUTSIDE, *PEOPLE])
def test_each_route_lets_in_whom_it_is_for(site: Site, school: Any, name: str) -> None:
    csrf, before = login(site.client, name), record_of(school.store)

    answers = {route.name: answer for route, answer in site.walk(name, csrf=csrf)}

    odd = {"GET /oauth_callback"}  # answers everybody that no login is under way
    assert {each for each, answer in answers.items() if let_in(answer)} - odd == {
        each for each, people in LET_IN.items() if name in people
    }
    assert not {each: a.status_code for each, a in answers.items() if a.status_code >= 500}
    assert answers["GET /oauth_callback"].status_code == 400
    bad = {each for each, answer in answers.items() if answer.status_code in BAD}
    assert {each for each in bad - odd if "/api/" not in each} <= FIELDS_MISSING
    if name in ("prof", "nobody", OUTSIDE):
        assert record_of(school.store) == before


@pytest.mark.parametrize("name", sorted(ALL - ALICES))
def test_no_answer_to_others_holds_anything_of_alices(site: Site, name: str) -> None:
    csrf = login(site.client, name)

    for route, answer in site.walk(name, csrf=csrf):
        held = [text for text in site.alices if text.encode() in answer.content]
        assert held == [], route.name


@pytest.mark.parametrize("name", [OUTSIDE, *PEOPLE])
def test_no_form_from_elsewhere_is_taken_from_anybody(site: Site, school: Any, name: str) -> None:
    csrf, before = login(site.client, name), record_of(school.store)
    forms = sum(each.startswith("POST ") and "/api/" not in each for each in LET_IN)

    answers = [
        (where, route.name, answer.status_code)
        for where, headers in FROM_ELSEWHERE.items()
        for route, answer in site.walk(name, headers, csrf="guessed" if where == "no page of ours" else csrf)
        if route.method == "POST" and not route.of_the_api
    ]

    assert {status for *_, status in answers} == {302 if name == OUTSIDE else 403}, answers
    assert len(answers) == forms * len(FROM_ELSEWHERE)
    if name not in CLASS:
        assert record_of(school.store) == before


def test_a_login_in_the_browser_opens_nothing_of_the_api(site: Site, school: Any) -> None:
    login(site.client, "teacher")
    before = record_of(school.store)

    answers = {
        route.name: site.client.request(route.method, route.address).status_code
        for route in site.routes
        if route.of_the_api
    }

    assert {name for name, status in answers.items() if status != 401} == {"GET /api/exchange/receipt-key"}
    assert record_of(school.store) == before
