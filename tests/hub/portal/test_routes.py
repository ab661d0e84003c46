"""Every route, walked as everybody: who is let in, and that nobody else learns anything of alice's.

The routes come from the portal's own OpenAPI description, so that a new one fails here until somebody has
thought about who may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from grader.people import Person
from grader.questions import Wanted
from hub.accounts import Accounts
from hub.portal.app import create_app
from hub.portal.hubclient import HubClient

PREFIX = "/services/portal"
OUTSIDE = "outside"  # somebody who is not logged in
PEOPLE = ("alice", "bob", "teacher", "tutor", "prof", "nobody", "admin")
ALL = {OUTSIDE, *PEOPLE}
LOGGED_IN = set(PEOPLE)
CLASS = {"alice", "bob", "teacher", "tutor"}  # who is in the course
ALICES = {"alice", "teacher", "tutor"}  # whose it is, and who marks it
TEACHER = {"teacher"}
HELPERS = {"teacher", "tutor"}
ADMIN = {"admin"}  # of the hub
NO_ONE: set[str] = set()
# Who is let in. Alice's ids fill the addresses; prof teaches another course, nobody is in no course at all.
LET_IN = {
    "GET /health": ALL,
    "GET /metrics": NO_ONE,  # but who has the site's own token for it
    "GET /static/{name}": ALL,
    "GET ": ALL,  # leads to the same with a slash
    "GET /oauth_callback": NO_ONE,  # without a login under way
    "GET /": LOGGED_IN,
    "GET /catalogue": LOGGED_IN,
    "GET /timezone": LOGGED_IN,
    "POST /timezone": LOGGED_IN,
    "POST /courses/{course}/open": TEACHER,
    "POST /courses/{course}/join": {
        "alice",
        "bob",
        "teacher",
    },  # the course is not open: only who is in it already is led on
    "POST /courses/{course}/leave": NO_ONE,  # likewise; test_open_courses.py has the open one
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
    "GET /submissions/{submission_id}/receipt/verify": ALICES,
    "GET /feedback/{submission_id}": ALICES,
    "GET /feedback/{submission_id}/{page}.html": ALICES,
    "GET /courses/{course}": HELPERS,
    "GET /courses/{course}/labs/{lab}": HELPERS,
    "GET /courses/{course}/marks.csv": HELPERS,
    "GET /courses/{course}/insight": HELPERS,
    "GET /courses/{course}/labs/{lab}/insight": HELPERS,
    "GET /courses/{course}/students/{username}": HELPERS,
    "POST /feedback/{submission_id}/inquiries": {"alice"},  # about one's own mark
    "POST /inquiries/{number}/reopen": {"alice"},
    "POST /inquiries/{number}/withdraw": {"alice"},
    "GET /courses/{course}/inquiries": HELPERS,
    "GET /courses/{course}/inquiries/{number}": HELPERS,
    "POST /courses/{course}/inquiries/{number}/answer": HELPERS,
    "POST /courses/{course}/inquiries/{number}/close": HELPERS,
    "GET /courses/{course}/labs/{lab}/again": HELPERS,
    "GET /courses/{course}/labs/{lab}/marks.csv": HELPERS,
    "GET /courses/{course}/labs/{lab}/students/{username}": HELPERS,
    "POST /courses/{course}/labs/{lab}/students/{username}": HELPERS,
    "GET /courses/{course}/labs/{lab}/students/{username}/{page}.html": HELPERS,
    "POST /courses/{course}/labs/{lab}/students/{username}/feedback": TEACHER,
    "GET /courses/{course}/export.csv": HELPERS,
    "GET /courses/{course}/release": TEACHER,
    "GET /courses/{course}/labs/{lab}/release": TEACHER,
    "GET /courses/{course}/labs/{lab}/release/preview/{notebook}.html": TEACHER,
    "GET /courses/{course}/labs/{lab}/release/withdraw": TEACHER,
    "POST /courses/{course}/labs/{lab}/release": TEACHER,
    "POST /courses/{course}/labs/{lab}/release/version": NO_ONE,  # lab-one came through nbgrader
    "POST /courses/{course}/labs/{lab}/release/extensions": TEACHER,
    "POST /courses/{course}/labs/{lab}/release/extensions/{number}/remove": TEACHER,
    "POST /courses/{course}/labs/{lab}/release/withdraw": TEACHER,
    "GET /courses/{course}/now": HELPERS,
    "POST /courses/{course}/hands/{username}/seen": HELPERS,
    "POST /courses/{course}/hands/{username}/lower": HELPERS,
    "POST /courses/{course}/hands/{username}/close": HELPERS,
    "POST /courses/{course}/hands/{username}/enter": HELPERS,
    "POST /labs/{course}/{lab}/hand": CLASS,
    "POST /labs/{course}/{lab}/hand/lower": CLASS,
    "POST /labs/{course}/{lab}/hand/open": CLASS,
    "POST /labs/{course}/{lab}/hand/close": CLASS,
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
    "GET /courses/{course}/jobs/{number}/events": HELPERS,
    "POST /courses/{course}/jobs/{number}/cancel": HELPERS,
    "POST /courses/{course}/jobs/{number}/retry": HELPERS,
    "POST /courses/{course}/labs/{lab}/grade": HELPERS,
    "GET /courses/{course}/questions": CLASS,
    "GET /courses/{course}/questions/new": CLASS,
    "POST /courses/{course}/questions/new": CLASS,
    "GET /courses/{course}/questions/{number}": ALICES,  # hers, which is private
    "POST /courses/{course}/questions/{number}": ALICES,
    "POST /courses/{course}/questions/{number}/close": ALICES,
    "POST /courses/{course}/questions/{number}/show": HELPERS,
    "POST /courses/{course}/questions/{number}/withdraw": ALICES,
    "POST /courses/{course}/labs/{lab}/feedback": TEACHER,
    "POST /courses/{course}/formgrader": TEACHER,
    "GET /courses/{course}/log": TEACHER,
    "GET /administration": ADMIN,
    "GET /administration/log": ADMIN,
    "POST /administration/accounts/{username}/approve": ADMIN,
    "POST /administration/accounts/{username}/discard": ADMIN,
    "GET /administration/stop": ADMIN,
    "POST /administration/stop": ADMIN,
    "GET /administration/idle": ADMIN,
    "POST /administration/idle": ADMIN,
    "POST /administration/jobs/{number}/cancel": ADMIN,
    "POST /administration/jobs/{number}/retry": ADMIN,
    "GET /api/openapi.json": ALL,
    "GET /api/exchange/courses": LOGGED_IN,  # their own
    "GET /api/exchange/marks/{course}/{lab}": HELPERS,
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
    "POST /api/exchange/grading/{course}/{lab}": HELPERS,
    "GET /api/exchange/grading/{course}/{lab}/{number}": HELPERS,
    "GET /api/questions/{course}": CLASS,
    "POST /api/questions/{course}": CLASS,
    "GET /api/questions/{course}/{number}": ALICES,
    "POST /api/questions/{course}/{number}": ALICES,
}
LAST = (  # after them the others are not the same
    "DELETE /api/exchange/releases/{course}/{lab}",
    "POST /courses/{course}/labs/{lab}/release/withdraw",
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
    "POST /courses/{course}/questions/new",
    "POST /courses/{course}/questions/{number}",
    "POST /courses/{course}/questions/{number}/show",
    "POST /courses/{course}/questions/{number}/withdraw",
    "POST /courses/{course}/inquiries/{number}/answer",
    "POST /feedback/{submission_id}/inquiries",
    "POST /inquiries/{number}/reopen",
    "POST /courses/{course}/labs/{lab}/release/extensions",
    "POST /language",
    "POST /timezone",
    "POST /administration/stop",
    "POST /administration/idle",
}
NOTHING_TO_DO = {  # let in, and told that it is done already
    "POST /administration/accounts/{username}/discard",  # approved a moment before
    "POST /administration/jobs/{number}/cancel",
    "POST /administration/jobs/{number}/retry",
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


_BEFORE = re.compile(r"[^/]+(?=/\{number\})")  # in an address: what is numbered


def routes_of(app: FastAPI, school: Any) -> list[Route]:
    values = {
        "course": "ict101", "lab": "sums", "page": "sums", "server": "base", "name": "style.css",
        "username": "alice", "student": "alice", "notebook": "sums", "submission_id": school.alices.id,
        "q": "alice", "section": "A", "state": "by hand", "mine": "yes", "exercise": "mask",
        "sort": "points", "submission": "0" * 32,
        "track": "network", "level": "1",
        "person": "teacher", "what": "lab.grade", "day": "2026-01-01", "before": "9", "hours": "1",
        "all": "1", "force": "1", "after": "", "limit": "100",
        "live": "off", "view": "notebook",
    }  # fmt: skip
    found = []
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            asked = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            query = "&".join(f"{name}={values[name]}" for name in asked if name != "page")  # here a number
            name = f"{method.upper()} {path.removeprefix(PREFIX)}"
            number = school.numbers.get((_BEFORE.search(path) or [""])[0])
            found.append(
                Route(
                    name,
                    method.upper(),
                    path.format(**values, number=number) + (f"?{query}" if query else ""),
                )
            )
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
def site(sums: Any, school: Any, tiny_hub: Any) -> Iterator[Site]:
    """A portal whose jobs nobody begins; alice's are those of the lab that is in the gradebook."""
    school.alices = school.store.submissions_of("alice", "ict101", "sums")[0]
    hub = HubClient(f"{tiny_hub.url}/hub/api", client_id="service-portal", client_secret="s")
    more = {"due_at": None, "cutoff_at": datetime(2100, 1, 1, tzinfo=UTC), "by": "teacher"}
    school.numbers = {
        "jobs": school.store.jobs("ict101")[0].id,
        "{lab}": school.store.jobs("ict101")[0].id,
        "announcements": school.store.announce("ict101", "Welcome", "To all.", by="teacher").id,
        "inquiries": school.store.inquire(school.alices, "why", "Alice asks.").id,
        "questions": school.asked,
        "extensions": school.store.extend("ict101", "sums", username="bob", reason="Ill.", **more).id,
        "{course}": school.asked,
    }
    Accounts(school.settings).add("alice", "a-password-of-alices", authorized=False)
    tiny_hub.running = {"alice": {"base": {"ready": True, "pending": None}}}
    app = create_app(school.settings, school.store, hub)
    alices = [
        school.alices.id, school.alices.receipt, "alice@example.org", "Alice ",
        "18 / 20", "Expected /26", "Marked", "Why a mask", "Count the hosts",
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
    given = [(row.id, row.username, row.section) for row in store.extensions("ict101", "lab-one")]
    teacher = Person("teacher", frozenset({"formgrade-ict101"}))
    asked = store.questions("ict101", teacher, Wanted(), 0, 50)
    doubted = [(row.state, len(store.inquiry(row.id)[1])) for row in store.inquiries("ict101")]
    said.append(store.course("ict101").open)
    return [
        releases,
        jobs,
        [row.id for row in store.submissions("ict101")],
        people,
        said,
        asked,
        doubted,
        given,
        hands,
    ]


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
    assert {each for each in bad - odd if "/api/" not in each} <= FIELDS_MISSING | NOTHING_TO_DO
    if name in ("prof", "nobody", OUTSIDE):
        assert record_of(school.store) == before


@pytest.mark.parametrize("name", sorted(ALL - ALICES))
def test_no_answer_to_others_holds_anything_of_alices(site: Site, name: str) -> None:
    csrf = login(site.client, name)

    for route, answer in site.walk(name, csrf=csrf):
        if route.name == "GET /administration" and name == "admin":
            continue  # has the roster's address beside an account that waits
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

    assert {name for name, status in answers.items() if status != 401} == {
        "GET /api/exchange/receipt-key",
        "GET /api/openapi.json",
    }
    assert record_of(school.store) == before
