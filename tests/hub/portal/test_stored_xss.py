"""Whatever anybody stored, no script of theirs runs in anybody's browser: tried in a real one, on every page."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest
from nbformat import v4
from playwright.sync_api import Page

from grader.archives import pack
from grader.feedback import page as feedback_page
from grader.gradebook import SubmissionMarks
from grader.models import Report, Submission
from grader.people import Person
from grader.pipeline import _alone
from grader.store import MemberRow

pytestmark = pytest.mark.browser

RAN = "planted"  # what a planted script says to the console, which no policy keeps from it
CANARY = "canary"  # in every address that a planted script or picture would ask for


def hostile(where: str) -> str:
    """Markup that runs in every way we know of, if it is markup at all where it is shown."""
    ran = f"console.log('{RAN} {where}')"
    return (
        f"\"'></textarea></title></pre></script><script>{ran};fetch('/{CANARY}?{where}')</script>"
        f'<img src="/{CANARY}?{where}" onerror="{ran};alert(1)"><svg onload="{ran}"></svg>'
        f'<iframe srcdoc="<script>{ran}</script>"></iframe><a href="javascript:{ran}">{where}</a>'
        f'<input autofocus onfocus="{ran}"><style>@import "/{CANARY}?{where}";</style>'
        f'<meta http-equiv="refresh" content="0;url=/{CANARY}?{where}">{{{{ 7 * 7 }}}}'
    )


FILE_NAME = "<img src=x onerror=console.log('planted')><svg onload=console.log('planted')>"  # no slash in it: it is one file


class Watch:
    """What a page does that only a planted script or picture would make it do."""

    def __init__(self, page: Page) -> None:
        """Look at `page`, and at every frame in it, from now on."""
        self._page = page
        self._seen: list[str] = []
        page.on("console", lambda said: self._note(said.text, said.text.startswith(RAN)))
        page.on("dialog", lambda dialog: (self._note(f"dialog {dialog.message}", True), dialog.dismiss()))
        page.on("response", lambda answer: self._note(answer.url, planted_address(answer.url)))

    def _note(self, what: str, planted: bool) -> None:
        if planted:
            self._seen.append(what)

    def signs(self) -> list[str]:
        """All that was seen; empty when nothing ran and nothing was asked for."""
        self._page.wait_for_timeout(150)  # for what a page does after it was loaded
        return list(self._seen)


def planted_address(address: str) -> bool:
    """Whether only a planted script or picture asks for this address."""
    path = urllib.parse.urlsplit(address).path
    return path.startswith(f"/{CANARY}") or path.endswith("/x")


def hostile_notebook() -> Any:
    """A notebook with something to run in each kind of cell and output."""
    rich = {
        mime: hostile(mime.replace("/", "-"))
        for mime in ("text/html", "image/svg+xml", "application/javascript", "text/latex", "text/markdown")
    }
    outputs = [v4.new_output("display_data", data={mime: text}) for mime, text in rich.items()]
    outputs += [
        v4.new_output("display_data", data={"image/png": hostile("png"), "text/plain": hostile("plain")}),
        v4.new_output("stream", text=hostile("stream")),
        v4.new_output("error", ename=hostile("ename"), evalue="v", traceback=[hostile("traceback")]),
    ]
    markdown = v4.new_markdown_cell(hostile("markdown") + "\n\n[link](javascript:console.log('planted'))")
    markdown["attachments"] = {hostile("attachment"): {"image/png": hostile("attached")}}
    cells = [
        markdown,
        v4.new_raw_cell(hostile("raw")),
        v4.new_code_cell(hostile("source"), outputs=outputs),
    ]
    return v4.new_notebook(cells=cells)


def hostile_report(submission: Submission, job: int, message: str) -> Report:
    return Report(
        submission_id=submission.id, job_id=job, state="needs-look", points=1.0, max_points=2.0,
        exercises=[{"exercise": hostile("exercise"), "points": 1.0, "max_points": 2.0, "message": hostile("check")}],
        message=hostile(message), evidence=[hostile("evidence")], release_sha256="0" * 64, notebooks={}, cells={},
        graded_at=submission.received_at, in_gradebook_at=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted(served: Any) -> Any:
    """The class of conftest.py with something to run wherever somebody may write."""
    school, store = served.school, served.school.store
    row = {"name": hostile("name"), "email": hostile("email"), "section": hostile("section")}
    store.enrol("ict101", [MemberRow("alice", **row)])
    store.create_course("evil101", hostile("course"))
    store.enrol("evil101", [MemberRow("alice", **row)])
    served.hub.groups["alice"].append("nbgrader-evil101")
    served.hub.groups["teacher"].append("formgrade-evil101")
    files = pack({f"{FILE_NAME}.ipynb": b"{}"})
    kept: dict[str, Any] = {"environment": "base", "max_points": 20, "by": hostile("by")}
    store.release("ict101", "lab-one", files, title=hostile("title"), **kept)
    store.release("evil101", "lab-one", files, title=hostile("title"), **kept)
    submission = store.submit("ict101", "lab-one", "alice", files)
    job, _ = store.open_job("ict101", "lab-one", hostile("requested-by"))
    store.start_job(job.id)
    store.plan_items(job.id, [submission])
    report = hostile_report(submission, job.id, "message")
    store.items_finished(job.id, [(report, "w")])
    store.finish_job(job.id, "failed", hostile("job"))
    marks = SubmissionMarks(points=1, max_points=2, late_penalty=0, needs_manual=False, cells={})
    written = feedback_page(hostile_notebook(), hostile("notebook"), submission, report, marks)
    pages = {
        "lab-one.html": written.encode(),
        "never-cleaned.html": f"<!DOCTYPE html>{hostile('feedback')}".encode(),
        f"{FILE_NAME}.html": written.encode(),
    }
    told = {"exercise": hostile("told"), "points": 1.0, "max_points": 2.0, "message": "", "by_hand": True}
    store.release_feedback(
        submission.id, pack(pages), hostile("by"), 1, 2, exercises=[{**told, "comment": hostile("comment")}]
    )
    inquiry = store.inquire(submission, hostile("asked")[:200], hostile("inquiry"))
    store.answer_inquiry(inquiry.id, by=hostile("by")[:64], text=hostile("answer"))
    school.alices = submission
    ask_and_answer(school)
    return school


def ask_and_answer(school: Any) -> None:
    """A question that waits, so that its page is live, shown to the course, with an answer, and one withdrawn."""
    alice, bob = (Person(name, frozenset({"nbgrader-ict101"})) for name in ("alice", "bob"))
    fenced = f"{hostile('text')}\n```{hostile('fence')}\n```\n{hostile('code')}\n```\n"
    school.asked = school.store.ask(
        "ict101", bob, hostile("q")[:200], fenced, lab="lab-one", exercise=hostile("exercise")[:64],
        shown_to="course", named=True,
    )  # fmt: skip
    for where in ("answer", "withdrawn"):
        school.store.answer("ict101", school.asked, alice, hostile(where))
    asked = school.store.question("ict101", school.asked, alice)
    school.store.withdraw_post("ict101", school.asked, school.store.posts(asked, alice, 2, 1)[0].id, alice)
    mine = school.store.ask("ict101", alice, hostile("mine")[:200], hostile("mine"))
    school.store.answer("ict101", mine, Person("teacher", frozenset({"formgrade-ict101"})), hostile("news"))


def addresses(walk: Any, school: Any) -> dict[str, str]:
    """Every page of the class, and those of what was planted."""
    submission = school.alices.id
    return {
        **{name: path for name, path in walk(school).items() if not path.endswith((".txt", ".csv"))},
        "evil course": "courses/evil101",
        "evil lab": "labs/evil101/lab-one",
        "evil questions": "courses/evil101/questions/new?lab=lab-one",
        "questions found": f"courses/ict101/questions?q={urllib.parse.quote(CANARY)}",
        "evil inquiry": f"courses/ict101/inquiries/{school.store.inquiries_about(submission)[0][0].id}",
        "evil grading": "courses/evil101/labs/lab-one",
        "never cleaned": f"feedback/{submission}/never-cleaned.html",
        "file name": f"feedback/{submission}/{urllib.parse.quote(FILE_NAME)}.html",
        "address": f"labs/ict101/{urllib.parse.quote(hostile('address'), safe='')}",
    }


@pytest.mark.parametrize("name", ["alice", "teacher"])
def test_nothing_that_anybody_stored_runs_on_any_page(
    at: Any, served: Any, walk: Any, planted: Any, name: str
) -> None:
    page, signs, statuses = at(name), {}, []

    for each, path in addresses(walk, planted).items():
        watch = Watch(page)
        answer = page.goto(served.url + path)
        statuses.append(answer.status)
        if seen := watch.signs():
            signs[each] = seen

    assert signs == {}
    assert statuses.count(200) >= 11  # it was shown, not only refused


def test_the_marked_notebook_shows_what_was_planted_as_text(at: Any, served: Any, planted: Any) -> None:
    page = at("alice")

    page.goto(f"{served.url}feedback/{planted.alices.id}/lab-one.html")

    for where in ("stream", "traceback", "source", "raw"):
        assert page.get_by_text(f"/{CANARY}?{where}").count(), where
    assert page.locator("script, svg, img, iframe, input, a[href^=javascript]").count() == 0


def test_a_question_and_an_answer_that_comes_into_its_page_do_not_run(
    at: Any, served: Any, planted: Any
) -> None:
    page = at("teacher")
    watch = Watch(page)
    page.goto(f"{served.url}courses/ict101/questions/{planted.asked}")
    page.get_by_text(f"/{CANARY}?code").wait_for()
    bob = Person("bob", frozenset({"nbgrader-ict101"}))

    planted.store.answer("ict101", planted.asked, bob, hostile("live"))
    page.get_by_text(f"/{CANARY}?live").wait_for(timeout=60_000)

    assert watch.signs() == []
    assert page.locator("article :is(script, svg, img, iframe, input, a, style, meta)").count() == 0


@pytest.mark.parametrize("how", ["message", "failed"])
def test_what_a_server_says_as_it_starts_does_not_run(at: Any, served: Any, planted: Any, how: str) -> None:
    event = {"progress": 100, "failed": how == "failed", "message": hostile(how)}
    served.hub.servers = {"base": {"ready": False, "pending": "spawn"}}
    served.hub.events = [f"data: {json.dumps(event)}\n\n"]
    page = at("alice")
    watch = Watch(page)

    page.goto(f"{served.url}starting/base?course=ict101&lab=lab-one")
    if how == "failed":
        served.hub.servers = {}
    page.get_by_text(f"/{CANARY}?{how}").first.wait_for(timeout=60_000)

    assert watch.signs() == []


def test_what_comes_into_a_live_page_does_not_run(at: Any, served: Any, planted: Any) -> None:
    store = served.school.store
    job, _ = store.open_job("ict101", "lab-one", "teacher", regrade=True)
    store.start_job(job.id)
    store.plan_items(job.id, store.newest_submissions("ict101", "lab-one"))
    page = at("teacher")
    watch = Watch(page)

    with _alone(planted.settings.places, "ict101", "lab-one"):  # its process is somewhere
        page.goto(f"{served.url}courses/ict101/labs/lab-one")
        page.locator("[data-student='alice']", has_text="waiting").wait_for(timeout=60_000)
        store.items_finished(job.id, [(hostile_report(planted.alices, job.id, "live"), "w")])
        page.locator("[data-student='alice']", has_text=f"/{CANARY}?live").wait_for(timeout=60_000)
        signs = watch.signs()
    store.finish_job(job.id, "done")

    assert signs == []


def test_the_watch_sees_it_where_nothing_is_in_the_way(at: Any, served: Any) -> None:
    page = at("nobody", bypass_csp=True)
    watch = Watch(page)

    page.set_content(f"<p>{hostile('control')}</p>")

    signs = " ".join(watch.signs())
    for sign in (f"/{CANARY}?control", "dialog 1", f"{RAN} control"):
        assert sign in signs
