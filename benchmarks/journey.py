"""The journey of a student and her instructor in a real browser, step by step, with the seconds of each.

    python -m benchmarks.journey [--spawner docker --spawner process] [--lab net-subnetting] [--pictures DIR]

prints one JSON line: {"journey": [{"spawner": "docker", "up": ..., "login": ..., "start": ..., "open": ...,
"work": ..., "submit": ..., "grade": ..., "feedback": ..., "marks": "20 / 20"}, ...], "unit": "s"}.
The end-to-end tests take the same steps and look at what each of them leaves behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.site import DemoSite
from labs.build import solved_notebook
from labs.library import Library

CHROMIUM = [  # what a headless Debian Chromium needs as root and without a way to the internet
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
COURSE = "ict101"
PATIENCE_MS = 120_000  # for a step, on a busy machine with two cores


@contextlib.contextmanager
def browser(executable: str = "/usr/bin/chromium") -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
        try:
            yield chromium
        finally:
            chromium.close()


class Person:
    """Somebody at a browser of their own, logged in to a demo site."""

    def __init__(self, chromium: Browser, site: DemoSite, name: str, pictures: Path | None = None) -> None:
        self.site = site
        self.name = name
        self.pictures = pictures
        self.context = chromium.new_context(viewport={"width": 1280, "height": 860})
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()

    def picture(self, what: str) -> None:
        """Keep a picture of the page as it is now, if somebody wants pictures."""
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self.pictures / f"{self.site.spawner}-{self.name}-{what}.png")

    def login(self) -> None:
        """Log in at the hub and land on the portal."""
        self.page.goto(self.site.url)
        self.page.locator("input[name=username]").fill(self.name)
        self.page.locator("input[name=password]").fill(self.site.passwords[self.name])
        self.page.locator("input[type=submit], button[type=submit]").first.click()
        self.page.wait_for_url("**/services/portal/**")
        self.picture("portal")

    def portal(self, path: str = "") -> None:
        """Open a page of the portal."""
        self.page.goto(f"{self.site.url}/services/portal/{path}")


class Student(Person):
    """A student who does a lab."""

    def start(self, lab: str) -> None:
        """Press Start; wait until her server answers and the browser is on its way to the notebook."""
        self.portal()
        self.page.locator(f"[data-lab='{lab}']").get_by_role("button", name="Start").click()
        self.page.wait_for_url(f"**/user/{self.name}/**", wait_until="commit")

    def open(self) -> None:
        """Wait until the notebook is there and its kernel idle."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self._await_kernel()
        self.page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        self.picture("notebook")

    def _await_kernel(self) -> None:
        """JupyterLab says idle before it has a kernel, and the first cell would not run: ask the server."""
        found = re.match(r".*?/user/[^/]+/[^/]+/", self.page.url)
        assert found is not None, self.page.url
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not any(
            kernel["execution_state"] == "idle" and kernel["connections"]
            for kernel in self.page.request.get(f"{found[0]}api/kernels").json()
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.page.url}: there was no kernel")
            self.page.wait_for_timeout(50)

    def work(self, lab: str) -> None:
        """Type the reference answer into each answer cell and run every cell, one after another."""
        cells = solved_notebook(Library().labs()[lab]).cells
        keyboard = self.page.keyboard
        notebook = self.page.locator(".jp-Notebook:visible")  # another lab may be open in a hidden tab
        notebook.locator(".jp-Cell").first.click()
        keyboard.press("Escape")
        for number, cell in enumerate(cells):
            # a browser that is behind would take the keys of this cell for the one before
            here = notebook.locator(f'.jp-Cell.jp-mod-selected[data-windowed-list-index="{number}"]')
            here.wait_for()
            if cell.metadata.get("nbgrader", {}).get("solution"):
                keyboard.press("Enter")
                here.locator(".cm-content:focus").wait_for()
                keyboard.press("Control+A")
                keyboard.insert_text(cell.source)
            # the last one too: then JupyterLab adds an empty cell, as students' notebooks have
            keyboard.press("Shift+Enter")
        keyboard.press("Escape")
        last = max(number for number, cell in enumerate(cells) if cell.cell_type == "code")
        ran = notebook.locator(f'.jp-Cell[data-windowed-list-index="{last}"] .jp-InputPrompt').first
        expect(ran).to_have_text(re.compile(r"\[\d+\]"), timeout=PATIENCE_MS)
        keyboard.press("Control+S")
        self.page.wait_for_selector(".jp-mod-dirty", state="hidden")
        self.picture("worked")

    def submit(self, lab: str) -> None:
        """Hand the lab in by nbgrader's own Assignment List."""
        self.page.get_by_role("menuitem", name="Nbgrader").click()
        self.page.get_by_text("Assignment List", exact=True).last.click()
        row = self.page.locator("#fetched_assignments_list .list_item", has_text=lab).first
        row.get_by_role("button", name="Submit").click()
        self.page.locator("#submitted_assignments_list", has_text=lab).wait_for()
        self.picture("submitted")

    def read_feedback(self, lab: str) -> str:
        """Read mark and feedback in the portal; returns the mark as shown, for example `20 / 20`."""
        self.portal()
        row = self.page.locator(f"[data-lab='{lab}']")
        mark = row.locator("[data-mark]").inner_text()
        self.picture("marked")
        row.get_by_role("link", name="Feedback").click()
        self.page.wait_for_load_state()
        self.picture("feedback")
        return " ".join(mark.split())


class Instructor(Person):
    """An instructor who grades a lab."""

    def grade(self, lab: str) -> None:
        """Press Grade and wait until the job is done."""
        self.portal(f"courses/{COURSE}")
        self.page.locator(f"[data-grade='{lab}']").get_by_role("button", name="Grade").click()
        state = self.page.locator("[data-job-state]").first
        expect(state).to_have_attribute(
            "data-job-state", re.compile("done|failed"), timeout=PATIENCE_MS
        )  # the page follows by itself
        self.picture("graded")
        expect(state).to_have_attribute("data-job-state", "done")

    def release_feedback(self, lab: str) -> None:
        """Press Release feedback and wait until it is out."""
        self.portal(f"courses/{COURSE}")
        self.page.locator(f"[data-grade='{lab}']").get_by_role("button", name="Release feedback").click()
        self.page.wait_for_load_state()
        self.picture("released")


def travel(folder: Path, spawner: str, lab: str, pictures: Path | None = None) -> dict[str, object]:
    """Take the whole journey on a new site in `folder`; returns the seconds of each step, and the mark."""
    seconds: dict[str, object] = {"spawner": spawner}

    def timed(step: str, began: float) -> None:
        seconds[step] = round(time.perf_counter() - began, 2)

    with DemoSite(folder, spawner) as site, browser() as chromium:
        seconds["up"] = round(site.started_s, 2)
        alice = Student(chromium, site, "alice", pictures)
        teacher = Instructor(chromium, site, "teacher", pictures)
        for step, act in (
            ("login", alice.login),
            ("start", lambda: alice.start(lab)),
            ("open", alice.open),
            ("work", lambda: alice.work(lab)),
            ("submit", lambda: alice.submit(lab)),
        ):
            began = time.perf_counter()
            act()
            timed(step, began)
        teacher.login()
        began = time.perf_counter()
        teacher.grade(lab)
        timed("grade", began)
        began = time.perf_counter()
        teacher.release_feedback(lab)
        seconds["marks"] = alice.read_feedback(lab)
        timed("feedback", began)
    return seconds


def main() -> int:
    """Print the journey's JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spawner", action="append", choices=["docker", "process"], help="default: both")
    parser.add_argument("--lab", default="net-subnetting")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each step")
    chosen = parser.parse_args()
    journeys = []
    for spawner in chosen.spawner or ["docker", "process"]:
        print(f"journey with spawner {spawner} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="ictlabs-journey-") as folder:
            journeys.append(travel(Path(folder) / "site", spawner, chosen.lab, chosen.pictures))
    print(json.dumps({"journey": journeys, "unit": "s"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
