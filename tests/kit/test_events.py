"""What runs in a student's notebook reaches the site as names of checks; without a site nothing happens at all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

KIT = Path(__file__).parents[2] / "labs/kit/src"
CHECK = """check = Check(2)
plan = check.answer("plan", dict)
if plan is not None:
    check.that("room for all", plan.get("room", 0) >= 50, expected="50", found=plan, look="the prefix", points=1)
    check.that("a name", "name" in plan, expected="a name", found=plan, look="the name", points=1)
check.earned"""
SECRET = "the-answer-of-this-student"


class Heard(ThreadingHTTPServer):
    """A service that keeps what it is told, and answers with `status`."""

    def __init__(self, status: int = 202, wait_s: float = 0) -> None:
        self.status, self.wait_s = status, wait_s
        self.told: list[dict[str, Any]] = []
        self.raw: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, as a server's environment has it."""
        return f"http://127.0.0.1:{self.server_port}/api/exchange"

    def events(self, least: int) -> list[dict[str, Any]]:
        """All events told, once there are `least`."""
        deadline = time.monotonic() + 30
        while len(found := [e for batch in self.told for e in batch["events"]]) < least:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Heard

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.raw.append(f"{self.path} {self.headers['authorization']} {body}")
        self.server.told.append(json.loads(body))
        time.sleep(self.server.wait_s)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"told": "Your hand is up."}')

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.shutdown()


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab in a home: one exercise, and a cell of the student's own."""
    folder = tmp_path / "ict101" / "net-plan"
    folder.mkdir(parents=True)
    answer = nbformat.v4.new_code_cell(
        "plan = ...", id="answer-plan", metadata={"nbgrader": {"grade_id": "answer-plan", "solution": True}}
    )
    check = nbformat.v4.new_code_cell(
        CHECK,
        id="check-plan",
        metadata={
            "nbgrader": {"grade_id": "check-plan", "grade": True, "points": 2},
            "ictlabs": {"exercise": "plan"},
        },
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[answer, check]), folder / "net-plan.ipynb")
    return folder


Run = Callable[..., float]


@pytest.fixture
def kernel(lab: Path) -> Iterator[Callable[..., Run]]:
    """`kernel(**environment)`: a real kernel in the lab; what comes back runs a cell and says how long that took."""
    started = []

    def start(**environment: str) -> Run:
        import os

        clean = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTERHUB_", "ICTLABS_", "JPY_"))}
        manager, client = start_new_kernel(
            cwd=str(lab), env={**clean, "PYTHONPATH": str(KIT), **environment}, kernel_name="python3"
        )
        started.append((manager, client))

        def run(code: str, cell_id: str = "") -> float:
            began = time.monotonic()
            message = client.session.msg(
                "execute_request",
                {
                    "code": code,
                    "silent": False,
                    "store_history": True,
                    "user_expressions": {},
                    "allow_stdin": False,
                },
                metadata={"cellId": cell_id},
            )
            client.shell_channel.send(message)
            reply = client.get_shell_msg(timeout=60)
            assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
            run.status = reply["content"]["status"]  # type: ignore[attr-defined]
            return time.monotonic() - began

        return run

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def at(service: Heard) -> dict[str, str]:
    return {"ICTLABS_EXCHANGE_URL": service.url, "JUPYTERHUB_API_TOKEN": "alices"}


def test_a_check_cell_tells_which_checks_hold_and_nothing_of_the_answer(
    service: Heard, kernel: Callable[..., Run]
) -> None:
    run = kernel(**at(service))

    run("from ictlab.check import Check")
    run(CHECK, "check-plan")
    run(f"plan = {{'room': 14, 'name': '{SECRET}'}}", "answer-plan")
    run(CHECK, "check-plan")
    run("print('my own cell')", "somewhere")
    events = service.events(5)

    assert events == [
        {"cell": "", "checks": []},
        {"cell": "check-plan", "checks": [{"name": "plan: an answer", "holds": False}]},
        {"cell": "answer-plan", "checks": []},
        {
            "cell": "check-plan",
            "checks": [{"name": "room for all", "holds": False}, {"name": "a name", "holds": True}],
        },
        {"cell": "", "checks": []},
    ]
    assert {(batch["course"], batch["lab"]) for batch in service.told} == {("ict101", "net-plan")}
    assert all(line.startswith("/api/exchange/events token alices ") for line in service.raw)
    assert SECRET not in "".join(service.raw)
    assert "my own cell" not in "".join(service.raw)


def test_a_check_cell_that_breaks_off_is_told_as_not_holding(
    service: Heard, kernel: Callable[..., Run]
) -> None:
    run = kernel(**at(service))

    run("from ictlab.check import Check")
    run(CHECK.replace("check.answer", "check.nothing"))  # not a cell of the lab
    run("del Check")
    run(CHECK)
    events = service.events(4)

    assert events[1] == {"cell": "", "checks": []}
    assert events[3] == {
        "cell": "check-plan",
        "checks": [{"name": "the cell runs to its end", "holds": False}],
    }


def test_the_panel_of_the_lab_tells_what_its_check_button_ran(
    service: Heard, kernel: Callable[..., Run]
) -> None:
    run = kernel(**at(service))

    run("from ictlab.check import Check; from ictlab.show import progress; plan = {'room': 60}")
    run("panel = progress(); panel.check('plan')")
    events = service.events(3)

    told = {event["cell"]: event["checks"] for event in events}
    assert told["check-plan"] == [
        {"name": "room for all", "holds": True},
        {"name": "a name", "holds": False},
    ]


@pytest.mark.parametrize("trouble", ["nobody listens", "never answers", "refuses"])
def test_a_service_in_trouble_stops_no_cell_and_says_nothing(
    kernel: Callable[..., Run], trouble: str, lab: Path
) -> None:
    service = Heard(403 if trouble == "refuses" else 202, wait_s=60 if trouble == "never answers" else 0)
    if trouble == "nobody listens":
        service.shutdown()
        service.server_close()
    run = kernel(**at(service))
    run("from ictlab.check import Check")

    for _ in range(120):  # more than may wait
        run(CHECK, "check-plan")
        assert run.status == "ok"  # type: ignore[attr-defined]
    run("import threading; assert sum(t.name == 'ictlab.events' for t in threading.enumerate()) == 1")

    assert run.status == "ok"  # type: ignore[attr-defined]
    if trouble == "refuses":
        service.events(1)
        heard = len(service.told)
        run(CHECK, "check-plan")
        time.sleep(3)
        assert len(service.told) == heard, "who was refused does not ask again at once"


def test_without_a_service_as_when_work_is_graded_nothing_is_made(kernel: Callable[..., Run]) -> None:
    run = kernel()

    run("from ictlab.check import Check")
    run(CHECK)
    run(
        "import threading, ictlab.events as e\n"
        "assert e._reporter is None\n"
        "assert not any(t.name == 'ictlab.events' for t in threading.enumerate())\n"
        "assert not get_ipython().events.callbacks['post_run_cell'] or "
        "not any('ictlab' in str(f) for f in get_ipython().events.callbacks['post_run_cell'])"
    )

    assert run.status == "ok"  # type: ignore[attr-defined]


def test_the_kit_is_imported_without_what_only_its_panels_need() -> None:
    code = "import sys, ictlab, ictlab.check; print(sorted({'requests', 'ipywidgets', 'nbgrader'} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(KIT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def test_a_hand_is_raised_and_lowered_from_the_notebook(service: Heard, kernel: Callable[..., Run]) -> None:
    run = kernel(**at(service))

    run("import ictlab\nassert ictlab.hand('Why /26?') == 'Your hand is up.', ictlab.hand('Why /26?')")
    assert run.status == "ok"  # type: ignore[attr-defined]
    run("ictlab.lower_hand()")

    assert service.told == [
        {"course": "ict101", "lab": "net-plan", "about": "Why /26?"},
        {"course": "ict101", "lab": "net-plan", "about": None},
    ]
    assert service.raw[0].startswith("/api/exchange/hands ")
