"""Scripted people at a demo site, without a browser: their accounts, log in, buttons, notebooks and submissions."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from benchmarks.site import DemoSite
from grader.store import MemberRow, Store
from hub.accounts import Accounts
from hub.settings import load_settings
from hub.site import load_site

PASSWORD = "a-password-for-a-while"  # noqa: S105 (of sites that live for an hour at most)
COURSE = "ict101"
PORTAL = "/services/portal/"
# As a student's server has it, and the way into the person's own servers.
SCOPES = [
    "read:users:name!user",
    "read:users:groups!user",
    "access:services!service=portal",
    "access:servers!user",
]


def enrol(folder: Path, names: Sequence[str]) -> None:
    """Make accounts, with PASSWORD, of students in the demo course of the site in `folder`."""
    settings = load_settings(folder / "ictlabs.toml")
    store, accounts = Store.open(settings.database_url, settings.places), Accounts(settings)
    store.enrol(COURSE, [MemberRow(name) for name in names])
    for name in names:
        accounts.add(name, PASSWORD)
    store.close()


_IN_QUEUE = re.compile(r"You are number <strong>\d+</strong> in the queue")


@dataclass(frozen=True)
class Started:
    """Seconds from the press of Start: until the browser is led to the server, and of these in the queue."""

    ready_s: float
    waited_s: float


class Person:
    """Somebody with a cookie jar at a site, and a token of their own. A context manager. Not for two threads at once."""

    def __init__(self, site: DemoSite, name: str) -> None:
        """`name`: with the password that the site printed, or else PASSWORD."""
        self.name = name
        self.http = httpx.Client(base_url=site.url, follow_redirects=True, timeout=120, trust_env=False)
        self._password = site.passwords.get(name, PASSWORD)
        plan = load_site(load_settings(site.folder / "ictlabs.toml"))
        self._exchange = f"{plan.portal_url}{PORTAL}api/exchange"  # as students' servers know it
        self._token = ""

    def login(self) -> None:
        """Log in at the hub, land on the portal, and get a token."""
        self.http.get("/hub/login").raise_for_status()
        form = {"username": self.name, "password": self._password, "_xsrf": self._xsrf()}
        landed = self.http.post("/hub/login", data=form)
        if landed.status_code != 200 or landed.url.path != PORTAL:
            raise RuntimeError(f"{self.name} could not log in: {landed.status_code} {landed.url.path}")
        wanted = {"note": "a scripted person", "scopes": SCOPES}
        self._token = (
            self.api("POST", f"users/{self.name}/tokens", json=wanted).raise_for_status().json()["token"]
        )

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the hub's API as the browser does."""
        return self.http.request(method, f"/hub/api/{path}", headers={"X-XSRFToken": self._xsrf()}, **more)

    def look(self, page: str = "") -> str:
        """Open a page of the portal; returns the token of its forms."""
        shown = self.http.get(PORTAL + page).raise_for_status()
        found = re.search(r'name="csrf" value="([^"]+)"', shown.text)
        assert found, shown.text[:2000]
        return found[1]

    def press(self, path: str, token: str) -> httpx.Response:
        """Press a button of a page that is open; returns where it leads, not followed."""
        return self.http.post(PORTAL + path, data={"csrf": token}, follow_redirects=False)

    def start_lab(self, lab: str, token: str, timeout_s: float = 1800) -> Started:
        """Press Start on a page that is open, and wait as its page does. Raises RuntimeError with what that says."""
        began, waited_s = time.perf_counter(), 0.0
        answer = self.press(f"labs/{COURSE}/{lab}/start", token)
        while time.perf_counter() - began < timeout_s:
            where = answer.headers.get("location", "")
            if where.startswith(f"/user/{self.name}/"):
                return Started(time.perf_counter() - began, waited_s)
            if answer.status_code == 303:
                page = where
            elif answer.status_code != 200 or 'class="notice danger"' in answer.text:
                raise RuntimeError(f"{self.name}: no start: {answer.status_code} {_words(answer.text)}")
            if _IN_QUEUE.search(answer.text):
                waited_s = time.perf_counter() - began
            time.sleep(1)
            answer = self.http.get(page, follow_redirects=False)
        raise RuntimeError(f"{self.name}: no server after {timeout_s:.0f} s")

    # Servers

    def start(self, environment: str, timeout_s: float = 300) -> dict[str, Any]:
        """Start a server by the hub's API, unless it runs, and wait until it is ready; returns what the hub says."""
        asked = self.api("POST", f"users/{self.name}/servers/{environment}")
        while asked.status_code == 429:  # the hub starts others: a person presses again
            time.sleep(1)
            asked = self.api("POST", f"users/{self.name}/servers/{environment}")
        if asked.status_code not in (201, 202) and "already running" not in asked.text:
            raise RuntimeError(f"{self.name}: no start: {asked.status_code} {asked.text[:300]}")
        return self.await_server(environment, timeout_s)

    def await_server(self, environment: str, timeout_s: float = 300) -> dict[str, Any]:
        """Wait until the hub calls a server ready."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            server = self.server(environment)
            if server.get("ready"):
                return server
            time.sleep(0.2)
        raise TimeoutError(f"{self.name}: the server was not ready after {timeout_s:.0f} s")

    def server(self, environment: str) -> dict[str, Any]:
        """What the hub says of a server; empty when there is none."""
        servers = self.api("GET", f"users/{self.name}").raise_for_status().json()["servers"]
        return dict(servers.get(environment, {}))

    def in_server(self, method: str, environment: str, path: str, **more: Any) -> httpx.Response:
        """Ask the person's own server, with the person's token."""
        return self.http.request(
            method,
            f"/user/{self.name}/{environment}/{path}",
            headers={"Authorization": f"token {self._token}"},
            follow_redirects=False,
            **more,
        )

    def stop(self, environment: str) -> None:
        """Stop a server and wait until it is gone."""
        while self.api("DELETE", f"users/{self.name}/servers/{environment}").status_code == 202:
            time.sleep(0.3)

    # The exchange

    def hand_in(self, lab: str, archive: bytes) -> httpx.Response:
        """Hand a lab of the demo course in; a 201 has the receipt."""
        return self._ask("POST", f"/submissions/{COURSE}/{lab}", content=archive)

    def grade(self, lab: str) -> httpx.Response:
        """Press Grade, as an instructor; a 201 has the job."""
        return self._ask("POST", f"/grading/{COURSE}/{lab}")

    def job(self, lab: str, number: int) -> dict[str, Any]:
        """How far a job is."""
        return dict(self._ask("GET", f"/grading/{COURSE}/{lab}/{number}").raise_for_status().json())

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self._token}", "Connection": "close"}
        return self.http.request(method, self._exchange + path, headers=headers, **more)

    def _xsrf(self) -> str:
        jar = self.http.cookies.jar
        return next((each.value or "" for each in jar if each.name == "_xsrf" and each.path == "/hub/"), "")

    def __enter__(self) -> Person:
        self.login()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()


def processes(words: str, environment: str = "") -> Iterator[int]:
    """Ids of the processes whose command line, joined by blanks, has `words`, and whose environment has `environment`."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found = words in command
            if found and environment:
                found = environment.encode() in (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if found:
            yield int(entry.name)


def portal_pid(folder: Path) -> int:
    """The portal of the site in `folder`."""
    return service_pid(folder, "portal")


def service_pid(folder: Path, name: str) -> int:
    """What the hub of the site in `folder` runs as `python -m hub.NAME`; 0 if it does not run."""
    settings = f"ICTLABS_SETTINGS={(folder / 'ictlabs.toml').resolve()}"
    return next(processes(f"-m hub.{name}", settings), 0)


def hub_pid(folder: Path) -> int:
    """The hub of the site in `folder`."""
    return int((folder / "var" / "run" / "hub.pid").read_text())


def traefik_pid(folder: Path) -> int:
    """The proxy of the site in `folder`."""
    return int((folder / "var" / "run" / "traefik.pid").read_text())


def memory_mb(folder: Path) -> dict[str, float]:
    """Resident memory of hub and portal of the site in `folder`, in MiB."""
    pids = {"hub": hub_pid(folder), "portal": portal_pid(folder)}
    pages = {part: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for part, pid in pids.items()}
    return {part: round(count * os.sysconf("SC_PAGE_SIZE") / 2**20, 1) for part, count in pages.items()}


def _words(page: str) -> str:
    """The start of a page's text."""
    body = page.partition("<main")[2] or page
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())[:400]


def percentiles(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """How often, and p50 and p95 of how long."""
    ordered = sorted(seconds)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)] if ordered else None
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 3) if ordered else None,
        "p95": None if p95 is None else round(p95, 3),
    }
