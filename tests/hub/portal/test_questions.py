"""Asking, answering and reading as people and programs do it: pages, the JSON API, and a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markupsafe import escape
from playwright.sync_api import Page, expect

from grader.archives import pack
from grader.people import Person
from grader.questions import Wanted
from hub.portal.asking import Topic, is_topic, titles
from hub.portal.prose import Piece, pieces

PAGE = "courses/ict101/questions"
ALICE = Person("alice", frozenset({"nbgrader-ict101"}))
BOB = Person("bob", frozenset({"nbgrader-ict101"}))
TEACHER = Person("teacher", frozenset({"formgrade-ict101"}))


def ask(school: Any, by: Person = ALICE, title: str = "How do ACLs work?", **how: Any) -> int:
    number: int = school.store.ask("ict101", by, title, "I tried setfacl.", **how)
    return number


def titles_on(page: Any) -> list[str]:
    return re.findall(r'data-question="\d+".*?dir="auto">(.*?)</a>', page.text, re.S)


def test_what_is_typed_into_the_form_is_asked(visit: Any, school: Any) -> None:
    files = pack({"net-subnetting.ipynb": b"{}"})
    school.store.release(
        "ict101", "net-subnetting", files, title="Subnetting", environment="base", max_points=1, by="teacher"
    )
    alice = visit("alice")
    form = alice.get(f"{PAGE}/new?lab=net-subnetting&exercise=read").text

    sent = alice.post(
        f"{PAGE}/new", about="net-subnetting/read", title="Prefix", text="a\r\n  b", show="course"
    )

    assert '<option value="net-subnetting/read" selected>Read a prefix</option>' in form
    assert sent.status_code == 303
    number = int(sent.headers["location"].rpartition("/")[2])
    row = school.store.question("ict101", number, BOB)
    assert (row.lab, row.exercise, row.title, row.author) == ("net-subnetting", "read", "Prefix", "")
    thread = alice.client.get(sent.headers["location"]).text
    assert "<bdi>Subnetting</bdi> · <bdi>Read a prefix</bdi>" in thread
    assert "a\n  b</p>" in thread
    assert "Your question is sent." in thread


def test_the_exercises_of_an_instructors_own_lab_are_its_graded_cells(visit: Any, school: Any) -> None:
    def cell(name: str, *, grade: bool) -> dict[str, Any]:
        return {"metadata": {"nbgrader": {"grade_id": name, "grade": grade}}}

    cells = [
        cell("answer", grade=False),
        cell("check <b>", grade=True),
        {"metadata": {}},
        cell("why", grade=True),
    ]
    files = pack({"own.ipynb": json.dumps({"cells": cells}).encode(), "data/x.csv": b""})
    school.store.release("ict101", "own", files, title="Own", environment="base", max_points=1, by="teacher")
    alice = visit("alice")

    form = alice.get(f"{PAGE}/new?lab=own").text
    sent = alice.post(f"{PAGE}/new", about="own/why", title="Why", text="why")

    assert re.findall(r'<option value="own/([^"]+)">', form) == ["check &lt;b&gt;", "why"]
    assert sent.status_code == 303


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": "", "text": "text"}, "Write both."),
        ({"title": "half a <b>question", "text": " "}, "There is no text."),
        ({"title": "x", "text": "x", "about": "no-such-lab"}, "no such lab"),
        ({"title": "x", "text": "x", "about": "lab-one/no-such-exercise"}, "no such lab"),
        ({"title": "x", "text": "x" * 5001}, "too long"),
    ],
)
def test_what_cannot_be_asked_comes_back_with_what_was_typed(
    visit: Any, school: Any, fields: dict[str, str], said: str
) -> None:
    page = visit("alice").post(f"{PAGE}/new", show="named", **fields)

    assert page.status_code == 422
    assert said in page.text
    assert fields["text"].strip() in page.text
    assert str(escape(fields["title"])) in page.text
    assert 'value="named" checked' in page.text
    assert school.store.count_questions("ict101", ALICE, Wanted()) == 1  # that of conftest.py


def test_who_writes_too_often_keeps_what_was_typed_and_is_told_when(visit: Any, school: Any) -> None:
    number, alice = ask(school), visit("alice")
    csrf = alice.csrf()

    answers = [alice.post(f"{PAGE}/{number}", csrf=csrf, text=f"Number {each}") for each in range(11)]
    question = alice.post(f"{PAGE}/new", csrf=csrf, title="Another", text="of mine")

    assert [answer.status_code for answer in answers] == [303] * 10 + [429]
    assert "Number 10</textarea>" in answers[-1].text
    assert "people read each. Send this in" in answers[-1].text
    assert question.status_code == 429
    assert "of mine</textarea>" in question.text
    assert school.store.question("ict101", number, ALICE).posts == 11
    assert visit("bob").post(f"{PAGE}/new", title="Another", text="of his").status_code == 303


def test_a_classmate_sees_a_question_only_once_it_is_shown_and_never_whose_it_is(
    visit: Any, school: Any
) -> None:
    number, bob, teacher = ask(school), visit("bob"), visit("teacher")
    private, missing = bob.get(f"{PAGE}/{number}"), bob.get(f"{PAGE}/{number + 1}")
    assert private.status_code == missing.status_code == 404
    assert re.sub('value="[^"]+"', "", private.text) == re.sub('value="[^"]+"', "", missing.text)
    assert titles_on(bob.get(PAGE)) == []

    assert teacher.post(f"{PAGE}/{number}/show", to="course").status_code == 303
    assert bob.post(f"{PAGE}/{number}", text="Look at the mask.").status_code == 303

    seen = {"list": bob.get(PAGE).text, "thread": bob.get(f"{PAGE}/{number}").text}
    assert all("How do ACLs work?" in page and "a classmate" in page for page in seen.values())
    assert not any(re.search("alice", page, re.I) for page in seen.values())
    assert "Alice" in teacher.get(f"{PAGE}/{number}").text
    assert bob.post(f"{PAGE}/{number}/show", to="instructors").status_code == 403
    teacher.post(f"{PAGE}/{number}/show", to="instructors")
    assert bob.get(f"{PAGE}/{number}").status_code == 404


def test_an_assistant_answers_as_one_and_finds_what_waits_on_the_first_page(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    tiny_hub.groups["tess"] = ["assist-ict101"]
    number, tess = ask(school), visit("tess")
    assert "1 waits for an answer" in tess.get().text

    tess.post(f"{PAGE}/{number}", text="Read the second column.")

    assert "none waits for an answer" in tess.get().text
    thread = visit("alice").get(f"{PAGE}/{number}").text
    assert re.search(r"<bdi>tess</bdi>.*?>assistant<.*?Read the second column\.", thread, re.S)


def test_the_course_page_says_how_many_wait(visit: Any, school: Any) -> None:
    ask(school)
    ask(school, BOB)

    page = visit("teacher").get("courses/ict101").text

    assert f'href="/services/portal/{PAGE}">Questions (2 to answer)</a>' in page


def test_a_list_is_narrowed_and_walked_page_by_page(visit: Any, school: Any) -> None:
    for number in range(53):
        ask(school, title=f"Question {number:02}", lab="lab-two")
    alice = visit("alice")

    first, second = alice.get(f"{PAGE}?lab=lab-two"), alice.get(f"{PAGE}?lab=lab-two&page=2")

    every = [f"Question {number:02}" for number in range(52, -1, -1)]
    assert titles_on(first) + titles_on(second) == every
    assert " of 53 questions</span>" in first.text
    assert (
        'rel="next" href="/services/portal/courses/ict101/questions?lab=lab-two&amp;page=2#main"'
        in first.text
    )
    assert titles_on(alice.get(f"{PAGE}?q=question%20%0007&state=open&mine=yes")) == ["Question 07"]
    assert titles_on(alice.get(f"{PAGE}?q=question&state=closed")) == []
    assert titles_on(visit("bob").get(PAGE)) == []


def test_a_withdrawn_post_is_a_note_for_students_and_its_text_for_who_teaches(
    visit: Any, school: Any
) -> None:
    number = ask(school, shown_to="course")
    school.store.answer("ict101", number, BOB, "The solution is 42.")
    asked = school.store.question("ict101", number, BOB)
    post = school.store.posts(asked, BOB, 1, 1)[0].id

    assert visit("alice").post(f"{PAGE}/{number}/withdraw", post=str(post)).status_code == 404
    assert visit("teacher").post(f"{PAGE}/{number}/withdraw", post=str(post)).status_code == 303
    assert visit("teacher").post(f"{PAGE}/{number}/withdraw", post="1" * 5000).status_code in (404, 422)

    for name in ("alice", "bob"):
        page = visit(name).get(f"{PAGE}/{number}").text
        assert "The solution" not in page
        assert "withdrawn <time" in page
    assert "The solution is 42." in visit("teacher").get(f"{PAGE}/{number}").text


def test_only_a_question_that_waits_is_followed_and_no_page_reloads_while_one_writes(
    visit: Any, school: Any
) -> None:
    number, alice = ask(school), visit("alice")

    waits = alice.get(f"{PAGE}/{number}")
    refused = alice.post(f"{PAGE}/{number}", text="")
    alice.post(f"{PAGE}/{number}/close")
    closed = alice.get(f"{PAGE}/{number}")

    assert "follow.js" in waits.text
    assert "script-src 'self'" in waits.headers["content-security-policy"]
    for page in (refused, closed):
        assert "<script" not in page.text
        assert "script-src" not in page.headers["content-security-policy"]
    assert not any('http-equiv="refresh"' in page.text for page in (waits, refused, closed))


def test_fences_make_code_and_nothing_else_is_markup() -> None:
    assert pieces("a\n\n```python\n  x = 1\n\n```\nb `c`\n```\nopen\n") == [
        Piece("a", False), Piece("  x = 1\n", True), Piece("b `c`", False), Piece("open\n", True),
    ]  # fmt: skip
    assert pieces("") == pieces("```\n```") == []
    assert pieces("not ``` here") == [Piece("not ``` here", False)]


def test_a_topic_is_a_lab_or_an_exercise_of_it() -> None:
    found = [Topic("a", "Lab A", (("x", "Exercise X"),), True), Topic("b", "Lab B", (), False)]

    about = [(None, None), ("a", None), ("a", "x"), ("b", None), ("b", "x"), ("c", None)]

    assert [is_topic(found, *each) for each in about] == [True, True, True, True, False, False]
    assert titles(found)[("a", "x")] == "Exercise X"


def api(browser: Any, name: str, method: str, path: str = "", **how: Any) -> Any:
    return browser.client.request(
        method,
        f"/services/portal/api/questions/ict101{path}",
        headers={"Authorization": f"token token-{name}"},
        **how,
    )


def test_a_program_asks_lists_reads_and_answers(visit: Any, school: Any) -> None:
    browser = visit()

    asked = api(
        browser,
        "alice",
        "POST",
        json={"title": "Masks", "text": "Why?", "lab": "lab-one", "shown_to": "course"},
    )
    number = asked.json()["id"]
    answered = api(browser, "teacher", "POST", f"/{number}", json={"text": "Count."})
    listed = api(browser, "bob", "GET", "?state=answered").json()
    read = api(browser, "bob", "GET", f"/{number}").json()

    assert asked.status_code == answered.status_code == 201
    assert answered.json()["state"] == "answered"
    assert [(row["id"], row["author"], row["lab"]) for row in listed["questions"]] == [
        (number, None, "lab-one")
    ]
    assert [(post["author"], post["role"], post["text"]) for post in read["thread"]] == [
        (None, "", "Why?"), ("teacher", "instructor", "Count."),
    ]  # fmt: skip
    assert "alice" not in str(listed) + str(read)
    assert school.store.question("ict101", number, ALICE).news


REFUSED = [
    ("bob", "/1", {"text": "x"}, 404, "no such course or question"),
    ("prof", "", {"title": "x", "text": "x"}, 404, "no such course or question"),
    ("alice", "", {"title": "x", "text": "x", "lab": "other"}, 422, "no such lab"),
    ("alice", "", {"title": "x", "text": "x", "shown_to": "world"}, 422, "shown_to: "),
    ("alice", "", {"title": "x", "text": "x", "author": "bob"}, 422, "author: "),
    ("alice", "", {"title": "\u0000", "text": "x"}, 422, "Write both."),
    ("alice", "/1", {"text": "x" * 70_000}, 413, "too much text"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]} {case[4]}")
def test_a_program_that_may_not_or_sends_nonsense_is_told(visit: Any, school: Any, case: Any) -> None:
    name, path, sent, status, said = case

    answer = api(visit(), name, "POST", path, json=sent)

    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert school.store.count_questions("ict101", TEACHER, Wanted()) == 1


def test_the_api_is_described(visit: Any, school: Any) -> None:
    paths = visit().client.app.openapi()["paths"]

    body = paths["/services/portal/api/questions/{course}"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["required"] == ["text", "title"]


@pytest.mark.browser
@pytest.mark.parametrize("javascript", [True, False])
def test_alice_asks_on_an_exercise_is_answered_reads_it_and_closes_it(
    at: Any, served: Any, root: Any, javascript: bool
) -> None:
    title = f"Which prefix fits 60 hosts {'with' if javascript else 'without'} spares?"
    store = served.school.store
    files = pack({"net-subnetting.ipynb": b"{}"})
    store.release(
        "ict101", "net-subnetting", files, title="Subnetting", environment="base", max_points=1, by="teacher"
    )
    alice, bob, teacher = (at(name, java_script_enabled=javascript) for name in ("alice", "bob", "teacher"))

    alice.goto(f"{served.url}labs/ict101/net-subnetting")
    alice.get_by_role("link", name="Ask about this lab").click()
    alice.get_by_label("What it is about").select_option(label="Read a prefix")
    alice.get_by_label("Question in a few words").fill(title)
    alice.get_by_label("What you tried").fill("I tried /27:\n```\n2**5\n```")
    alice.get_by_role("button", name="Send the question").click()
    expect(alice.get_by_role("status")).to_contain_text("Your question is sent.")

    teacher.goto(f"{served.url}courses/ict101")
    teacher.get_by_role("link", name="Questions (1 to answer)").click()
    teacher.get_by_role("link", name=title).click()
    teacher.get_by_label("Your answer").fill("62 is 2**6 - 2.")
    teacher.get_by_role("button", name="Send").click()
    expect(teacher.locator("#newest")).to_contain_text("62 is 2**6 - 2.")
    bob.goto(served.url + PAGE)
    expect(bob.get_by_role("link", name=title)).to_have_count(0)
    teacher.get_by_role("button", name="Show it to the course, without the name").click()

    alice.goto(served.url)
    news = alice.locator("[data-answered]", has_text=title)
    expect(news).to_contain_text("new answer")
    picture(alice, root, f"ask-home-{javascript}")
    news.get_by_role("link").click()
    expect(alice.locator("#newest")).to_contain_text("62 is 2**6 - 2.")
    picture(alice, root, f"ask-thread-{javascript}")
    alice.get_by_role("button", name="Close: it is answered").click()
    expect(alice.locator("[data-question-state]")).to_have_text("closed")
    alice.goto(served.url)
    expect(news).to_have_count(0)

    bob.reload()
    bob.get_by_role("link", name=title).click()
    expect(bob.locator("main")).to_contain_text("a classmate")
    expect(bob.locator("main")).not_to_contain_text("Alice")
    expect(bob.get_by_text("This question is closed.")).to_be_visible()


@pytest.mark.browser
def test_an_answer_comes_in_while_one_writes_and_what_is_written_stays(at: Any, served: Any) -> None:
    number = ask(served.school, title="Live?")
    alice = at("alice")
    alice.goto(f"{served.url}{PAGE}/{number}")
    box = alice.get_by_label("Add to your question")
    box.fill("I also")

    served.school.store.answer("ict101", number, TEACHER, "Here it is.")

    expect(alice.locator("#newest")).to_contain_text("Here it is.", timeout=20_000)
    expect(alice.locator("[data-question-state]")).to_have_text("answered")
    expect(box).to_have_value("I also")
    expect(box).to_be_focused()


def picture(page: Page, root: Any, name: str) -> None:
    """Keep what was seen among the run's artefacts."""
    folder = root / "test-artifacts"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
