"""Who sees which question, whose name is kept from whom, and what answers, closing and withdrawing make of one."""

from __future__ import annotations

from typing import Any

import pytest

from grader.people import Person
from grader.questions import LONGEST_TEXT, LONGEST_TITLE, MOST_POSTS, Asked, QuestionRefused, Wanted
from grader.store import NotThere, Store

ALICE = Person("alice", frozenset({"nbgrader-ict101"}))
BOB = Person("bob", frozenset({"nbgrader-ict101"}))
TEACHER = Person("teacher", frozenset({"formgrade-ict101"}))
ASSISTANT = Person("tess", frozenset({"assist-ict101"}))
PROF = Person("prof", frozenset({"formgrade-net201", "nbgrader-net201"}))
NOBODY = Person("zoe", admin=True)
EVERYBODY = (ALICE, BOB, TEACHER, ASSISTANT, PROF, NOBODY)


def ask(store: Store, by: Person = ALICE, title: str = "Masks", text: str = "Why /26?", **how: Any) -> int:
    return store.ask("ict101", by, title, text, **how)


def listed(store: Store, by: Person, **wanted: Any) -> list[str]:
    return [row.title for row in store.questions("ict101", by, Wanted(**wanted), 0, 50)]


def texts(store: Store, number: int, by: Person) -> list[str]:
    asked = store.question("ict101", number, by)
    return [post.text for post in store.posts(asked, by, 0, 50)]


def seen(store: Store, number: int, by: Person) -> Asked | None:
    """The question as this person reaches it in a list and by its number: both ways must say the same."""
    rows = [row for row in store.questions("ict101", by, Wanted(), 0, 50) if row.id == number]
    assert store.count_questions("ict101", by, Wanted()) == len(rows)
    try:
        found = store.question("ict101", number, by)
    except NotThere:
        assert rows == []
        return None
    assert rows == [found]
    return found


@pytest.mark.parametrize(
    ("how", "who_sees", "who_knows"),
    [
        ({}, "alice teacher tess", "alice teacher tess"),
        ({"named": True}, "alice teacher tess", "alice teacher tess"),
        ({"shown_to": "course"}, "alice bob teacher tess", "alice teacher tess"),
        ({"shown_to": "course", "named": True}, "alice bob teacher tess", "alice bob teacher tess"),
    ],
)
def test_each_person_sees_what_is_for_them_and_the_name_that_is(
    store: Store, how: dict[str, Any], who_sees: str, who_knows: str
) -> None:
    number = ask(store, **how)

    found = {person.name: seen(store, number, person) for person in EVERYBODY}

    assert {name for name, row in found.items() if row} == set(who_sees.split())
    assert {name for name, row in found.items() if row and row.author == "alice"} == set(who_knows.split())
    for person in (each for each in EVERYBODY if found[each.name]):
        (post,) = store.posts(store.question("ict101", number, person), person, 0, 50)
        assert (post.author == "alice") == (person.name in who_knows.split())


def test_a_private_question_that_is_shown_later_does_not_name_its_author(store: Store) -> None:
    number = ask(store, named=True)

    store.show_question("ict101", number, TEACHER, "course")
    shown = store.question("ict101", number, BOB)
    store.show_question("ict101", number, ASSISTANT, "instructors")

    assert (shown.author, shown.name) == ("", "")
    assert seen(store, number, BOB) is None


def test_no_search_finds_a_name_that_is_kept_or_a_question_that_is_private(store: Store) -> None:
    ask(store, title="Private", text="about OSPF")
    ask(store, title="Shared", text="about 100% of BGP", shown_to="course")

    assert listed(store, BOB) == ["Shared"]
    assert listed(store, BOB, text="alice") == listed(store, BOB, text="ospf") == []
    assert sorted(listed(store, TEACHER, text="alice")) == ["Private", "Shared"]
    assert listed(store, ALICE, text="OSPF about") == ["Private"]
    assert listed(store, ALICE, text="100%") == ["Shared"]
    assert listed(store, ALICE, text="%") == ["Shared"]
    assert listed(store, BOB, mine=True) == []


def test_an_answer_is_news_for_its_author_until_it_is_read(store: Store) -> None:
    number = ask(store)
    assert store.count_waiting(["ict101", "net201"]) == {"ict101": 1}

    store.answer("ict101", number, TEACHER, "Because of the 60 hosts.")

    assert [row.title for row in store.question_news(ALICE, ["ict101"], 5)] == ["Masks"]
    assert store.question_news(BOB, ["ict101"], 5) == []
    assert store.question_news(ALICE, ["net201"], 5) == []
    assert store.count_waiting(["ict101"]) == {}
    store.question_read(store.question("ict101", number, TEACHER), TEACHER)
    assert store.question("ict101", number, ALICE).news
    store.question_read(store.question("ict101", number, ALICE), ALICE)
    assert store.question_news(ALICE, ["ict101"], 5) == []
    assert texts(store, number, ALICE) == ["Why /26?", "Because of the 60 hosts."]


@pytest.mark.parametrize(("helper", "role"), [(TEACHER, "instructor"), (ASSISTANT, "assistant")])
def test_who_teaches_answers_a_question_and_a_classmate_leaves_it_open(
    store: Store, helper: Person, role: str
) -> None:
    number = ask(store, shown_to="course")

    states = [
        store.answer("ict101", number, person, "So.").state for person in (BOB, helper, BOB, ALICE, helper)
    ]
    posts = store.posts(store.question("ict101", number, BOB), BOB, 0, 50)

    assert states == ["open", "answered", "answered", "open", "answered"]
    assert [(post.author, post.role, post.by_asker) for post in posts] == [
        ("", "", True), ("bob", "student", False), (helper.name, role, False),
        ("bob", "student", False), ("", "", True), (helper.name, role, False),
    ]  # fmt: skip


def test_what_waits_longest_comes_first_for_who_answers(store: Store) -> None:
    first, second = (
        ask(store, title="First", shown_to="course"),
        ask(store, title="Second", shown_to="course"),
    )
    third = ask(store, title="Third", shown_to="course")
    store.answer("ict101", first, TEACHER, "So.")

    assert listed(store, TEACHER) == ["Second", "Third", "First"]
    assert listed(store, BOB) == ["First", "Third", "Second"]
    assert listed(store, TEACHER, state="answered") == ["First"]
    rows = store.questions("ict101", TEACHER, Wanted(), 1, 1)
    assert [row.id for row in rows] == [third]
    assert second != third


def test_a_closed_question_takes_more_only_from_its_author_and_who_answers(store: Store) -> None:
    number = ask(store, shown_to="course")
    with pytest.raises(NotThere):
        store.close_question("ict101", number, BOB)

    store.close_question("ict101", number, ALICE)

    assert not store.question("ict101", number, BOB).may_reply
    with pytest.raises(QuestionRefused, match="no more answers"):
        store.answer("ict101", number, BOB, "Me too.")
    assert store.answer("ict101", number, TEACHER, "One more thing.").state == "answered"
    store.close_question("ict101", number, TEACHER)
    assert store.answer("ict101", number, ALICE, "It is back.").state == "open"


def test_a_withdrawn_post_stays_in_the_record_and_is_read_by_who_teaches_only(store: Store) -> None:
    number = ask(store, shown_to="course")
    store.answer("ict101", number, BOB, "The answer is 42.")
    store.answer("ict101", number, TEACHER, "Think.")
    _, bobs, teachers = store.posts(store.question("ict101", number, TEACHER), TEACHER, 0, 50)
    for person in (ALICE, PROF, NOBODY):
        with pytest.raises(NotThere):
            store.withdraw_post("ict101", number, bobs.id, person)
    with pytest.raises(NotThere):
        store.withdraw_post("ict101", number, teachers.id, ASSISTANT)

    store.withdraw_post("ict101", number, bobs.id, ASSISTANT)
    store.withdraw_post("ict101", number, teachers.id, TEACHER)

    assert texts(store, number, BOB) == ["Why /26?", "", ""]
    assert texts(store, number, ASSISTANT) == ["Why /26?", "The answer is 42.", "Think."]
    assert listed(store, TEACHER, text="42") == []
    assert store.question("ict101", number, ALICE).state == "open"  # nothing that stands answers it


def test_the_first_post_takes_the_question_with_it(store: Store) -> None:
    number = ask(store, shown_to="course")
    (post,) = store.posts(store.question("ict101", number, ALICE), ALICE, 0, 50)
    other = ask(store, title="Other")
    with pytest.raises(NotThere):
        store.withdraw_post("ict101", other, post.id, ALICE)

    store.withdraw_post("ict101", number, post.id, ALICE)

    assert [bool(seen_row) for seen_row in _reached(store, number)] == [True, False, True]
    assert store.count_waiting(["ict101"]) == {"ict101": 1}
    for person in (ALICE, TEACHER):
        with pytest.raises(QuestionRefused):
            store.answer("ict101", number, person, "x")
    store.close_question("ict101", number, TEACHER)
    assert store.question("ict101", number, TEACHER).state == "withdrawn"


def _reached(store: Store, number: int) -> list[bool]:
    found = []
    for person in (ALICE, BOB, TEACHER):
        rows = store.questions("ict101", person, Wanted(), 0, 50)
        found.append(number in [row.id for row in rows])
    return found


@pytest.mark.parametrize("person", [BOB, PROF, NOBODY])
def test_nobody_else_changes_a_private_question(store: Store, person: Person) -> None:
    number = ask(store)

    for change in (
        lambda: store.answer("ict101", number, person, "x"),
        lambda: store.close_question("ict101", number, person),
        lambda: store.show_question("ict101", number, person, "course"),
        lambda: store.withdraw_post("ict101", number, 1, person),
        lambda: store.answer("net201", number, person, "x"),
    ):
        with pytest.raises(NotThere, match=r"^There is no such question for you\."):
            change()

    assert store.question("ict101", number, TEACHER).state == "open"
    with pytest.raises(NotThere):
        store.show_question("ict101", number, ALICE, "course")  # shown is for good: who teaches decides


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("", "text"),
        (" \r\n", "text"),
        ("title", " \x00\n"),
        ("t" * (LONGEST_TITLE + 1), "x"),
        ("t", "x" * (LONGEST_TEXT + 1)),
    ],
)
def test_a_question_without_a_text_or_with_too_much_is_refused(store: Store, title: str, text: str) -> None:
    with pytest.raises(QuestionRefused):
        ask(store, title=title, text=text)

    assert store.count_questions("ict101", TEACHER, Wanted()) == 0


def test_a_question_is_about_a_lab_of_the_course_or_none(store: Store) -> None:
    store.release("ict101", "sums", b"PK", title="Sums", environment="base", max_points=1, by="teacher")

    number = ask(store, lab="sums", exercise="add")
    with pytest.raises(QuestionRefused, match="no such lab"):
        ask(store, lab="other")
    with pytest.raises(NotThere):
        store.ask("net201", ALICE, "Masks", "text")

    row = store.question("ict101", number, ALICE)
    assert (row.lab, row.exercise) == ("sums", "add")
    assert listed(store, ALICE, lab="sums") == ["Masks"]
    assert listed(store, ALICE, lab="other") == []


def test_text_is_kept_with_its_lines_and_without_what_no_database_takes(store: Store) -> None:
    number = ask(store, title="A\r\nB\ud800", text="\r\n    indented\r\n\x00\x1b[31mred\ud800 ")

    assert store.question("ict101", number, ALICE).title == "A B"
    assert texts(store, number, ALICE) == ["    indented\n[31mred"]


def test_a_thread_has_an_end(store: Store) -> None:
    number = ask(store)
    for _ in range(MOST_POSTS - 1):
        store.answer("ict101", number, ALICE, "x")

    with pytest.raises(QuestionRefused, match="as long as threads can be"):
        store.answer("ict101", number, ALICE, "x")
