"""Inquiries about marks: who asks, who answers, what becomes of the mark, and what each of them sees."""

from __future__ import annotations

import re
from typing import Any

import pytest

from grader.archives import pack
from grader.gradebook import CourseGradebook
from grader.inquiries import LONGEST_REASON

INQUIRY = "courses/ict101/inquiries"


@pytest.fixture
def tiny_hub(tiny_hub: Any) -> Any:
    """The stand-in, which knows an assistant and one of another course too."""
    tiny_hub.groups |= {"helper": ["assist-ict101"], "other": ["assist-net201"]}
    return tiny_hub


@pytest.fixture
def hers(sums: Any) -> str:
    """The id of alice's submission whose feedback is out."""
    found: str = sums.store.submissions_of("alice", "ict101", "sums")[0].id
    return found


def ask(visit: Any, hers: str, exercise: str = "check-add", reason: str = "3 is 1 + 2.") -> Any:
    return visit("alice").post(f"feedback/{hers}/inquiries", exercise=exercise, reason=reason)


def newest(sums: Any) -> Any:
    return max(sums.store.inquiries("ict101"), key=lambda row: row.id)


def steps(sums: Any) -> list[tuple[str, str]]:
    return [(step.kind, step.by) for step in sums.store.inquiry(newest(sums).id)[1]]


def points(sums: Any, student: str = "alice") -> float:
    book = CourseGradebook(sums.settings.places, "ict101")
    return float(book.submission_marks("sums", student).cells["sums"]["check-add"].points)


def test_a_student_asks_about_an_exercise_and_those_who_grade_see_it(
    visit: Any, sums: Any, hers: str
) -> None:
    answer = ask(visit, hers)

    assert answer.headers["location"].endswith(f"/feedback/{hers}")
    assert steps(sums) == [("asked", "alice")]
    for name in ("teacher", "helper"):
        browser = visit(name)
        assert "Inquiries (2 open)" in browser.get("courses/ict101").text
        assert "<bdi>check-add</bdi>" in browser.get(INQUIRY).text
        assert "3 is 1 + 2." in browser.get(f"{INQUIRY}/{newest(sums).id}").text
    assert "3 is 1 + 2." in visit("alice").get(f"feedback/{hers}").text


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (("none", "x"), 422),
        (("check-add", " "), 422),
        (("check-add", "x" * (LONGEST_REASON + 1)), 422),
        (("check-add", "x\r\n" * (LONGEST_REASON // 2)), 303),  # a browser's line break is one character
        (("", "The whole."), 303),
    ],
)
def test_what_can_be_asked(visit: Any, sums: Any, hers: str, said: tuple[str, str], status: int) -> None:
    before = len(sums.store.inquiries("ict101"))

    assert ask(visit, hers, *said).status_code == status
    assert len(sums.store.inquiries("ict101")) == before + (status == 303)


def test_the_same_is_asked_once_and_no_longer_offered(visit: Any, sums: Any, hers: str) -> None:
    offered = '<option value="check-add">'
    before = visit("alice").get(f"feedback/{hers}").text
    ask(visit, hers)

    again = ask(visit, hers)

    assert offered in before
    assert again.status_code == 409
    assert offered not in visit("alice").get(f"feedback/{hers}").text
    assert steps(sums) == [("asked", "alice")]


def test_nobody_asks_about_what_is_not_theirs_or_not_released(visit: Any, sums: Any, hers: str) -> None:
    bobs = sums.store.submissions_of("bob", "ict101", "sums")[0].id

    for name, submission in (
        ("bob", hers),
        ("teacher", hers),
        ("prof", hers),
        ("bob", bobs),
        ("alice", bobs),
    ):
        answer = visit(name).post(f"feedback/{submission}/inquiries", exercise="why", reason="x")
        assert answer.status_code == 404, (name, submission)
    assert len(sums.store.inquiries("ict101")) == 1


def test_an_inquiry_is_seen_by_its_student_and_by_those_who_grade_there(
    visit: Any, sums: Any, hers: str
) -> None:
    ask(visit, hers, reason="For their eyes.")
    number = newest(sums).id
    pages = (INQUIRY, f"{INQUIRY}/{number}", f"courses/net201/inquiries/{number}", f"feedback/{hers}", "")

    seen = {
        name: [path for path in pages if "For their eyes." in visit(name).get(path).text]
        for name in ("alice", "bob", "teacher", "helper", "prof", "other", "nobody")
    }

    both = [f"{INQUIRY}/{number}", f"feedback/{hers}"]
    assert seen == {
        "alice": [f"feedback/{hers}"], "bob": [], "teacher": both, "helper": both, "prof": [], "other": [],
        "nobody": [],
    }  # fmt: skip


def test_nobody_else_goes_on_with_an_inquiry(visit: Any, sums: Any, hers: str) -> None:
    ask(visit, hers)
    number = newest(sums).id
    tries = [
        *((name, f"inquiries/{number}/{what}", 404) for name in ("bob", "teacher", "prof") for what in ("reopen", "withdraw")),
        *((name, f"{INQUIRY}/{number}/{what}", 403) for name in ("alice", "bob", "prof", "other") for what in ("answer", "close")),
        *((name, f"courses/net201/inquiries/{number}/{what}", 404) for name in ("prof", "other") for what in ("answer", "close")),
    ]  # fmt: skip

    for name, path, status in tries:
        assert visit(name).post(path, reason="x", text="x").status_code == status, (name, path)
    assert steps(sums) == [("asked", "alice")]


def test_an_answer_with_new_points_is_in_gradebook_history_and_feedback(
    visit: Any, sums: Any, hers: str
) -> None:
    book = CourseGradebook(sums.settings.places, "ict101")
    mark_why(sums)
    ask(visit, hers)
    teacher, alice = visit("teacher"), visit("alice")

    teacher.post(f"{INQUIRY}/{newest(sums).id}/answer", text="You are right.", points="1,5")
    page = alice.get(f"feedback/{hers}").text

    assert book.submission_marks("sums", "alice").points == 2.5
    assert steps(sums) == [("asked", "alice"), ("mark", "teacher"), ("answered", "teacher")]
    assert "2.5 / 3" in page
    assert re.search(r"check-add</bdi></th>\s*<td class=\"number\"><bdi dir=\"ltr\">1.5 / 2", page)
    assert "from 0 to 1.5 points" in page
    assert "You are right." in page
    assert 'data-state="answered"' in page
    assert f'href="/services/portal/feedback/{hers}#inquiries"' in alice.get().text
    assert points(sums, "bob") == 0


def mark_why(sums: Any) -> None:
    """Mark what waits for a person, so that feedback can be released."""
    from grader.markbook import markbook_of
    from grader.marks import exercise_cells

    cells = exercise_cells(sums.store.blob(sums.store.find_release("ict101", "sums").sha256))
    markbook_of(sums.settings.places, "ict101").mark("sums", "alice", cells, points={"why": 1}, comments={})


def test_an_answer_alone_leaves_mark_and_feedback(visit: Any, sums: Any, hers: str) -> None:
    ask(visit, hers)
    before = sums.store.feedback_of(hers).released_at

    visit("teacher").post(f"{INQUIRY}/{newest(sums).id}/answer", text="No: 3 is not 4.", points="")

    assert steps(sums) == [("asked", "alice"), ("answered", "teacher")]
    assert (points(sums), sums.store.feedback_of(hers).released_at) == (0, before)


@pytest.mark.parametrize(
    ("said", "why"),
    [(("2.5", "So."), "It is worth 2"), (("-1", "So."), "worth"), (("x", "So."), "no number"), (("nan", "So."), "cannot be"), (("1", ""), "no text")],
)  # fmt: skip
def test_an_answer_that_cannot_be_changes_nothing(
    visit: Any, sums: Any, hers: str, said: tuple[str, str], why: str
) -> None:
    ask(visit, hers)

    answer = visit("teacher").post(f"{INQUIRY}/{newest(sums).id}/answer", text=said[1], points=said[0])

    assert answer.status_code == 422
    assert why in answer.text
    assert "Nothing was changed." in answer.text
    assert steps(sums) == [("asked", "alice")]
    assert points(sums) == 0


def test_an_assistants_new_mark_waits_for_an_instructor_to_release_it(
    visit: Any, sums: Any, hers: str
) -> None:
    mark_why(sums)
    ask(visit, hers)
    helper, number = visit("helper"), newest(sums).id

    helper.post(f"{INQUIRY}/{number}/answer", text="You are right.", points="2")
    told, between = helper.get(f"{INQUIRY}/{number}").text, visit("alice").get(f"feedback/{hers}").text
    visit("teacher").post("courses/ict101/labs/sums/students/alice/feedback")
    after = visit("alice").get(f"feedback/{hers}").text

    assert "An instructor has to release the feedback again" in told
    assert "The new mark is not in the feedback that is out" in told
    assert points(sums) == 2
    assert "You are right." in between
    assert "0 / 3" in between
    assert "to 2 points" not in between
    assert "3 / 3" in after
    assert "from 0 to 2 points" in after


def test_points_of_an_older_submission_are_not_changed(visit: Any, sums: Any, hers: str) -> None:
    ask(visit, hers)
    sums.store.submit("ict101", "sums", "alice", pack({"sums.ipynb": b"{}"}))
    teacher, number = visit("teacher"), newest(sums).id

    page = teacher.get(f"{INQUIRY}/{number}").text
    answer = teacher.post(f"{INQUIRY}/{number}/answer", text="So.", points="2")

    assert "handed in again since" in page
    assert 'name="points"' not in page
    assert answer.status_code == 422
    assert points(sums) == 0


def test_a_student_asks_again_withdraws_and_opens_what_they_withdrew(
    visit: Any, sums: Any, hers: str
) -> None:
    ask(visit, hers)
    alice, number = visit("alice"), newest(sums).id
    visit("teacher").post(f"{INQUIRY}/{number}/answer", text="No.")

    alice.post(f"inquiries/{number}/reopen", reason="But yes.")
    alice.post(f"inquiries/{number}/withdraw")
    alice.post(f"inquiries/{number}/reopen", reason="After all.")
    twice = alice.post(f"inquiries/{number}/reopen", reason="Twice.")

    assert [kind for kind, _ in steps(sums)] == ["asked", "answered", "reopened", "closed", "reopened"]
    assert twice.status_code == 409


def test_what_was_closed_by_those_who_grade_is_read_and_not_gone_on_with(
    visit: Any, sums: Any, hers: str
) -> None:
    ask(visit, hers)
    number = newest(sums).id
    visit("helper").post(f"{INQUIRY}/{number}/close")

    page = visit("alice").get(f"feedback/{hers}").text

    assert 'data-state="closed"' in page
    assert f"inquiries/{number}/reopen" not in page
    assert visit("alice").post(f"inquiries/{number}/reopen", reason="x").status_code == 409
    assert visit("teacher").post(f"{INQUIRY}/{number}/answer", text="x", points="2").status_code == 422
    assert points(sums) == 0


def test_asking_has_a_limit(visit: Any, sums: Any, hers: str) -> None:
    alice = visit("alice")
    fields = {"exercise": "check-add", "reason": "x"}

    statuses = [alice.post(f"feedback/{hers}/inquiries", **fields).status_code for _ in range(11)]

    assert statuses == [303, *[409] * 9, 429]


@pytest.mark.parametrize("number", ["0", "-1", "x", str(2**31), "99"])
def test_numbers_that_are_none_are_refused(visit: Any, sums: Any, number: str) -> None:
    assert visit("teacher").get(f"{INQUIRY}/{number}").status_code in (404, 422)
    assert visit("alice").post(f"inquiries/{number}/withdraw").status_code in (404, 422)
