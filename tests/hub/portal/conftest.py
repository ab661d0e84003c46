"""A small class in a real record, a portal over it, and two hubs: a real one, and a tiny one that can misbehave."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page
from playwright.sync_api import Response as BrowserResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.journey import browser as chromium_window
from grader.archives import pack
from grader.feedback import release_feedback
from grader.gradebook import CourseGradebook
from grader.gradewriter import CellScores, Entry
from grader.models import Job, Report, Submission
from grader.people import Person
from grader.release import release_lab
from grader.store import MemberRow, Store
from hub.grading import Grading
from hub.portal.app import create_app
from hub.portal.hubclient import HubClient
from hub.portal.zones import ZONE_COOKIE
from hub.settings import Settings, SiteSettings

PREFIX = "/services/portal/"
TESTS = Path(__file__).resolve().parents[2]
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>"
GROUPS = {
    "alice": ["nbgrader-ict101"],
    "bob": ["nbgrader-ict101"],
    "teacher": ["formgrade-ict101"],
    "tutor": ["assist-ict101"],
    "prof": ["formgrade-net201"],
    "nobody": [],
    "admin": [],  # of the hub
}


@dataclass
class Class:
    """Course ict101 with two labs; alice handed in `lab-one`, was marked and may read it; bob handed in too.

    alice asked something privately, and it was answered.
    """

    settings: Settings
    store: Store
    alices: Submission
    bobs: Submission
    asked: int


def make_class(folder: Path) -> Class:
    """Fill a new record in `folder`."""
    settings = Settings(site=SiteSettings(data_dir=Path("var"), name="Test Academy"), root=folder)
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101", "Networks & systems")
    store.create_course("net201", "Another course")
    store.enrol(
        "ict101",
        [
            MemberRow("alice", name=f"Alice {XSS}", email="alice@example.org", section="A"),
            MemberRow("bob"),
            MemberRow("teacher", "instructor"),
        ],
    )
    store.enrol("net201", [MemberRow("prof", "instructor")])
    files = pack({"lab-one.ipynb": b"{}"})
    kept: dict[str, Any] = {"environment": "base", "max_points": 20, "by": "teacher"}
    store.release(
        "ict101",
        "lab-one",
        files,
        title=f"Subnets {XSS}",
        due_at=datetime.now(UTC) + timedelta(days=3),
        **kept,
    )
    store.release(
        "ict101", "lab-two", files, title="Permissions", due_at=datetime(2020, 1, 1, tzinfo=UTC), **kept
    )
    alices = store.submit("ict101", "lab-one", "alice", pack({"lab-one.ipynb": b"{}"}))
    bobs = store.submit("ict101", "lab-one", "bob", pack({"lab-one.ipynb": b"{ }"}))
    job, _ = store.open_job("ict101", "lab-one", "teacher")
    store.start_job(job.id)
    store.plan_items(job.id, [alices, bobs])
    store.items_finished(job.id, [(_report(submission, job), "worker") for submission in (alices, bobs)])
    store.mark_in_gradebook([alices.id, bobs.id])
    store.finish_job(job.id, "done")
    page = f"<!DOCTYPE html><html><body><h1>Marked</h1>{XSS}</body></html>".encode()
    store.release_feedback(alices.id, pack({"lab-one.html": page}), "teacher", points=18, max_points=20)
    store.inquire(alices, "mask", f"Is /25 not right too? {XSS}")
    Grading(store, settings).look()  # so that its health is well
    return Class(settings, store, alices, bobs, _ask(store))


def _ask(store: Store) -> int:
    alice, teacher = (Person(name, frozenset(GROUPS[name])) for name in ("alice", "teacher"))
    code = f"```\nprint(mask)\n```\n{XSS}"
    number = store.ask("ict101", alice, f"Why a mask of 26 bits? {XSS}", code, lab="lab-one", exercise="mask")
    store.answer("ict101", number, teacher, f"Count the hosts. {XSS}")
    return number


def _report(submission: Submission, job: Job) -> Report:
    return Report(
        submission_id=submission.id,
        job_id=job.id,
        state="graded",
        points=18.0,
        max_points=20.0,
        exercises=[
            {"exercise": "split", "points": 10.0, "max_points": 10.0, "message": ""},
            {
                "exercise": "mask",
                "points": 8.0,
                "max_points": 10.0,
                "message": f"Expected /26, found /25. {XSS}",
            },
        ],
        message="",
        release_sha256="0" * 64,
        notebooks={},
        graded_at=datetime.now(UTC),
        in_gradebook_at=None,
    )


@pytest.fixture
def school(tmp_path: Path) -> Class:
    """A new class."""
    return make_class(tmp_path)


@pytest.fixture(scope="module")
def fill() -> Callable[[Path], Class]:
    """`make_class`, for fixtures that live as long as a module."""
    return make_class


def put_sums(school: Class, folder: Path) -> None:
    """Release the lab `sums` (a check of 2 points, a written answer of 1) and put graded work into the gradebook.

    Alice's and bob's check earned nothing, what they wrote waits for a person; alice's feedback is out all the same.
    """
    spec = importlib.util.spec_from_file_location("lab_sums", TESTS / "grader" / "conftest.py")
    assert spec
    assert spec.loader
    labs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(labs)
    store, places = school.store, school.settings.places
    CourseGradebook(places, "ict101").create()
    release_lab(store, places, labs._write_lab(folder / "sums"), "ict101", by="teacher")
    raw = (places.course("ict101") / "release/sums/sums.ipynb").read_bytes()
    answered = raw.replace(b"YOUR ANSWER HERE", b"So it is.")
    handed_in = [store.submit("ict101", "sums", name, pack({"sums.ipynb": raw})) for name in ("alice", "bob")]
    job, _ = store.open_job("ict101", "sums", "teacher")
    store.start_job(job.id)
    store.plan_items(job.id, handed_in)
    cells = CellScores({"check-add": 0.0, "why": None}, {"add": False, "why": False})
    for row in handed_in:
        report = _report(row, job)
        report.state, report.points, report.max_points = "needs-manual", 0.0, 3.0
        report.exercises = [
            {"exercise": "check-add", "points": 0.0, "max_points": 2.0, "message": "AssertionError"},
            {"exercise": "why", "points": None, "max_points": 1.0, "message": "A person marks this."},
        ]
        report.notebooks, report.cells = {"sums": store.put_blob(answered)}, {"sums": cells.as_json()}
        store.items_finished(job.id, [(report, "worker")])
        entry = Entry(row.username, row.received_at, {}, {"sums": answered}, {"sums": cells})
        CourseGradebook(places, "ict101").write_reports("sums", [entry])
    store.mark_in_gradebook([row.id for row in handed_in])
    store.finish_job(job.id, "done")
    release_feedback(store, places, "ict101", "sums", by="teacher", students=("alice",), unmarked_too=True)


@pytest.fixture
def sums(school: Class, tmp_path: Path) -> Class:
    """The class with `put_sums`."""
    put_sums(school, tmp_path)
    return school


@pytest.fixture(scope="module")
def served_sums(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The served class with `put_sums`."""
    put_sums(served.school, tmp_path_factory.mktemp("sums"))
    return served


@dataclass
class TinyHub:
    """A stand-in for the hub's API, for answers that a real hub gives only when it is broken.

    Login, groups and servers that behave are tested against a real hub, in test_real_hub.py.
    """

    url: str
    scopes: list[str] = field(default_factory=lambda: ["access:services!service=portal"])
    groups: dict[str, list[str]] = field(default_factory=lambda: dict(GROUPS))
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=dict
    )  # by person; the admin sees all
    start_status: int = 202
    shares_status: int = 404  # of a hub where nothing is shared
    start_message: str = ""
    events: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    versions: int = 0  # how often somebody asked for it
    asked: list[str] = field(default_factory=list)
    verifiers: list[str] = field(default_factory=list)
    raw_user: bytes | None = None
    raw_users: bytes | None = None

    def app(self) -> FastAPI:
        """The API; a token is the word "token" and the user name."""
        app = FastAPI()

        @app.get("/hub/api/")
        async def version() -> Response:
            self.versions += 1
            return JSONResponse({"version": "6"})

        @app.post("/hub/api/oauth2/token")
        async def token(request: Request) -> Response:
            form = dict(part.split("=", 1) for part in (await request.body()).decode().split("&"))
            self.verifiers.append(form["code_verifier"])
            if not form["code"].startswith("code-"):
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse({"access_token": "token-" + form["code"].removeprefix("code-")})

        @app.get("/hub/api/user")
        async def user(request: Request) -> Response:
            if self.raw_user is not None:
                return Response(self.raw_user)
            name = request.headers["authorization"].split()[-1].removeprefix("token-")
            if name in self.revoked or name not in self.groups:
                return JSONResponse({"message": "Forbidden"}, 403)
            return JSONResponse(
                {
                    "kind": "user",
                    "name": name,
                    "admin": name == "admin",
                    "groups": self.groups[name],
                    "servers": self.running.get(name, self.servers),
                    "scopes": self.scopes,
                }
            )

        @app.get("/hub/api/users")
        async def users(request: Request, offset: int, limit: int) -> Response:
            if request.headers["authorization"].split()[-1] != "token-admin":
                return JSONResponse({"message": "Forbidden"}, 403)
            if self.raw_users is not None:
                return Response(self.raw_users)
            models = [{"name": name, "servers": each} for name, each in sorted(self.running.items())]
            return JSONResponse(models[offset : offset + limit])

        @app.post("/hub/api/users/{name}/servers/{server}")
        async def start(name: str, server: str) -> Response:
            self.asked.append(f"start {name}/{server}")
            return JSONResponse({"message": self.start_message}, self.start_status)

        @app.delete("/hub/api/users/{name}/servers/{server}")
        async def stop(name: str, server: str) -> Response:
            self.asked.append(f"stop {name}/{server}")
            return Response(status_code=204)

        @app.get("/hub/api/{kind}/{name}/{server}")
        async def shares(kind: str, name: str, server: str) -> Response:
            return JSONResponse({"message": f"No such {kind}: {name}/{server}"}, self.shares_status)

        @app.get("/hub/api/users/{name}/servers/{server}/progress")
        async def progress(name: str, server: str) -> Response:
            if not self.events:
                return JSONResponse({"message": "not starting"}, 400)
            return StreamingResponse(iter(self.events), media_type="text/event-stream")

        return app


@pytest.fixture
def tiny_hub() -> Iterator[TinyHub]:
    """The stand-in, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    hub = TinyHub(f"http://127.0.0.1:{listener.getsockname()[1]}")
    # idle connections live as long as the real hub's: uvicorn's 5 s are httpx's too, and then one may close in use
    config = uvicorn.Config(hub.app(), log_level="error", lifespan="off", timeout_keep_alive=3600)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield hub
    server.should_exit = True
    thread.join(5)
    listener.close()


class Browser:
    """Somebody at a browser, logged in through the tiny hub."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def login(self, name: str) -> Browser:
        """Walk through the login as a browser does."""
        asked = self.client.get(PREFIX, follow_redirects=False)
        state = re.search(r"state=([^&]+)", asked.headers["location"])
        assert state
        back = self.client.get(
            f"{PREFIX}oauth_callback?code=code-{name}&state={state[1]}", follow_redirects=False
        )
        assert back.status_code == 302, back.text
        return self

    def get(self, path: str = "", **how: Any) -> Any:
        """Open a page of the portal."""
        return self.client.get(PREFIX + path, follow_redirects=False, **how)

    def csrf(self) -> str:
        """The token in this browser's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get().text)
        assert found
        return found[1]

    def post(
        self, path: str, csrf: str | None = None, headers: dict[str, str] | None = None, **fields: str
    ) -> Any:
        """Press a button."""
        data = {"csrf": self.csrf() if csrf is None else csrf, **fields}
        return self.client.post(PREFIX + path, data=data, headers=headers, follow_redirects=False)


@pytest.fixture
def visit(school: Class, tiny_hub: TinyHub) -> Iterator[Callable[..., Browser]]:
    """`visit(name=None, mode="docker", **parts)`: a browser at the portal, logged in if a name is given."""
    with contextlib.ExitStack() as stack:

        def browser(name: str | None = None, mode: str = "docker", **parts: Any) -> Browser:
            hub = HubClient(f"{tiny_hub.url}/hub/api", client_id="service-portal", client_secret="s")
            app = create_app(school.settings, school.store, hub, mode=mode, **parts)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            client.cookies.set(ZONE_COOKIE, "UTC", "testserver.local", PREFIX)  # as zone.js says it
            found = Browser(client)
            return found.login(name) if name else found

        yield browser


@pytest.fixture(scope="session")
def walk() -> Callable[[Any], dict[str, str]]:
    """`walk` of test_pages.py: the name and the address of every page of a class."""
    spec = importlib.util.spec_from_file_location("portal_pages", Path(__file__).with_name("test_pages.py"))
    assert spec
    assert spec.loader
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    found: Callable[[Any], dict[str, str]] = pages.walk
    return found


@dataclass
class Served:
    """A portal over a class at an address that a browser can open, with the tiny hub below /hub/ of it."""

    url: str
    school: Class
    hub: TinyHub


def served_at_one_address(school: Class, listener: socket.socket) -> tuple[Served, ASGIApp]:
    """The portal and a hub that logs in whom the cookie `who` names, as one app: a browser sees one origin."""
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    hub = TinyHub(address)
    hub_app = hub.app()
    client = HubClient(f"{address}/hub/api", client_id="service-portal", client_secret="s")
    portal = create_app(school.settings, school.store, client)  # a press of Grade starts nothing

    @hub_app.get("/hub/api/oauth2/authorize")
    async def authorize(request: Request, redirect_uri: str, state: str) -> Response:
        return RedirectResponse(f"{redirect_uri}?code=code-{request.cookies['who']}&state={state}")

    @hub_app.get("/hub/logout")
    async def logged_out() -> Response:
        return HTMLResponse("<h1>Logged out of the hub</h1>")

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        of_the_hub = scope["type"] == "http" and scope["path"].startswith("/hub/")
        await (hub_app if of_the_hub else portal)(scope, receive, send)

    return Served(address + PREFIX, school, hub), front


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A portal over a new class, served by a real uvicorn, for a real browser; with the module's HUB settings."""
    listener = socket.create_server(("127.0.0.1", 0))
    school = make_class(tmp_path_factory.mktemp("served"))
    if hub := getattr(request.module, "HUB", None):
        school.settings = school.settings.model_copy(update={"hub": hub})
    found, app = served_at_one_address(school, listener)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield found
    server.should_exit = True
    thread.join(5)
    listener.close()


@pytest.fixture(scope="module")
def window(chromium: str) -> Iterator[Chromium]:
    """A real Chromium."""
    with chromium_window(chromium) as found:
        yield found


@pytest.fixture
def at(window: Chromium, served: Served) -> Iterator[Callable[..., Page]]:
    """`at(name, **how)`: somebody's own page in Chromium, logged in. how: see Browser.new_context of Playwright."""
    with contextlib.ExitStack() as stack:

        def page(name: str, **how: Any) -> Page:
            # the site's zone: else the first page loads once more, in the reader's
            context = window.new_context(**{"timezone_id": "UTC"} | how)
            stack.callback(context.close)
            context.add_cookies([{"name": "who", "value": name, "domain": "127.0.0.1", "path": "/"}])
            found = context.new_page()
            found.on("response", _tell_refusal)
            stack.callback(_show, found)
            found.goto(served.url)
            return found

        yield page


def _tell_refusal(answer: BrowserResponse) -> None:
    if answer.status >= 400:
        print(answer.status, answer.url)


def _show(page: Page) -> None:
    """Print what a page shows at the end: pytest keeps it for a test that failed."""
    with contextlib.suppress(PlaywrightError):
        print(page.url, page.locator("body").inner_text(timeout=1000)[:1500], sep="\n")
