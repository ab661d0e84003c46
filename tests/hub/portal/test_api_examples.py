"""The examples of docs/api.md, as they stand there: each runs as a script of its own against a real portal with a class."""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from grader.sandbox import unavailable
from grader.settings import GraderSettings, SandboxSettings
from grader.store import Store
from hub.democlass import make_class
from hub.demoplan import ASSISTANT, TEACHER
from hub.portal.app import create_app
from hub.portal.hubclient import HubClient
from hub.settings import Settings

LAB, NOT_DUE = "net-subnetting", "data-sql-joins"
EXAMPLE = re.compile(r"^```python\n# example: (\w+\.py)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.slow


class Scripts:
    """The examples, and somebody's shell to run them in."""

    def __init__(self, url: str, store: Store, folder: Path, root: Path) -> None:
        self.url, self.store, self.folder = url, store, folder
        self.found = dict(EXAMPLE.findall((root / "docs/api.md").read_text(encoding="utf-8")))
        for name, code in self.found.items():
            (folder / name).write_text(code, encoding="utf-8")

    def run(self, name: str, *arguments: str, who: str) -> subprocess.CompletedProcess[str]:
        """Run an example with the token of `who`."""
        return subprocess.run(
            [sys.executable, str(self.folder / name), *arguments],
            env={**os.environ, "ICTLABS_URL": self.url, "ICTLABS_TOKEN": f"token-{who}", "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str, str], None]) -> Settings:
    """A site with a made-up class; of its two labs the second is not graded yet."""
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")
    folder = tmp_path_factory.mktemp("api")
    file = folder / "ictlabs.toml"
    file.write_text('[grader]\nworkers = 1\n[grader.sandbox]\nbackend = "process"\n', encoding="utf-8")
    walls = GraderSettings(sandbox=SandboxSettings(backend="process"), workers=1)
    settings = Settings(root=folder, grader=walls)
    make_class(settings, students=4, labs=(LAB, NOT_DUE), say=lambda _said: None)
    return settings


@pytest.fixture
def scripts(filled: Settings, tiny_hub: Any, tmp_path: Path, root: Path) -> Iterator[Scripts]:
    """A portal over that class, at an address, and what starts grading."""
    settings = {"ICTLABS_SETTINGS": str(filled.root / "ictlabs.toml")}
    tiny_hub.groups |= {
        "demo-01": ["nbgrader-demo"],
        TEACHER: ["formgrade-demo"],
        ASSISTANT: ["assist-demo"],
    }
    store = Store.open(filled.database_url, filled.places)
    hub = HubClient(f"{tiny_hub.url}/hub/api", client_id="service-portal", client_secret="s")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(create_app(filled, store, hub), log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    grading = subprocess.Popen([sys.executable, "-m", "hub.grading"], env=os.environ | settings)
    yield Scripts(f"http://127.0.0.1:{listener.getsockname()[1]}/services/portal", store, tmp_path, root)
    grading.terminate()
    grading.wait()
    server.should_exit = True
    thread.join(5)
    listener.close()
    store.close()


def test_a_student_lists_labs_and_checks_receipts(scripts: Scripts) -> None:
    done = scripts.run("receipts.py", who="demo-01")

    assert done.returncode == 0, done.stderr
    mine = scripts.store.submissions_of("demo-01", "demo")
    assert f"demo/{LAB}: 33 points, due 20" in done.stdout
    assert mine
    assert done.stdout.count("handed in by demo-01") == done.stdout.count("receipt is good") == len(mine)


def test_an_instructor_downloads_a_labs_submissions_and_grades_it(scripts: Scripts, tmp_path: Path) -> None:
    done = scripts.run("grade.py", "demo", NOT_DUE, str(tmp_path / "sent"), who=TEACHER)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = scripts.store.submissions("demo", NOT_DUE)
    files = {file.stem: file for file in (tmp_path / "sent").glob("*/*.zip")}
    assert set(files) == {row.id for row in rows}
    assert all(zipfile.ZipFile(file).namelist() == [f"{NOT_DUE}.ipynb"] for file in files.values())
    newest = {row.id for row in scripts.store.newest_submissions("demo", NOT_DUE)}
    assert {submission.id for submission, _ in scripts.store.reports("demo", NOT_DUE)} == newest
    assert done.stdout.endswith(f"done: {len(newest)} of {len(newest)}\nAll graded.\n")


@pytest.mark.parametrize("who", [TEACHER, ASSISTANT])
def test_an_instructor_takes_marks_home_as_csv(scripts: Scripts, who: str) -> None:
    done = scripts.run("marks.py", "demo", LAB, who=who)

    assert done.returncode == 0, done.stderr
    table = {row["username"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    newest = {row.id for row in scripts.store.newest_submissions("demo", LAB)}
    reports = [(s, r) for s, r in scripts.store.reports("demo", LAB) if s.id in newest]
    assert set(table) == {submission.username for submission, _ in reports}
    for submission, report in reports:
        row = table[submission.username]
        assert float(row["points"]) == report.points
        for mark in report.exercises:
            assert float(row[mark["exercise"]]) == mark["points"]


@pytest.mark.parametrize("example", [("grade.py", "demo", LAB, "sent"), ("marks.py", "demo", LAB)])
def test_a_student_is_told_why_not(scripts: Scripts, example: tuple[str, ...]) -> None:
    name, *arguments = example

    done = scripts.run(
        name, *(str(scripts.folder / a) if a == "sent" else a for a in arguments), who="demo-01"
    )

    assert done.returncode == 1
    assert "instructors" in done.stderr
    assert "Traceback" not in done.stderr


def test_marks_come_a_page_at_a_time(scripts: Scripts) -> None:
    address = f"{scripts.url}/api/exchange/marks/demo/{LAB}"
    told: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = httpx.get(
            address, params={"limit": 1, "after": after}, headers={"Authorization": f"token token-{TEACHER}"}
        ).json()
        assert len(page["marks"]) == 1
        told, after = told + page["marks"], page["next"]

    assert [row["username"] for row in told] == [
        row.username for row in scripts.store.newest_submissions("demo", LAB)
    ]


def test_the_description_has_each_route_of_the_api_and_no_page(scripts: Scripts) -> None:
    found = httpx.get(f"{scripts.url}/api/openapi.json").json()

    assert all("/api/" in path for path in found["paths"])
    assert len(found["paths"]) > 10
    for path, operations in found["paths"].items():
        for operation in operations.values():
            assert operation["tags"], path
            assert operation.get("description") or operation["summary"], path
    assert found["components"]["securitySchemes"]["token"]["name"] == "Authorization"
    answer = found["paths"]["/services/portal/api/exchange/marks/{course}/{lab}"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/MarksPageShape"}


def test_there_are_three_examples(scripts: Scripts) -> None:
    assert set(scripts.found) == {"receipts.py", "grade.py", "marks.py"}
