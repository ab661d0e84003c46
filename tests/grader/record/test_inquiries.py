"""Inquiries in the record: one for each exercise, every step kept, and nothing said twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grader.archives import pack
from grader.inquiries import LONGEST_ANSWER, LONGEST_REASON, MOST_STEPS, InquiryRefused
from grader.models import Inquiry, Submission
from grader.store import NotThere, Store


@pytest.fixture
def alices(store: Store) -> Submission:
    """A submission of alice's."""
    store.release(
        "ict101", "lab", pack({"lab.ipynb": b"{}"}), title="Lab", environment="base", max_points=1, by="t"
    )
    return store.submit("ict101", "lab", "alice", pack({"lab.ipynb": b"{}"}))


def history(store: Store, row: Inquiry) -> list[tuple[str, str, str]]:
    return [(step.kind, step.by, step.text) for step in store.inquiry(row.id)[1]]


def test_every_step_of_an_inquiry_is_kept_in_its_order(store: Store, alices: Submission) -> None:
    row = store.inquire(alices, "mask", " Why?\r\nIt is right.\x00 ")
    store.answer_inquiry(row.id, by="teacher", text="So it is.", points=(8, 9))
    store.reopen_inquiry(row.id, by="alice", reason="And the rest?")
    store.answer_inquiry(row.id, by="helper", text="That is wrong.")
    store.close_inquiry(row.id, by="teacher")

    found, steps = store.inquiry(row.id)
    assert history(store, row) == [
        ("asked", "alice", "Why?\nIt is right."),
        ("mark", "teacher", ""),
        ("answered", "teacher", "So it is."),
        ("reopened", "alice", "And the rest?"),
        ("answered", "helper", "That is wrong."),
        ("closed", "teacher", ""),
    ]
    assert (steps[1].points_before, steps[1].points_after) == (8, 9)
    assert (found.state, found.changed_at) == ("closed", steps[-1].at)
    assert [step.at for step in steps] == sorted(step.at for step in steps)


def test_there_is_one_inquiry_about_each_exercise_and_one_about_the_whole(
    store: Store, alices: Submission
) -> None:
    for exercise in ("", "mask", "split"):
        store.inquire(alices, exercise, "Why?")

    for exercise in ("", "mask"):
        with pytest.raises(InquiryRefused, match="already"):
            store.inquire(alices, exercise, "Why?")
    assert len(store.inquiries("ict101")) == 3


def test_two_presses_at_once_ask_once(store: Store, alices: Submission) -> None:
    def ask(_: int) -> bool:
        try:
            store.inquire(alices, "mask", "Why?")
        except InquiryRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        asked = list(people.map(ask, range(8)))

    assert asked.count(True) == 1
    assert history(store, store.inquiries("ict101")[0]) == [("asked", "alice", "Why?")]


def test_what_staff_closed_stays_closed_and_what_the_student_withdrew_does_not(
    store: Store, alices: Submission
) -> None:
    closed, withdrawn = (store.inquire(alices, each, "Why?") for each in ("mask", "split"))
    store.close_inquiry(closed.id, by="teacher")
    store.close_inquiry(withdrawn.id, by="alice")

    with pytest.raises(InquiryRefused, match="cannot be opened"):
        store.reopen_inquiry(closed.id, by="alice", reason="Please.")
    with pytest.raises(InquiryRefused, match="closed"):
        store.answer_inquiry(closed.id, by="teacher", text="No.")
    with pytest.raises(InquiryRefused, match="already"):
        store.close_inquiry(closed.id, by="teacher")
    assert store.reopen_inquiry(withdrawn.id, by="alice", reason="After all.").state == "open"
    with pytest.raises(InquiryRefused, match="cannot be opened"):
        store.reopen_inquiry(withdrawn.id, by="alice", reason="Twice.")


@pytest.mark.parametrize("text", ["", " \n\t ", "\x00", "x" * (LONGEST_REASON + 1)])
def test_no_text_and_too_much_of_it_are_refused(store: Store, alices: Submission, text: str) -> None:
    row = store.inquire(alices, "mask", "x" * LONGEST_REASON)
    store.answer_inquiry(row.id, by="teacher", text="x" * LONGEST_ANSWER)
    before = history(store, row)

    with pytest.raises(InquiryRefused):
        store.inquire(alices, "split", text)
    with pytest.raises(InquiryRefused):
        store.reopen_inquiry(row.id, by="alice", reason=text)
    with pytest.raises(InquiryRefused):
        store.answer_inquiry(row.id, by="teacher", text=text and text * 2)

    assert history(store, row) == before
    assert len(store.inquiries("ict101")) == 1


def test_a_history_has_an_end(store: Store, alices: Submission) -> None:
    row = store.inquire(alices, "", "Why?")
    for _ in range(MOST_STEPS - 1):
        store.answer_inquiry(row.id, by="teacher", text="So.")

    with pytest.raises(InquiryRefused, match="Talk in person"):
        store.answer_inquiry(row.id, by="teacher", text="So.")
    assert len(history(store, row)) == MOST_STEPS


def test_the_open_ones_of_a_course_come_first_and_are_counted(store: Store, alices: Submission) -> None:
    one, two, three = (store.inquire(alices, each, "Why?").id for each in ("a", "b", "c"))
    store.answer_inquiry(three, by="teacher", text="So.")

    assert [row.id for row in store.inquiries("ict101")] == [two, one, three]
    assert store.count_open_inquiries("ict101") == 2
    assert store.inquiries("net201") == []


def test_a_students_news_are_their_own_new_answers(store: Store, alices: Submission) -> None:
    asked: dict[str, Any] = {each: store.inquire(alices, each, "Why?").id for each in ("a", "b", "c")}
    bobs = store.submit("ict101", "lab", "bob", pack({"lab.ipynb": b"{}"}))
    other = store.inquire(bobs, "a", "Why?").id
    for number in (asked["a"], asked["b"], other):
        store.answer_inquiry(number, by="teacher", text="So.")
    store.reopen_inquiry(asked["a"], by="alice", reason="But.")
    since = datetime.now(UTC) - timedelta(days=1)

    assert [row.id for row in store.answered_inquiries("alice", since=since, most=3)] == [asked["b"]]
    assert store.answered_inquiries("alice", since=datetime.now(UTC), most=3) == []


def test_one_that_is_not_there_is_told_so(store: Store) -> None:
    with pytest.raises(NotThere, match="no inquiry 7"):
        store.inquiry(7)
