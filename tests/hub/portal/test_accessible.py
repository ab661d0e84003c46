"""Nothing on a page keeps anybody out: axe finds nothing, all is done by keyboard, and nothing needs JavaScript."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat import v4
from playwright.sync_api import Page, expect

from grader.archives import pack
from grader.feedback import page as feedback_page
from grader.gradebook import SubmissionMarks
from grader.models import Report
from grader.pipeline import _alone

pytestmark = pytest.mark.browser

# WCAG 2.2 AA, and what axe's makers hold to be good beyond it
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ALL_RULES = {"runOnly": {"type": "tag", "values": TAGS}}
OF_COLOUR = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
LOOKS = [
    (scheme, width, rules)
    for scheme, rules in (("light", ALL_RULES), ("dark", OF_COLOUR))  # dark changes colours and nothing else
    for width in (1280, 360)
]
ALIKE = {"catalogue", "verify", "alice receipt", "alice notebook"}  # whoever reads them: looked at once
FOCUS_SHOWS = "e => e.matches(':focus-visible') && parseFloat(getComputedStyle(e).outlineWidth) >= 2"
WITH_AND_WITHOUT_JAVASCRIPT = pytest.mark.parametrize("javascript", [True, False])
STARTING = "starting/base?course=ict101&lab=lab-one"


@pytest.fixture(scope="module", autouse=True)
def real_feedback(served: Any) -> None:
    """The marked notebook of alice as the grader writes it, in place of the class's."""
    store, alices = served.school.store, served.school.alices
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("## What is the mask?"),
            v4.new_code_cell("print(mask)", outputs=[v4.new_output("stream", text="/26")]),
            v4.new_code_cell(
                "1 / 0", outputs=[v4.new_output("error", ename="E", evalue="v", traceback=["E"])]
            ),
        ]
    )
    marks = SubmissionMarks(points=18, max_points=20, late_penalty=1, needs_manual=False, cells={})
    page = feedback_page(notebook, "lab-one", alices, store.report(alices.id), marks)
    store.release_feedback(
        alices.id, pack({"lab-one.html": page.encode()}), "teacher", points=18, max_points=20
    )


@pytest.fixture
def job(served: Any) -> Iterator[int]:
    """A job that runs over the submissions of alice and bob, somewhere."""
    store = served.school.store
    made, _ = store.open_job("ict101", "lab-one", "teacher", regrade=True)
    store.start_job(made.id)
    store.plan_items(made.id, store.newest_submissions("ict101", "lab-one"))
    with _alone(served.school.settings.places, "ict101", "lab-one"):
        yield made.id
        store.finish_job(made.id, "done")


def finish_alices(served: Any, job: int) -> None:
    report = Report(
        submission_id=served.school.alices.id, job_id=job, state="graded", points=1.0, max_points=2.0,
        exercises=[], message="", evidence=[], release_sha256="0" * 64, notebooks={}, cells={},
        graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    served.school.store.items_finished(job, [(report, "w")])


@pytest.fixture
def starting(served: Any) -> Iterator[Any]:
    """The tiny hub while a server of alice's starts; call it to let the server be ready."""
    hub = served.hub
    hub.servers = {"base": {"ready": False, "pending": "spawn"}}
    hub.events = [f"data: {json.dumps({'progress': 40, 'message': 'Making the container'})}\n\n"]

    def ready() -> None:
        hub.servers = {"base": {"ready": True, "pending": None}}
        hub.events = [f"data: {json.dumps({'progress': 100, 'ready': True, 'message': 'Ready'})}\n\n"]

    yield ready
    ready()
    hub.servers, hub.events = {}, []


def violations(page: Page) -> dict[str, list[str]]:
    """What axe finds on a page, by the look in which it finds it."""
    said: dict[str, list[str]] = {}
    for scheme, width, rules in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        for each in Axe().run(page, options=rules | {"iframes": False}).response["violations"]:
            where = [f"{each['id']} {node['target']}: {each['help']}" for node in each["nodes"]]
            said.setdefault(f"{scheme} {width}", []).extend(where)
    return said


def pages_of(page: Page, served: Any, walk: Any) -> dict[str, str]:
    """The addresses of the pages this person may read, and of one error page of each kind."""
    found, kinds = {}, set()
    for name, path in walk(served.school).items():
        answer = page.request.get(served.url + path)
        html = answer.headers["content-type"].startswith("text/html")
        if html and (answer.status == 200 or answer.status not in kinds):
            found[name] = served.url + path
            kinds.add(answer.status)
    return found


@pytest.mark.parametrize("name", ["alice", "bob", "teacher", "prof", "nobody", "admin"])
def test_axe_finds_nothing_on_any_page(at: Any, served: Any, walk: Any, name: str) -> None:
    page = at(name, bypass_csp=True)  # for axe alone: it is a script
    found = {}

    for each, address in pages_of(page, served, walk).items():
        if each not in ALIKE or name == "alice":
            page.goto(address)
            if said := violations(page):
                found[each] = said

    assert found == {}


def test_axe_finds_nothing_while_something_is_under_way(
    at: Any, served: Any, job: int, starting: Any
) -> None:
    teacher, alice = at("teacher", bypass_csp=True), at("alice", bypass_csp=True)
    found = {}

    for page, path in (
        (teacher, "courses/ict101"),
        (teacher, "courses/ict101/labs/lab-one"),
        (alice, ""),
        (alice, STARTING),
    ):
        page.goto(served.url + path)
        if said := violations(page):
            found[path] = said

    assert found == {}


def press(page: Page, role: Any, name: str | re.Pattern[str], *, within: str = "body") -> None:
    """Go to a link or button by Tab alone, seeing where the focus is at each step, and press Enter."""
    wanted = page.locator(within).get_by_role(role, name=name).first
    focus(page, wanted)
    page.keyboard.press("Enter")


def focus(page: Page, wanted: Any) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        at_last = page.locator("*:focus")
        if at_last.count():
            assert at_last.evaluate(FOCUS_SHOWS), at_last.evaluate("e => e.outerHTML")
        if wanted.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"no way to {wanted} by Tab")


@WITH_AND_WITHOUT_JAVASCRIPT
def test_a_student_finds_a_receipt_checks_it_and_logs_out_by_keyboard(
    at: Any, served: Any, javascript: bool
) -> None:
    page = at("alice", java_script_enabled=javascript)

    press(page, "link", re.compile("^Subnets"))
    press(page, "link", served.school.alices.id[:8], within="table")
    receipt = page.locator("pre.receipt").inner_text()
    press(page, "link", "here", within="main")
    focus(page, page.get_by_role("textbox"))
    page.keyboard.insert_text(receipt)
    press(page, "button", "Check")
    expect(page.get_by_role("status")).to_contain_text("This site signed it")
    press(page, "button", "Log out")

    expect(page.get_by_role("heading")).to_have_text("Logged out of the hub")
    kept = {each["name"] for each in page.context.cookies(served.url)}
    assert kept - {"ictlabs-zone"} == {"who"}  # the hub's, and no session of the portal


@WITH_AND_WITHOUT_JAVASCRIPT
def test_an_instructor_opens_a_course_and_grades_by_keyboard(at: Any, served: Any, javascript: bool) -> None:
    page = at("teacher", java_script_enabled=javascript)
    before = len(served.school.store.jobs("ict101", "lab-one"))

    press(page, "link", "Students, marks and grading")
    expect(page.get_by_role("heading", level=1)).to_have_text("Networks & systems")
    press(page, "button", "Grade", within="[data-grade='lab-one']")
    expect(page).to_have_url(f"{served.url}courses/ict101/labs/lab-one")

    jobs = served.school.store.jobs("ict101", "lab-one")
    assert (len(jobs), jobs[0].requested_by) == (before + 1, "teacher")
    served.school.store.finish_job(jobs[0].id, "done")
    expect(page.locator("[data-job-state]").first).to_have_text("done", timeout=60_000)


@WITH_AND_WITHOUT_JAVASCRIPT
def test_grading_is_followed_with_javascript_and_without(
    at: Any, served: Any, job: int, javascript: bool
) -> None:
    page = at("teacher", java_script_enabled=javascript)
    page.goto(f"{served.url}courses/ict101/labs/lab-one")
    expect(page.locator("[data-done]")).to_have_text("0 of 2 submissions")

    finish_alices(served, job)

    expect(page.locator("[data-done]")).to_have_text("1 of 2 submissions", timeout=60_000)


@WITH_AND_WITHOUT_JAVASCRIPT
def test_a_start_is_followed_with_javascript_and_without(
    at: Any, served: Any, starting: Any, javascript: bool
) -> None:
    page = at("alice", java_script_enabled=javascript)
    page.goto(served.url + STARTING)
    expect(page.locator(".log")).to_contain_text("Making the container", timeout=60_000)

    starting()

    page.wait_for_url("**/user/alice/base/ictlab/open?course=ict101&lab=lab-one", timeout=60_000)


def test_news_come_into_a_page_without_taking_the_focus(at: Any, served: Any, starting: Any) -> None:
    page = at("alice")
    page.goto(served.url + STARTING)
    cancel = page.get_by_role("button", name="Cancel")
    cancel.focus()
    page.evaluate("window.same = true")

    served.hub.events = [f"data: {json.dumps({'progress': 70, 'message': 'Waiting <b>for</b> it'})}\n\n"]

    expect(page.locator(".log")).to_contain_text("Waiting <b>for</b> it", timeout=60_000)
    expect(cancel).to_be_focused()
    assert page.evaluate("window.same")
