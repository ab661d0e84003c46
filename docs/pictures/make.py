"""Takes the pictures of the portal that README.md shows: which page, of whom, in which look.

    python -m docs.pictures.make [--into docs/pictures] [--students 30] [--spawner docker] [--only NAME]

starts a demo site in a temporary folder, fills it with the class of `ict demo`, and writes one WebP file for each row.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page

from benchmarks.journey import Person, browser
from benchmarks.site import DemoSite
from grader.store import Store
from hub.demoplan import TEACHER
from hub.settings import load_settings

HERE = Path(__file__).resolve().parent
COURSE, STUDENT = "demo", "demo-01"
ACCOUNT = re.compile(r"^\s*(demo-\w+)\s+(\S{8,})\s*$", re.MULTILINE)
MOST_BYTES = 120_000  # of one picture
QUALITIES = (90, 75, 60)  # the first that stays below
LAB = "net-subnetting"  # its marks are out

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "arabic": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light", "locale": "ar"},
    "phone": {"viewport": {"width": 390, "height": 760}, "color_scheme": "light", "device_scale_factor": 2},
}


class Row(NamedTuple):
    """A picture. path: below the portal, with {course}, {lab} (marks are out), {open} (due later) and {mine} (a submission)."""

    name: str
    person: str
    path: str
    look: str = "light"


PICTURES = (
    Row("home", STUDENT, ""),
    Row("home-arabic", STUDENT, "", "arabic"),
    Row("lab-phone", STUDENT, "labs/{course}/{lab}", "phone"),
    Row("feedback", STUDENT, "feedback/{mine}"),
    Row("progress", STUDENT, "progress", "dark"),
    Row("course", TEACHER, "courses/{course}"),
    Row("now", TEACHER, "courses/{course}/now"),
    Row("release", TEACHER, "courses/{course}/labs/{open}/release"),
    Row("grading", TEACHER, "courses/{course}/labs/{lab}"),
    Row("insight-lab", TEACHER, "courses/{course}/labs/{lab}/insight", "dark"),
)


def take(folder: Path, into: Path, spawner: str, students: int, only: frozenset[str]) -> list[Path]:
    """Take the pictures on a new site in `folder`."""
    with DemoSite(folder, spawner) as site, browser() as chromium:
        made = site.ict("demo", "--students", str(students), "--course", COURSE, timeout_s=1800)
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)
        print(next(line for line in made.stdout.splitlines() if " marks" in line), file=sys.stderr)
        site.passwords |= dict(ACCOUNT.findall(made.stdout))
        places = addresses(folder)
        people = {name: logged_in(chromium, site, name) for name in (STUDENT, TEACHER)}
        taken = []
        for row in PICTURES:
            if only and row.name not in only:
                continue
            context = chromium.new_context(storage_state=people[row.person], **LOOKS[row.look])
            page = context.new_page()
            page.goto(f"{site.url}/services/portal/{row.path.format(**places)}")
            taken.append(into / f"{row.name}.webp")
            taken[-1].write_bytes(picture(page, row.name))
            context.close()
        return taken


def addresses(folder: Path) -> dict[str, str]:
    """What stands in the rows' paths."""
    settings = load_settings(folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    mine = store.submissions_of(STUDENT, COURSE, LAB)[-1].id
    last = max(store.releases(COURSE), key=lambda release: release.due_at or release.released_at)
    store.close()
    return {"course": COURSE, "lab": LAB, "open": last.lab, "mine": mine}


def logged_in(chromium: Browser, site: DemoSite, name: str) -> Any:
    """The cookies of somebody who is logged in."""
    person = Person(chromium, site, name)
    person.login()
    state = person.context.storage_state()
    person.context.close()
    return state


def picture(page: Page, name: str) -> bytes:
    """What the window shows, as WebP. Playwright's own screenshots are PNG, several times as large."""
    chrome = page.context.new_cdp_session(page)
    for quality in QUALITIES:
        shot = chrome.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
        found = base64.b64decode(shot["data"])
        if len(found) <= MOST_BYTES:
            return found
    raise RuntimeError(f"{name}: {len(found)} bytes; {MOST_BYTES} is the most. Show less of the page.")


def main() -> int:
    """Say what was taken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=HERE)
    parser.add_argument(
        "--spawner", choices=["docker", "process"], default="docker", help="process shows its warning"
    )
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--only", action="append", default=[], choices=[row.name for row in PICTURES])
    chosen = parser.parse_args()
    chosen.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ictlabs-pictures-") as folder:
        for file in take(
            Path(folder) / "site", chosen.into, chosen.spawner, chosen.students, frozenset(chosen.only)
        ):
            print(f"{file} {file.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
