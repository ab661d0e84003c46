"""JupyterLab as students and instructors get it: the images' configuration, the kit, and a real exchange."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from ictlab.exchange.files import pack_folder
from nbformat.v4 import new_notebook, writes

from benchmarks.journey import browser

FOR_EVER = "public, max-age=31536000, immutable"
CONFIG = Path(__file__).resolve().parents[2] / "images" / "base" / "etc" / "jupyter"


@contextmanager
def jupyterlab(home: Path, port: int, url: str, role: str) -> Iterator[Callable[..., requests.Response]]:
    """A JupyterLab with the configuration of images/base; gives a function that asks it."""
    courses = [{"course": "abc101", "role": role}]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "USER": os.environ.get("USER", "root"),
        "JUPYTER_CONFIG_PATH": str(CONFIG),
        "JUPYTER_PATH": str(home.parent / "jupyter"),  # further extensions of JupyterLab
        "ICTLABS_EXCHANGE_URL": url,
        "ICTLABS_COURSES": json.dumps(courses),
        "JUPYTERHUB_API_TOKEN": "me",
    }
    options = [
        f"--port={port}",
        "--ip=127.0.0.1",
        "--no-browser",
        f"--ServerApp.root_dir={home}",
        "--allow-root",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options, "--IdentityProvider.token=t", "--port-retries=0"]
    with (home.parent / f"{role}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)

    def ask(path: str, headers: dict[str, str] | None = None, **rest: Any) -> requests.Response:
        headers = {"Authorization": "token t", **(headers or {})}
        return requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=30, **rest)

    try:
        for _ in range(300):
            try:
                ask("/api/status")
                break
            except requests.ConnectionError:
                assert process.poll() is None, (home.parent / f"{role}.log").read_text()
                time.sleep(0.1)
        yield ask
    finally:
        process.kill()  # asked to end, it may wait for a thread of its own that waits for it
        process.wait()


@pytest.fixture
def lab(service: Any, tmp_path: Path) -> str:
    """`ps1` with a notebook p1, released in abc101."""
    folder = tmp_path / "release"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "p1.ipynb").write_text(writes(new_notebook(metadata=kernel)))
    service.store.release(
        "abc101", "ps1", pack_folder(folder), title="", environment="base", max_points=1, by="me"
    )
    return "ps1"


def page_config(page: str) -> dict[str, Any]:
    """What JupyterLab's page tells its own code."""
    found = re.search(
        r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', page, re.DOTALL
    )
    assert found
    config: dict[str, Any] = json.loads(found[1])
    return config


def test_a_student_s_server_opens_a_lab(
    service: Any, lab: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Start leads to the notebook, Assignment List sees it, and there is no Formgrader and no news."""
    home = tmp_path / "home"
    home.mkdir()
    with jupyterlab(home, free_port(), service.url, "student") as ask:
        opened = ask("/ictlab/open?course=abc101&lab=ps1", allow_redirects=False)
        assert (opened.status_code, opened.headers["location"]) == (302, "/lab/tree/abc101/ps1/p1.ipynb")
        assert (home / "abc101/ps1/p1.ipynb").is_file()
        alone = ask("/ictlab/open?course=abc101&lab=ps1&view=notebook", allow_redirects=False)
        assert alone.headers["location"] == "/notebooks/abc101/ps1/p1.ipynb"
        (session,) = ask("/api/sessions").json()  # begun for JupyterLab, once
        assert (session["path"], session["kernel"]["name"]) == ("abc101/ps1/p1.ipynb", "python3")
        mine = requests.get(
            f"{service.url}/releases/abc101/ps1/archive", headers={"Authorization": "token me"}, timeout=10
        ).headers["ICTLabs-Variant"]
        assert (home / "abc101/ps1/.variant").read_text() == mine

        refused = ask("/ictlab/open?course=abc101&lab=<script>x</script>", allow_redirects=False)
        assert refused.status_code == 409
        assert "could not be opened" in refused.text and "<script>x" not in refused.text

        # both are loaded when they are first asked for, and ask who it is
        for path in ("assignments?course_id=abc101", "nbgrader_version?version=0.9.6"):
            answer = requests.get(
                ask("/api").url.removesuffix("api") + path, timeout=10, allow_redirects=False
            )
            assert answer.status_code in (302, 403)
        assert ask("/nbgrader_version?version=0.9.6").json() == {"success": True}
        assert ask("/assignments/validate").status_code == 405
        (assignment,) = ask("/assignments?course_id=abc101").json()["value"]
        assert (assignment["status"], assignment["path"]) == ("fetched", "abc101/ps1")

        assert ask("/formgrader").status_code == 404
        config = page_config(ask("/lab").text)
        assert {"@jupyter/nbgrader:formgrader", "@jupyter/nbgrader:course-list"} <= set(
            config["disabledExtensions"]
        )
        assert config["news"] == {"disabled": True}
        assert not config["buildCheck"]
        settings = ask("/lab/api/settings/@jupyterlab/apputils-extension:notification").json()
        defaults = settings["schema"]["properties"]
        assert (defaults["fetchNews"]["default"], defaults["checkForUpdates"]["default"]) == ("false", False)
    assert requests.get(f"{service.url}/releases", timeout=10).status_code == 401


def test_what_a_slow_line_carries_is_compressed_and_what_has_a_hash_is_kept_for_ever(
    service: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Of JupyterLab, of Notebook 7 and of extensions; what the image has compressed already is sent as it lies there."""
    home, extension = tmp_path / "home", tmp_path / "jupyter" / "labextensions" / "probe" / "static"
    home.mkdir()
    extension.mkdir(parents=True)
    for name, content in (
        ("a.0123456789abcdef.js", b"plain" * 1000),
        ("a.0123456789abcdef.js.br", b"as brotli made it"),
        ("a.0123456789abcdef.js.gz", b"as gzip made it"),
        ("style.js", b"plain" * 1000),
    ):
        (extension / name).write_bytes(content)

    with jupyterlab(home, free_port(), service.url, "student") as ask:

        def sent(path: str, coding: str = "gzip, br") -> tuple[str | None, str | None]:
            headers = ask(path, {"Accept-Encoding": coding}, stream=True).headers
            return headers.get("Content-Encoding"), headers.get("Cache-Control")

        for page in ("/lab", "/notebooks/none.ipynb"):
            text = ask(page).text
            (script,) = re.findall(r'src="([^"?]*/main\.[0-9a-f]+\.js)', text)
            assert sent(script, "gzip") == ("gzip", FOR_EVER)
            assert sent(script, "identity") == (None, FOR_EVER)
        assert sent("/lab/api/settings")[0] == "gzip"

        probe = "/lab/extensions/probe/static/a.0123456789abcdef.js"
        for coding, kind, body in (
            ("gzip, deflate, br", "br", b"as brotli made it"),
            ("gzip", "gzip", b"as gzip made it"),
            ("identity", None, b"plain" * 1000),
        ):
            answer = ask(probe, {"Accept-Encoding": coding}, stream=True)
            assert answer.raw.read(decode_content=False) == body
            assert answer.headers.get("Content-Encoding") == kind
            assert answer.headers["Content-Type"] in ("text/javascript", "application/javascript")
            assert answer.headers["Cache-Control"] == FOR_EVER
            assert "Accept-Encoding" in answer.headers["Vary"]
        assert sent("/lab/extensions/probe/static/style.js") == ("gzip", "no-cache")
        assert sent("/static/favicons/favicon-busy-1.ico")[1] == "public, max-age=86400"


@pytest.mark.browser
def test_what_a_notebook_needs_first_is_asked_for_ahead_and_once(
    service: Any, lab: str, tmp_path: Path, free_port: Callable[[], int], chromium: str
) -> None:
    """By JupyterLab and by Notebook 7 as they are installed: another version of them may ask for other things."""
    home = tmp_path / "home"
    home.mkdir()
    file = "api/contents/abc101/ps1/p1.ipynb"
    both = ["lab/api/settings", "lab/api/translations/default", "api/me"]
    both += [
        f"lab/api/settings/@jupyterlab/{name}"
        for name in ("codemirror-extension:plugin", "notebook-extension:panel")
    ]
    both.append(f"{file}?type=notebook&content=1&hash=1&contentProviderId=undefined")
    in_lab = ["lab/api/workspaces/default", "lab/api/settings/@jupyterlab/docmanager-extension:plugin"]
    with jupyterlab(home, free_port(), service.url, "student") as ask, browser(chromium) as window:
        site = ask("/api").url.removesuffix("api")
        for view, wanted in (("lab", both + in_lab), ("notebook", both)):
            page, asked = window.new_page(), Counter[str]()
            page.on(
                "request",
                lambda request, asked=asked: asked.update([f"{request.method} {without_time(request.url)}"]),
            )
            page.goto(f"{site}ictlab/open?course=abc101&lab=ps1&view={view}&token=t")
            page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=60_000)

            assert {each: asked[f"GET {site}{each}"] for each in wanted} == dict.fromkeys(wanted, 1), view
            page.close()


def without_time(address: str) -> str:
    """An address without what JupyterLab adds against caches."""
    return re.sub(r"[?&]\d{13}$", "", address)


def test_a_page_that_another_site_asks_for_is_not_compressed(
    service: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Its length would tell what of its address is in it a second time, and the student's token is in it."""
    home = tmp_path / "home"
    home.mkdir()
    with jupyterlab(home, free_port(), service.url, "student") as ask:
        codings = {
            site: ask("/lab", {"Accept-Encoding": "gzip", "Sec-Fetch-Site": site}).headers.get(
                "Content-Encoding"
            )
            for site in ("none", "same-origin", "same-site", "cross-site")
        }

    assert codings == {"none": "gzip", "same-origin": "gzip", "same-site": None, "cross-site": None}


def test_an_instructor_s_server_has_formgrader(
    service: Any, lab: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Formgrader shows the course below the home and what the exchange has released."""
    home = tmp_path / "home"
    (home / "courses" / "abc101" / "source" / "ps1").mkdir(parents=True)
    (home / "courses" / "abc101" / "source" / "ps1" / "p1.ipynb").write_text(writes(new_notebook()))
    with jupyterlab(home, free_port(), service.url, "instructor") as ask:
        page = ask("/formgrader")
        assert page.status_code == 200, page.text
        assert "Manage Assignments" in page.text
        (assignment,) = ask("/formgrader/api/assignments").json()
        assert (assignment["name"], assignment["status"]) == ("ps1", "released")
        assert "@jupyter/nbgrader:formgrader" not in page_config(ask("/lab").text)["disabledExtensions"]
