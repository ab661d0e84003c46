"""Who sees which page, what it says, and that nothing anybody wrote becomes markup.

These use the tiny hub of conftest.py (a real server that speaks the hub's API as far as the portal asks).
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markupsafe import escape

from grader.archives import pack
from labs.library import Library

SCRIPT = "<script>alert(1)"
ONERROR = "<img src=x onerror"


def walk(school: Any) -> dict[str, str]:
    """Every page that a class has."""
    alice, bob = school.alices.id, school.bobs.id
    return {
        "home": "",
        "catalogue": "catalogue",
        "timezone": "timezone",
        "verify": "receipts/verify",
        "lab": "labs/ict101/lab-one",
        "starting": "starting/base?course=ict101&lab=lab-one",
        "alice receipt": f"submissions/{alice}/receipt",
        "alice receipt verified": f"submissions/{alice}/receipt/verify",
        "alice receipt text": f"submissions/{alice}/receipt.txt",
        "alice feedback": f"feedback/{alice}",
        "alice notebook": f"feedback/{alice}/lab-one.html",
        "bob receipt": f"submissions/{bob}/receipt",
        "bob feedback": f"feedback/{bob}",
        "course": "courses/ict101",
        "grading": "courses/ict101/labs/lab-one",
        "student": "courses/ict101/students/alice",
        "again": "courses/ict101/labs/lab-one/again",
        "marking": "courses/ict101/labs/lab-one/students/alice",
        "lab marks": "courses/ict101/labs/lab-one/marks.csv",
        "inquiries": "courses/ict101/inquiries",
        "inquiry": "courses/ict101/inquiries/1",
        "progress": "progress",
        "insight": "courses/ict101/insight",
        "now": "courses/ict101/now",
        "lab insight": "courses/ict101/labs/lab-one/insight",
        "releases": "courses/ict101/release",
        "release": "courses/ict101/labs/lab-one/release",
        "released notebook": "courses/ict101/labs/lab-one/release/preview/lab-one.html",
        "withdrawal": "courses/ict101/labs/lab-one/release/withdraw",
        "people": "courses/ict101/people",
        "person": "courses/ict101/people/alice",
        "removal": "courses/ict101/people/alice/remove",
        "roster": "courses/ict101/roster",
        "roster file": "courses/ict101/roster.csv",
        "announcements": "courses/ict101/announcements",
        "questions": "courses/ict101/questions",
        "ask": "courses/ict101/questions/new?lab=lab-one",
        "question": f"courses/ict101/questions/{school.asked}",
        "log": "courses/ict101/log",
        "administration": "administration",
        "audit log": "administration/log",
        "stop idle": "administration/idle?hours=4",
        "other course": "courses/net201",
        "no course": "courses/nothing",
    }


OWN = {"home", "catalogue", "timezone", "verify", "progress"}
LEARNER = OWN | {"lab", "starting", "announcements", "questions", "ask"}
ALICES = {
    *("alice receipt", "alice receipt text", "alice receipt verified", "alice feedback", "alice notebook"),
}
PEOPLE = {"people", "person", "removal", "roster", "roster file"}
MARKED = ALICES | {"bob receipt"}
HELPED = MARKED | {"course", "grading", "student", "insight", "lab insight", "question"}
HELPED |= {"now", "again", "marking", "lab marks", "inquiries", "inquiry"}
ALLOWED = {
    "alice": LEARNER | ALICES | {"question"},
    "bob": LEARNER | {"bob receipt"},  # his feedback is not released
    "teacher": LEARNER | HELPED | PEOPLE | {"releases", "release", "released notebook", "withdrawal", "log"},
    "tutor": LEARNER | HELPED,
    "prof": OWN | {"other course"},
    "nobody": OWN,
    "admin": OWN | {"administration", "audit log", "stop idle"},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_each_person_reaches_their_own_pages_and_no_other(visit: Any, school: Any, name: str) -> None:
    browser = visit(name)

    answers = {page: browser.get(path) for page, path in walk(school).items()}

    assert {page for page, answer in answers.items() if answer.status_code == 200} == ALLOWED[name]
    assert {answer.status_code for answer in answers.values()} <= {200, 403, 404}


def test_nobody_sees_a_page_without_login_except_health_and_style(visit: Any, school: Any) -> None:
    browser = visit()

    for path in walk(school).values():
        answer = browser.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["location"].startswith("/hub/api/oauth2/authorize?")
    assert browser.get("health").status_code == 200
    assert browser.get("static/style.css").status_code == 200
    assert browser.get("static/..%2fapp.py").status_code == 404


def test_what_is_not_there_and_what_is_not_yours_have_one_answer(visit: Any, school: Any) -> None:
    browser = visit("bob")

    foreign = browser.get(f"submissions/{school.alices.id}/receipt")
    guessed = browser.get(f"submissions/{'0' * 32}/receipt")

    assert (foreign.status_code, without_token(foreign)) == (guessed.status_code, without_token(guessed))
    assert without_token(browser.get("courses/net201")) == without_token(browser.get("courses/nothing"))


def without_token(answer: Any) -> str:
    """A page without the token in its forms, which is masked anew each time."""
    return re.sub(r'name="csrf" value="[^"]+"', "", answer.text)


def test_a_student_sees_state_due_date_and_the_mark_once_feedback_is_out(visit: Any, school: Any) -> None:
    alice, bob = visit("alice").get().text, visit("bob").get().text

    assert re.search(
        r'data-lab="lab-one".*?data-state="feedback out".*?<strong data-mark>18 / 20<', alice, re.S
    )
    assert re.search(r'data-lab="lab-two".*?data-state="not started".*?was due', alice, re.S)
    assert re.search(r'data-lab="lab-one".*?data-state="graded"', bob, re.S)
    assert "data-mark" not in bob
    assert "18 / 20" not in bob


def test_a_new_submission_keeps_the_old_mark_and_says_whose_it_is(visit: Any, school: Any) -> None:
    school.store.submit("ict101", "lab-one", "alice", b"PK later")

    page = visit("alice").get().text

    assert re.search(r'data-state="submitted".*?<strong data-mark>18 / 20</strong>\s*<small>for ', page, re.S)


def test_due_times_are_shown_in_the_sites_time_zone(visit: Any, school: Any) -> None:
    from hub.portal.render import Render

    zone = school.settings.model_copy(
        update={"site": school.settings.site.model_copy(update={"timezone": "Asia/Kolkata"})}
    )
    render = Render(zone, prefix="/p/", hub_prefix="/hub/", mode="docker")

    shown = render.moment(
        school.alices.received_at.replace(year=2026, month=1, day=5, hour=20, minute=0, second=0)
    )

    assert "Tue, 6 Jan 2026, 01:30" in shown
    assert 'datetime="2026-01-05T20:00:00+00:00"' in shown


@pytest.mark.parametrize("name", ["alice", "teacher"])
def test_nothing_anybody_wrote_becomes_markup(visit: Any, school: Any, name: str) -> None:
    browser = visit(name)

    for page, path in walk(school).items():
        answer = browser.get(path)
        if page not in ("alice notebook", "roster file", "lab marks"):
            assert SCRIPT not in answer.text, page
            assert ONERROR not in answer.text, page


def test_a_marked_notebook_is_shut_in_a_sandbox_without_scripts(visit: Any, school: Any) -> None:
    browser = visit("alice")

    answer = browser.get(f"feedback/{school.alices.id}/lab-one.html")
    around = browser.get(f"feedback/{school.alices.id}")

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script" not in policy
    assert re.search(r"<iframe[^>]* sandbox ", around.text)
    assert "Expected /26, found /25." in around.text
    assert browser.get(f"feedback/{school.alices.id}/..%2f..%2flab-one.html").status_code == 404


def test_every_answer_has_the_security_headers(visit: Any, school: Any) -> None:
    browser = visit("teacher")
    paths = [*walk(school).values(), "health", "static/style.css", "no/such/page", "api/exchange/releases"]
    live = {"courses/ict101/now"}  # follows the class, with a script of the portal's own

    for path in paths:
        headers = browser.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path
        assert headers["x-frame-options"] in ("DENY", "SAMEORIGIN"), path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert ("script-src 'self'" in policy) == ("script-src" in policy) == (path in live), path
        assert "unsafe" not in policy or policy.startswith("sandbox"), path


def test_pages_need_no_script_and_no_inline_style(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    for page, path in walk(school).items():
        text = browser.get(path).text
        if page not in ("alice notebook", "roster file", "lab marks"):
            follows = r'<script src="[^"<>]+/follow\.js[^"<>]*" data-seconds="\d+" defer></script>'
            assert "<script" not in re.sub(follows, "", text), page
            assert "style=" not in text, page
            assert not re.search(r"\son[a-z]+=[\"']", text), page


def test_a_receipt_is_shown_downloaded_and_checked(visit: Any, school: Any) -> None:
    browser = visit("alice")

    text = browser.get(f"submissions/{school.alices.id}/receipt.txt")
    good = browser.post("receipts/verify", receipt=text.text)
    forged = browser.post("receipts/verify", receipt=text.text.strip()[:-6] + "AAAAAA")
    nonsense = browser.post("receipts/verify", receipt="<script>alert(1)</script>")

    assert "attachment" in text.headers["content-disposition"]
    assert "Valid." in good.text
    assert school.alices.sha256 in good.text
    assert "Not valid." in forged.text
    assert "Not valid." in nonsense.text
    assert SCRIPT not in nonsense.text


@pytest.mark.parametrize(
    ("mode", "word"), [("process", "Trial mode"), ("process-unjailed", "No walls between people")]
)
def test_process_mode_is_said_on_every_page(visit: Any, school: Any, mode: str, word: str) -> None:
    browser = visit("teacher", mode=mode)

    for page, path in walk(school).items():
        answer = browser.get(path)
        if answer.headers["content-type"].startswith("text/html") and not page.endswith("notebook"):
            assert word in answer.text, page
    assert "banner" not in visit("teacher").get().text


def test_an_instructor_sees_students_by_labs_with_marks_and_when(visit: Any, school: Any) -> None:
    page = visit("teacher").get("courses/ict101").text

    assert re.search(
        r'students/bob">bob</a>.*?<strong>18 / 20</strong>.*?data-state="graded".*?<time', page, re.S
    )
    assert re.search(r'data-grade="lab-one".*?Release feedback.*?>Grade<', page, re.S)
    assert 'href="/hub/authorize"' in page


def test_a_fault_of_ours_is_a_sentence_without_a_trace(visit: Any, school: Any) -> None:
    browser = visit("alice")
    school.store.blob(school.store.feedback_of(school.alices.id).sha256).unlink()

    answer = browser.get(f"feedback/{school.alices.id}")

    assert answer.status_code == 500
    assert "fault of its own" in answer.text
    assert "Traceback" not in answer.text
    assert "FileNotFound" not in answer.text
    assert answer.headers["content-security-policy"]


def test_the_catalogue_has_every_lab_with_what_it_takes_and_gives(visit: Any, school: Any) -> None:
    labs = Library().labs()

    page = visit("nobody").get("catalogue").text

    for lab in labs.values():
        entry = page.partition(f'id="{lab.name}"')[2].partition("</li>")[0]
        assert f"<h3><bdi>{escape(lab.title)}</bdi></h3>" in entry
        assert f"{lab.minutes} minutes" in entry
        assert all(outcome in entry for outcome in lab.outcomes)
        assert all(f'href="#{before}">{escape(labs[before].title)}</a>' in entry for before in lab.requires)


def test_a_lab_says_before_its_start_what_this_server_lacks_for_it(visit: Any, school: Any) -> None:
    folder = school.settings.places.run
    told = dict.fromkeys(("netns", "veth", "nftables", "nat"), "yes") | {
        "vlan": "emulated",
        "vlan-bridge": "emulated",
    }
    kept = {
        "network": {"where": "here", "features": told},
        "base": {"where": "here", "features": {"acl": "no"}},
    }
    (folder / "offers.json").write_text(json.dumps(kept), encoding="utf-8")
    files = pack({"net-vlans.ipynb": b"{}"})
    school.store.release(
        "ict101",
        "net-vlans",
        files,
        title="VLANs",
        environment="network",
        max_points=1,
        by="teacher",
        due_at=None,
    )

    alice = visit("alice")
    catalogue = alice.get("catalogue").text

    emulated = "lacks vlan-bridge and vlan, so the lab&#39;s networks run in an emulated machine"
    assert emulated in alice.get().text
    assert emulated in alice.get("labs/ict101/net-vlans").text
    assert catalogue.count("emulated machine") == 1
    assert (
        "This lab needs acl, which this server does not offer"
        in catalogue.partition('id="linux-permissions"')[2]
    )
