"""What graders and students do about marks, from page to page, in a real browser: with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from grader.pipeline import grade_job
from grader.sandbox import unavailable
from grader.settings import GraderSettings, SandboxSettings

pytestmark = pytest.mark.browser

WALLS = SandboxSettings(backend="process", cell_timeout_s=3, total_timeout_s=25, memory_mb=400, pids=64)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def keep(page: Page, root: Path, name: str) -> None:
    """Keep a picture of a page for whoever looks at the run."""
    folder = root / "test-artifacts"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"grading-{name}.png", full_page=True)


@pytest.fixture
def walls(missing: Callable[[str, str], None]) -> None:
    """A sandbox without a Docker Engine, to grade in."""
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")


def hers(served: Any) -> str:
    found: str = served.school.store.submissions_of("alice", "ict101", "sums")[0].id
    return found


def grade_again(teacher: Page, served: Any) -> None:
    """Choose alice in the table and have her work graded once more, for real."""
    store, places = served.school.store, served.school.settings.places
    jobs = len(store.jobs("ict101", "sums"))
    teacher.goto(f"{served.url}courses/ict101/labs/sums")
    teacher.get_by_role("checkbox", name="Choose alice").check()
    teacher.get_by_role("button", name="Grade chosen again").click()
    expect(teacher).to_have_url(f"{served.url}courses/ict101/labs/sums")
    job = store.jobs("ict101", "sums")[0]
    assert (len(store.jobs("ict101", "sums")), job.students, job.regrade) == (jobs + 1, ["alice"], True)
    grade_job(
        store, GraderSettings(sandbox=WALLS, workers=1), places, "ict101", "sums",
        requested_by="teacher", image_of=lambda _release: "none", job_id=job.id,
    )  # fmt: skip
    expect(teacher.locator("[data-job-state]").first).to_have_text("done", timeout=60_000)


def comment_and_release(teacher: Page, comment: str) -> None:
    """From the table to alice's submission; a comment; out to her."""
    teacher.locator("table.marks").get_by_role("link", name="Alice").click()
    teacher.get_by_role("textbox", name="Comment on add").fill(comment)
    teacher.get_by_role("button", name="Save", exact=True).click()
    expect(teacher.get_by_role("status")).to_have_text("Saved for alice.")
    expect(teacher.locator(".notice.warn")).to_contain_text("does not have what is here now")
    teacher.get_by_role("button", name="Release feedback").click()
    expect(teacher.get_by_role("status")).to_have_text("Feedback is out: alice.")


def ask(alice: Page, exercise: str) -> None:
    """Ask about an exercise, on the page with the feedback."""
    if not alice.get_by_label("About").is_visible():
        alice.get_by_text("Ask those who grade to look at a mark again").click()
    alice.get_by_label("About").select_option(exercise)
    alice.get_by_label("Why do you think").fill("I did what the text asks for.")
    alice.locator("form[action$=inquiries]").get_by_role("button", name="Send").click()
    expect(alice.get_by_role("status")).to_contain_text("Your inquiry is with those who grade.")


def answer(teacher: Page, served: Any, exercise: str, points: float) -> None:
    """From the course to the inquiry; more points, and why."""
    teacher.goto(f"{served.url}courses/ict101")
    teacher.get_by_role("link", name=re.compile(r"Inquiries \(\d open\)")).click()
    teacher.get_by_role("link", name=f"sums: {exercise}").click()
    expect(teacher.locator("[data-step=asked]")).to_contain_text("I did what the text asks for.")
    teacher.get_by_label("New points").fill(f"{points:g}")
    teacher.get_by_role("textbox", name="Answer").fill("You did. I missed it.")
    teacher.get_by_role("button", name="Answer").click()
    expect(teacher.get_by_role("status")).to_contain_text("Feedback is out: alice.")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("javascript", "exercise", "points"), [(True, "check-add", 2), (False, "why", 1)])
def test_one_student_is_graded_again_commented_and_released_and_asks_and_is_heard(  # noqa: PLR0917 (fixtures)
    at: Any, served_sums: Any, root: Path, walls: None, javascript: bool, exercise: str, points: int
) -> None:
    teacher, alice = (at(name, java_script_enabled=javascript) for name in ("teacher", "alice"))

    grade_again(teacher, served_sums)
    keep(teacher, root, "table")
    comment_and_release(teacher, f"Return the sum: {exercise}.")
    alice.goto(f"{served_sums.url}feedback/{hers(served_sums)}")
    before = float(alice.locator("[data-mark]").inner_text().split("/")[0])
    expect(alice.locator("table")).to_contain_text("0 / 2" if javascript else "2 / 2")
    expect(alice.frame_locator("iframe").get_by_text(f"Return the sum: {exercise}.")).to_be_visible()
    ask(alice, exercise)
    answer(teacher, served_sums, exercise, points)
    keep(teacher, root, "inquiry")
    alice.goto(served_sums.url)
    alice.get_by_role("link", name=f"sums: {exercise}").click()
    keep(alice, root, "answered")

    expect(alice.locator("[data-mark]").first).to_have_text(f"{before + points:g} / 3")
    asked = alice.locator("[data-inquiry]", has_text=exercise)
    kinds = asked.locator("[data-step]").evaluate_all("all => all.map(each => each.dataset.step)")
    assert kinds == ["asked", "mark", "answered"]
    expect(asked).to_contain_text(f"from 0 to {points} points")


def test_axe_finds_nothing_where_marks_are_given_and_asked_about(at: Any, served_sums: Any) -> None:
    teacher, alice = (at(name, bypass_csp=True) for name in ("teacher", "alice"))  # for axe: it is a script
    found = {}

    for page, path in (
        (teacher, "courses/ict101/labs/sums"),
        (teacher, "courses/ict101/labs/sums/students/alice"),
        (teacher, "courses/ict101/labs/sums/students/bob"),
        (teacher, "courses/ict101/inquiries/1"),
        (alice, f"feedback/{hers(served_sums)}"),
    ):
        page.goto(served_sums.url + path)
        for scheme, width in (("light", 1280), ("light", 360), ("dark", 1280)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            options = {"runOnly": {"type": "tag", "values": TAGS}, "iframes": False}
            said = [
                f"{each['id']} {node['target']}"
                for each in Axe().run(page, options=options).response["violations"]
                for node in each["nodes"]
            ]
            if said:
                found[f"{path} {scheme} {width}"] = said

    assert found == {}


def test_the_page_of_a_submission_scrolls_nothing_sideways(at: Any, served_sums: Any) -> None:
    page = at("teacher", viewport={"width": 360, "height": 900})

    for path in (
        "courses/ict101/labs/sums",
        "courses/ict101/labs/sums/students/alice",
        "courses/ict101/inquiries/1",
    ):
        page.goto(served_sums.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
