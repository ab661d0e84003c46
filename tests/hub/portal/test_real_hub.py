"""The portal as a service of a real JupyterHub, behind its real proxy: login, who reaches what, start and stop."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket

HERE = Path(__file__).parent
GROUPS = {
    "alice": ["nbgrader-ict101"],
    "bob": ["nbgrader-ict101"],
    "teacher": ["formgrade-ict101"],
    "tutor": ["assist-ict101"],
    "prof": ["formgrade-net201"],
    "nobody": [],
    "admin": [],
}
PORTAL = "/services/portal/"
SHUT = {403, 404}  # the hub does not say whether there is such a server

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A hub with its proxy and portal, over a class of conftest.py."""

    url: str
    school: Any
    log: Path

    @contextlib.contextmanager
    def person(self, name: str) -> Iterator[httpx.Client]:
        """Somebody logged in at the hub, then at the portal, as a browser would be."""
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=60) as client:
            form = client.get(PORTAL)
            assert form.url.path == "/hub/login", form.url
            answer = client.post(
                "/hub/login",
                params=form.url.params,
                data={"username": name, "password": "a-test-password", "_xsrf": client.cookies["_xsrf"]},
            )
            assert answer.url.path == PORTAL, (answer.url, answer.text[:500])
            yield client


def four_ports() -> int:
    """Four free ports in a row, below those that the system hands out to others meanwhile."""
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + 4):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fill: Callable[[Path], Any]) -> Iterator[Site]:
    """A hub that is up."""
    folder = tmp_path_factory.mktemp("hub")
    school = fill(folder)
    settings = folder / "ictlabs.toml"
    settings.write_text('[site]\ndata_dir = "var"\nname = "Test Academy"\n[hub]\nconcurrent_starts = 1\n')
    port = four_ports()
    log = folder / "hub.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TEST_PORT": str(port),
        "TEST_FOLDER": str(folder),
        "TEST_SETTINGS": str(settings),
        "TEST_GROUPS": json.dumps(GROUPS),
    }
    with log.open("wb") as out:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "hub_config.py")],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    found = Site(f"http://127.0.0.1:{port}", school, log)
    try:
        _wait(found, hub)
        yield found
    finally:
        hub.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            hub.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(hub.pid, signal.SIGKILL)  # and a proxy that a failed hub left behind
        hub.wait()


def _wait(site: Site, hub: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert hub.poll() is None, site.log.read_text()[-3000:]
        if is_up(site):
            return
        time.sleep(0.2)
    raise AssertionError(site.log.read_text()[-3000:])


def is_up(site: Site) -> bool:
    """Whether the portal and all it needs answer. Nobody grades here, so its health as a whole is not well."""
    try:
        health = httpx.get(f"{site.url}{PORTAL}health").json()
    except (httpx.HTTPError, ValueError):
        return False
    return bool(health["hub"] == health["database"] == "ok")


def csrf(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(PORTAL).text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("alice", {"labs/ict101/lab-one", "receipt", "feedback"}),
        ("bob", {"labs/ict101/lab-one"}),
        ("teacher", {"labs/ict101/lab-one", "receipt", "feedback", "courses/ict101"}),
        ("prof", {"courses/net201"}),
        ("nobody", set()),
    ],
)
def test_each_person_logs_in_and_reaches_their_own_pages(site: Site, name: str, reached: set[str]) -> None:
    alices = site.school.alices.id
    walk = {
        "labs/ict101/lab-one": "labs/ict101/lab-one",
        "receipt": f"submissions/{alices}/receipt",
        "feedback": f"feedback/{alices}",
        "courses/ict101": "courses/ict101",
        "courses/net201": "courses/net201",
    }

    with site.person(name) as client:
        home = client.get(PORTAL)
        answers = {page: client.get(PORTAL + path).status_code for page, path in walk.items()}

    assert name in home.text
    assert "Trial mode" in home.text
    assert {page for page, status in answers.items() if status == 200} == reached
    assert set(answers.values()) <= {200, 403, 404}


def test_start_brings_up_the_persons_own_server_and_stop_ends_it(site: Site) -> None:
    with site.person("alice") as client:
        token = csrf(client)
        client.follow_redirects = False
        answer = client.post(f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": token})
        seen = ""
        deadline = time.monotonic() + 90
        while "/user/" not in answer.headers.get("location", "") and time.monotonic() < deadline:
            time.sleep(0.3)
            answer = client.get(f"{PORTAL}starting/base?course=ict101&lab=lab-one")
            seen += answer.text
        assert answer.headers["location"] == "/user/alice/base/ictlab/open?course=ict101&lab=lab-one", (
            site.log.read_text()[-3000:]
        )
        assert 'http-equiv="refresh"' in seen
        assert "Server requested" in seen  # the hub's own message
        assert client.get("/user/alice/base/api").status_code == 200
        assert "Stop server" in client.get(PORTAL).text

        # Pressed again while it runs, Start leads straight on.
        again = client.post(f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": token})
        assert again.headers["location"].startswith("/user/alice/base/"), again.headers

        client.post(f"{PORTAL}servers/base/stop", data={"csrf": token})
        deadline = time.monotonic() + 30
        while "Stop server" in client.get(PORTAL).text and time.monotonic() < deadline:
            time.sleep(1)
        assert "Stop server" not in client.get(PORTAL).text


def scopes_at_the_portal(client: httpx.Client, name: str) -> set[str]:
    """What the login of this person at the portal may do, as the hub says."""
    client.get("/hub/home")
    tokens = client.get(f"/hub/api/users/{name}/tokens", headers={"Referer": "/hub/token"}).json()
    return {
        scope
        for token in tokens["api_tokens"]
        if "portal" in (token["oauth_client"] or "")
        for scope in token["scopes"]
    }


def test_a_students_login_may_do_nothing_with_what_is_others(site: Site) -> None:
    with site.person("alice") as client:
        scopes = scopes_at_the_portal(client, "alice")

    own = ("read:users:name", "read:users:groups", "servers", "access:servers")
    sharing = [f"{read}{whom}shares" for read in ("", "read:") for whom in ("", "users:", "groups:")]
    parts_of_servers = ("start:servers", "read:servers", "delete:servers")
    assert scopes == {f"{scope}!user=alice" for scope in (*own, *parts_of_servers, *sharing)} | {
        "access:services!service=portal"
    }


def test_an_administrator_sees_and_stops_a_students_server(site: Site) -> None:
    with site.person("alice") as alice, site.person("admin") as admin:
        start(alice)
        page = admin.get(f"{PORTAL}administration")
        question = admin.get(f"{PORTAL}administration/stop?username=alice&server=base")
        answer = admin.post(
            f"{PORTAL}administration/stop",
            data={"csrf": csrf(admin), "username": "alice", "server": "base"},
        )
        by_alice = alice.post(
            f"{PORTAL}administration/stop",
            data={"csrf": csrf(alice), "username": "admin", "server": "base"},
        )
        scopes = scopes_at_the_portal(admin, "admin")
        model = alice.get("/hub/api/users/alice", headers={"Referer": "/hub/home"}).json()

    assert 'aria-label="Stop base of alice"' in page.text
    assert "Stop this server?" in question.text
    assert "is stopped" in answer.text
    assert "base" not in model["servers"] or not model["servers"]["base"]["ready"]
    assert by_alice.status_code == 403
    assert {"list:users", "read:servers", "delete:servers"} <= scopes
    assert not {scope for scope in scopes if scope.startswith(("admin", "tokens", "access:servers"))} - {
        "access:servers!user=admin"
    }


def start(client: httpx.Client) -> None:
    """Press Start and wait until the server is up."""
    answer = client.post(
        f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": csrf(client)}, follow_redirects=False
    )
    if "/user/" not in answer.headers["location"]:
        assert "/user/alice/" in wait(client)


def wait(client: httpx.Client) -> str:
    """Where the starting page leads when the server is up."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        answer = client.get(f"{PORTAL}starting/base?course=ict101&lab=lab-one", follow_redirects=False)
        if "/user/" in answer.headers.get("location", ""):
            return answer.headers["location"]
        time.sleep(0.3)
    raise AssertionError(answer.text)


def test_who_comes_second_queues_and_both_get_their_server(site: Site) -> None:
    with site.person("alice") as alice, site.person("teacher") as teacher:
        for client in (teacher, alice):
            client.post(
                f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": csrf(client)}, follow_redirects=False
            )
        waiting = alice.get(f"{PORTAL}starting/base?course=ict101&lab=lab-one", follow_redirects=False)
        opened = [wait(client) for client in (alice, teacher)]
        for client in (alice, teacher):
            client.post(f"{PORTAL}servers/base/stop", data={"csrf": csrf(client)})

    assert "You are number <strong>1</strong> in the queue" in waiting.text
    assert [address.split("?")[0] for address in opened] == [
        f"/user/{name}/base/ictlab/open" for name in ("alice", "teacher")
    ]


def press(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Press a button of the portal and stand on the page it leads to."""
    answer = client.post(PORTAL + path, data={"csrf": csrf(client), **fields})
    assert answer.status_code == 200, (path, answer.url, answer.text[:500])
    return answer


def running_server(client: httpx.Client, name: str) -> None:
    """Start somebody's own server and wait for it."""
    client.post(f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": csrf(client)})
    way = f"{PORTAL}starting/base?course=ict101&lab=lab-one"
    until(lambda: client.get(way).url.path.startswith(f"/user/{name}/base/"), 90)
    assert reach(client, name) == 200


def reach(client: httpx.Client, owner: str) -> int:
    """What somebody's server answers a browser, which logs in there by the hub; 200 lets it work in there."""
    page = agree(client, client.get(f"/user/{owner}/base/lab"))
    if page.status_code == 200:
        assert page.url.path.startswith(f"/user/{owner}/base/"), page.url
        return client.get(f"/user/{owner}/base/api/kernels").status_code
    return page.status_code


def agree(client: httpx.Client, page: httpx.Response) -> httpx.Response:
    """Press *Authorize*, which the hub asks who logs in at somebody else's server, if it asks."""
    if page.url.path != "/hub/api/oauth2/authorize":
        return page
    fields = re.findall(r'name="(_xsrf|scopes)"\s+value="([^"]+)"', page.text)
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return client.post(str(page.url), data=found)


def until(holds: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def line_to(site: Site, client: httpx.Client, owner: str) -> websocket.WebSocket:
    """A connection that stays open, as a notebook in a browser has."""
    cookies = [
        f"{each.name}={each.value}" for each in client.cookies.jar if f"/user/{owner}/".startswith(each.path)
    ]
    here = "/".join(("", "user", owner, "base", "api/events/subscribe"))
    cookies += [f"{e.name}={e.value}" for e in client.cookies.jar if e.path == f"/user/{owner}/base/"]
    return websocket.create_connection(
        site.url.replace("http", "ws") + here, cookie="; ".join(cookies), origin=site.url, timeout=20
    )


def enter(client: httpx.Client, owner: str) -> httpx.Response:
    """Press *Open their server* and, when the hub asks, accept."""
    answer = client.post(f"{PORTAL}courses/ict101/hands/{owner}/enter", data={"csrf": csrf(client)})
    return accept(client, answer) if answer.url.path == "/hub/accept-share" else answer


def accept(client: httpx.Client, asks: httpx.Response) -> httpx.Response:
    """Press *Accept invitation*."""
    fields = dict(re.findall(r'name="(_xsrf|code)" value="([^"]+)"', asks.text))
    return agree(client, client.post(str(asks.url), data=fields))


def test_a_raised_hand_opens_the_server_to_instructors_and_either_ends_it(site: Site) -> None:
    store, lab, hands = site.school.store, "labs/ict101/lab-one", "courses/ict101/hands/alice"

    with (
        site.person("alice") as alice,
        site.person("teacher") as teacher,
        site.person("prof") as prof,
        site.person("bob") as bob,
    ):
        refused = press(alice, f"{lab}/hand", about="Why /26?", open="yes")
        assert "Your server is not running" in refused.text
        assert "Your hand is up" in refused.text
        running_server(alice, "alice")
        assert reach(teacher, "alice") in SHUT

        told = press(alice, f"{lab}/hand/open")
        assert "Nobody has opened it yet." in told.text, re.findall(r"(?s)class=.notice.*?</p>", told.text)
        assert reach(teacher, "alice") in SHUT, "not before they press it"
        assert "Why /26?" in teacher.get(f"{PORTAL}courses/ict101/now").text
        assert enter(teacher, "alice").url.path.startswith("/user/alice/base/")
        assert reach(teacher, "alice") == 200
        until(lambda: "In it: <bdi>teacher</bdi>" in alice.get(PORTAL + lab).text, 20)
        assert {reach(prof, "alice"), reach(bob, "alice")} <= SHUT
        assert prof.post(f"{PORTAL}{hands}/enter", data={"csrf": csrf(prof)}).status_code == 403
        code = store.opened("ict101")["alice"].code
        lines = {each: line_to(site, each, "alice") for each in (alice, teacher)}

        press(alice, f"{lab}/hand/close")  # the student ends it
        assert store.open_servers() == []
        until(lambda: reach(teacher, "alice") in SHUT, 10)
        assert teacher.get("/hub/accept-share", params={"code": code}).status_code == 404
        lines[teacher].settimeout(40)
        assert lines[teacher].recv_data()[0] == websocket.ABNF.OPCODE_CLOSE, "what was open ends too"
        lines[alice].ping()
        assert lines[alice].recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG, "not the owner's"
        assert "not open any more" in enter(teacher, "alice").text

        press(alice, f"{lab}/hand/open")
        enter(teacher, "alice")
        until(lambda: reach(teacher, "alice") == 200, 10)  # its server remembers a refusal for a moment
        press(teacher, f"{hands}/lower")  # the instructor ends it, and the hand is down
        assert store.open_servers() == []
        until(lambda: reach(teacher, "alice") in SHUT, 10)
        assert "<bdi>teacher</bdi> answered" in alice.get(PORTAL + lab).text

        press(alice, f"{lab}/hand", open="yes")
        enter(teacher, "alice")
        row = store.open_servers()[0]
        store.open_server("alice", row.server, "ict101", row.code, datetime.now(UTC))  # the hour is over
        until(lambda: store.open_servers() == [], 20)
        until(lambda: reach(teacher, "alice") in SHUT, 10)

        press(alice, f"{lab}/hand/open")
        assert len(store.open_servers()) == 1
        press(alice, "servers/base/stop")
        until(lambda: store.open_servers() == [], 30)
        running_server(alice, "alice")
        assert reach(teacher, "alice") in SHUT, "nothing of it is left when the server starts again"
        press(alice, "servers/base/stop")


def test_a_portal_that_was_killed_ends_what_it_opened(site: Site) -> None:
    store, lab = site.school.store, "labs/ict101/lab-one"
    with site.person("alice") as alice, site.person("teacher") as teacher:
        running_server(alice, "alice")
        press(alice, f"{lab}/hand", open="yes")
        enter(teacher, "alice")
        until(lambda: reach(teacher, "alice") == 200, 10)  # its server remembers a refusal for a moment

        os.kill(portal(site)[0], signal.SIGKILL)
        store.end_server("alice", "ict101")
        until(lambda: is_up(site), 60)
        until(lambda: reach(teacher, "alice") in SHUT, 30)

        code = store.open_servers()[
            0
        ].code  # the new portal cannot end it, and takes out who comes back with it
        accept(teacher, teacher.get("/hub/accept-share", params={"code": code}))
        until(lambda: reach(teacher, "alice") in SHUT, 30)
        teacher.get(PORTAL)
        press(alice, "servers/base/stop")


def test_the_portals_own_token_takes_people_out_and_lets_nobody_in(site: Site) -> None:
    with site.person("alice") as alice:
        running_server(alice, "alice")
        ask = {"headers": {"Authorization": f"token {portal(site)[1]}"}, "timeout": 30}
        api = f"{site.url}/hub/api"

        made = httpx.post(f"{api}/share-codes/alice/base", json={}, **ask)
        given = httpx.post(f"{api}/shares/alice/base", json={"user": "teacher"}, **ask)
        entered = httpx.get(f"{site.url}/user/alice/base/api/kernels", **ask)
        seen = httpx.get(f"{api}/shares/alice/base", **ask)
        press(alice, "servers/base/stop")

    assert (made.status_code, given.status_code, entered.status_code) == (403, 403, 403)
    assert seen.status_code == 200


def portal(site: Site) -> tuple[int, str]:
    """The process of the portal, and the token that the hub gave it."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines = (folder / "environ").read_text().split("\0")
            entries = dict(line.split("=", 1) for line in lines if "=" in line)
            ours = entries.get("ICTLABS_SETTINGS", "").startswith(str(site.log.parent))
            if ours and entries.get("JUPYTERHUB_SERVICE_NAME") == "portal":
                return int(folder.name), entries["JUPYTERHUB_API_TOKEN"]
    raise AssertionError("the portal does not run")


def test_a_server_that_cannot_start_says_why(site: Site) -> None:
    with site.person("bob") as client:
        client.post(f"{PORTAL}labs/ict101/lab-one/start", data={"csrf": csrf(client)})
        deadline = time.monotonic() + 30
        page = client.get(f"{PORTAL}starting/base?course=ict101&lab=lab-one")
        while 'http-equiv="refresh"' in page.text and time.monotonic() < deadline:
            time.sleep(0.3)
            page = client.get(f"{PORTAL}starting/base?course=ict101&lab=lab-one")

    assert "There is no room for your server. Try again later." in page.text


def test_forms_of_others_are_refused(site: Site) -> None:
    with site.person("teacher") as teacher, site.person("alice") as alice:
        stolen = csrf(alice)
        for token in ("", stolen):
            answer = teacher.post(f"{PORTAL}courses/ict101/labs/lab-one/grade", data={"csrf": token})
            assert answer.status_code == 403

    assert len(site.school.store.jobs("ict101")) == 1


def test_logging_out_at_the_hub_ends_the_portals_session(site: Site) -> None:
    with site.person("nobody") as client:
        client.get("/hub/logout")
        time.sleep(11)  # as long as the portal believes what the hub last said

        assert client.get(PORTAL).url.path == "/hub/login"


def token_of(client: httpx.Client, site: Site, name: str) -> str:
    """What the hub's page Token gives this person: the page sends this request."""
    client.get("/hub/home")
    made = client.post(
        f"/hub/api/users/{name}/tokens",
        json={"note": "test"},
        headers={"X-XSRFToken": client.cookies["_xsrf"], "Referer": f"{site.url}/hub/token"},
    )
    return str(made.json()["token"])


def test_the_exchange_takes_a_persons_token_and_nothing_else(site: Site) -> None:
    exchange = f"{PORTAL}api/exchange/submissions"
    with site.person("bob") as client:
        token = token_of(client, site, "bob")
        by_cookie = client.get(exchange)
    by_token = httpx.get(site.url + exchange, headers={"Authorization": f"token {token}"})
    by_guess = httpx.get(site.url + exchange, headers={"Authorization": f"token {'0' * 32}"})

    assert [row["id"] for row in by_token.json()] == [site.school.bobs.id]
    assert (by_cookie.status_code, by_guess.status_code) == (401, 401)


def test_a_token_of_the_hubs_page_is_what_the_examples_of_the_api_need(site: Site, root: Path) -> None:
    example = re.search(
        r"^```python\n# example: receipts.py\n(.*?)^```$", (root / "docs/api.md").read_text(), re.S | re.M
    )
    assert example
    with site.person("bob") as client:
        token = token_of(client, site, "bob")

    done = subprocess.run(
        [sys.executable, "-c", example[1]],
        env={**os.environ, "ICTLABS_URL": site.url + PORTAL.rstrip("/"), "ICTLABS_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "lab-one was handed in by bob" in done.stdout
