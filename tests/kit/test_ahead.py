"""What a notebook's page asks for ahead, in a real browser: who gets an answer, and when it is asked for anew.

That JupyterLab and Notebook ask for just this is in tests/conformance/test_student_server.py.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from benchmarks.journey import browser

pytestmark = pytest.mark.browser
EXTENSION = Path(__file__).resolve().parents[2] / "labs" / "kit" / "labextension"
SITE, BASE = "http://ahead.test", "/user/alice/base/"
FILE = f"{SITE}{BASE}api/contents/ict101/lab.ipynb"


@pytest.fixture(scope="module")
def window(chromium: str) -> Iterator[Browser]:
    """Chromium."""
    with browser(chromium) as opened:
        yield opened


def script() -> Path:
    """The file that the extension has JupyterLab load."""
    package = json.loads((EXTENSION / "package.json").read_text())
    return EXTENSION / package["jupyterlab"]["_build"]["load"]


def test_the_file_is_named_by_its_hash_as_it_stays_in_browsers_for_ever() -> None:
    found = script()

    assert list(found.parent.iterdir()) == [found]
    assert found.name == f"ahead.{hashlib.sha256(found.read_bytes()).hexdigest()[:16]}.js"


class Counted:
    """A page with the script and nothing else, at a lab's address; asked: how often each address was, by method."""

    def __init__(self, window: Browser, answer: Callable[[Request], tuple[int, str]]) -> None:
        self.asked: Counter[str] = Counter()
        self.answer = answer
        self.page: Page = window.new_page()
        self.page.route(f"{SITE}/**", self._answer)
        self.page.goto(f"{SITE}{BASE}lab/tree/ict101/lab.ipynb")

    def _answer(self, route: Route) -> None:
        request = route.request
        if request.is_navigation_request():
            config = json.dumps({"baseUrl": BASE, "token": "t"})
            data = f'<script id="jupyter-config-data" type="application/json">{config}</script>'
            route.fulfill(content_type="text/html", body=f"{data}<script>{script().read_text()}</script>")
            return
        self.asked[f"{request.method} {request.url}"] += 1
        status, body = self.answer(request)
        route.fulfill(status=status, body=body)

    def fetch(self, address: str, method: str = "GET") -> str:
        """Ask as JupyterLab does: with a Request, and with the time in the address."""
        asks = "([address, method]) => fetch(new Request(address, {method})).then(answer => answer.text())"
        text: str = self.page.evaluate(asks, [address, method])
        return text


def test_an_answer_serves_all_who_ask_at_the_start(window: Browser) -> None:
    counted = Counted(window, lambda _: (200, "here"))

    said = [counted.fetch(f"{SITE}{BASE}api/kernelspecs?{time}") for time in (1795706029680, 1795706029681)]

    assert said == ["here", "here"]
    assert counted.asked[f"GET {SITE}{BASE}api/kernelspecs"] == 1


def test_an_answer_grows_old(window: Browser) -> None:
    counted = Counted(window, lambda _: (200, "here"))
    counted.page.clock.install()

    counted.fetch(f"{FILE}/checkpoints?1795706029680")
    counted.page.clock.fast_forward(4000)
    counted.fetch(f"{FILE}/checkpoints?1795706029681")

    assert counted.asked[f"GET {FILE}/checkpoints?1795706029681"] == 1


def test_after_a_change_files_are_asked_for_anew_and_settings_are_not(window: Browser) -> None:
    counted = Counted(window, lambda request: (200, request.method))

    counted.fetch(f"{FILE}?1795706029680", "PUT")
    for address in (f"{FILE}/checkpoints", f"{SITE}{BASE}lab/api/settings"):
        counted.fetch(f"{address}?1795706029681")

    assert counted.asked[f"GET {FILE}/checkpoints?1795706029681"] == 1
    assert counted.asked[f"GET {SITE}{BASE}lab/api/settings?1795706029681"] == 0


def test_an_answer_that_failed_is_asked_for_again(window: Browser) -> None:
    counted = Counted(window, lambda request: (200, "now") if "?1795" in request.url else (503, "not yet"))

    assert counted.fetch(f"{SITE}{BASE}api/sessions?1795706029680") == "now"
