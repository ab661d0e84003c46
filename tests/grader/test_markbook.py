"""Marks and comments by hand: what is written is what Formgrader would write, and nbgrader reads it so."""

from __future__ import annotations

from typing import Any

import pytest
from nbgrader.api import Gradebook

from grader.feedback import release_feedback
from grader.gradebook import GradebookError
from grader.markbook import Markbook, MarkRefused, markbook_of
from grader.marks import LONGEST_COMMENT, ExerciseCells, HandMarked, Points, exercise_cells

WRONG = "def add(a, b):\n    return 3"
# an exercise of two cells, as the labs of the catalogue have: a check and a written answer
BOTH = (
    ExerciseCells("add", "sums", (), ("add",)),
    ExerciseCells("sums", "sums", ("check-add", "why"), ("why",)),
)


def cells(course: Any) -> tuple[ExerciseCells, ...]:
    return exercise_cells(course.store.blob(course.released.sha256))


def rows(course: Any, student: str) -> dict[str, tuple[Any, ...]]:
    """What nbgrader's own API has of a student's cells."""
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        notebook = gradebook.find_submission_notebook("sums", "sums", student)
        found = {
            row.name: (row.auto_score, row.manual_score, row.needs_manual_grade, row.score)
            for row in notebook.grades
        }
        return found | {f"comment on {row.name}": (row.manual_comment,) for row in notebook.comments}


def formgrader_puts(course: Any, student: str, cell: str, points: float | None) -> None:
    """What Formgrader's handler of PUT /api/grade does with the same points."""
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        grade = gradebook.find_grade(cell, "sums", "sums", student)
        grade.manual_score = points
        grade.needs_manual_grade = grade.manual_score is None and grade.auto_score is None
        gradebook.db.commit()


@pytest.fixture
def book(course: Any) -> Markbook:
    """Alice and bob handed in the same wrong answer, with a written one that waits."""
    for name in ("alice", "bob"):
        course.hand_in(name, course.notebook(add=WRONG, why="So it is."))
    course.grade()
    return markbook_of(course.places, "ict101")


def test_exercises_are_the_releases_with_their_answers(course: Any) -> None:
    assert cells(course) == (
        ExerciseCells("add", "sums", (), ("add",)),
        ExerciseCells("check-add", "sums", ("check-add",), ()),
        ExerciseCells("why", "sums", ("why",), ("why",)),
    )


def test_an_archive_without_a_readable_notebook_has_no_exercises(course: Any) -> None:
    from grader.archives import pack

    odd = {
        "a.ipynb": b"{}", "b.ipynb": b"\xff", "c.ipynb": b"[]", "d.ipynb": b'{"cells": [1, {"metadata": []}]}',
        "e.ipynb": b'{"cells": [{"metadata": {"nbgrader": {"grade_id": 7, "grade": true}}}]}',
    }  # fmt: skip

    assert exercise_cells(course.store.blob(course.store.put_blob(pack(odd)))) == ()


@pytest.mark.parametrize("points", [0.0, 0.5, 1.0, None])
def test_a_mark_is_written_as_formgrader_writes_it(course: Any, book: Markbook, points: float | None) -> None:
    book.mark("sums", "alice", cells(course), points={"why": points}, comments={})
    formgrader_puts(course, "bob", "why", points)

    assert rows(course, "alice") == rows(course, "bob")


def test_a_mark_instead_of_the_checks_and_back_is_as_in_formgrader(course: Any, book: Markbook) -> None:
    for points in (1.5, None):
        book.mark("sums", "alice", cells(course), points={"check-add": points}, comments={})
        formgrader_puts(course, "bob", "check-add", points)

        assert rows(course, "alice") == rows(course, "bob")


def test_the_points_of_an_exercise_with_two_cells_go_where_there_is_room(course: Any, book: Markbook) -> None:
    change = book.mark("sums", "alice", BOTH, points={"sums": 2.5}, comments={})

    assert [(each.exercise, each.before, each.after, each.max_points) for each in change] == [
        ("sums", 0.0, 2.5, 3.0)
    ]
    found = rows(course, "alice")
    assert (found["check-add"], found["why"]) == ((0.0, 2.0, False, 2.0), (None, 0.5, False, 0.5))
    assert course.marks()["alice"] == (2.5, False)


def test_fewer_points_than_the_checks_gave_can_be_given(course: Any) -> None:
    course.solved("alice", why="So it is.")
    course.grade()
    book = markbook_of(course.places, "ict101")

    book.mark("sums", "alice", BOTH, points={"sums": 0.5}, comments={})

    assert course.marks()["alice"] == (0.5, False)
    assert rows(course, "alice")["check-add"] == (2.0, 0.5, False, 0.5)


@pytest.mark.parametrize("points", [-0.1, 1.1, float("nan"), float("inf")])
def test_points_that_cannot_be_change_nothing_at_all(course: Any, book: Markbook, points: float) -> None:
    before = rows(course, "alice")

    with pytest.raises(MarkRefused, match="It is worth 1"):
        book.mark(
            "sums",
            "alice",
            cells(course),
            points={"check-add": 1.0, "why": points},
            comments={("sums", "add"): "Half."},
        )

    assert rows(course, "alice") == before


def test_a_comment_is_the_one_that_nbgrader_formgrader_and_feedback_have(course: Any, book: Markbook) -> None:
    book.mark(
        "sums", "alice", cells(course), points={"why": 1}, comments={("sums", "why"): "Well <b>said</b>."}
    )

    assert rows(course, "alice")["comment on why"] == ("Well <b>said</b>.",)
    assert book.submission_marks("sums", "alice").cells["sums"]["why"].comment == "Well <b>said</b>."
    book.mark("sums", "alice", cells(course), points={}, comments={("sums", "why"): ""})
    assert rows(course, "alice")["comment on why"] == (None,)
    with pytest.raises(MarkRefused, match="4000 at most"):
        book.mark(
            "sums", "alice", cells(course), points={}, comments={("sums", "why"): "x" * (LONGEST_COMMENT + 1)}
        )


def test_a_sheet_says_what_a_person_gave_and_what_waits(course: Any, book: Markbook) -> None:
    before = book.sheet("sums", "alice", cells(course)).exercise("why")
    book.mark("sums", "alice", cells(course), points={"why": 1}, comments={("sums", "why"): "Yes."})
    after = book.sheet("sums", "alice", cells(course)).exercise("why")

    assert before and after
    assert (before.points, before.auto_points, before.by_hand, before.waits) == (0, None, False, True)
    assert (after.points, after.by_hand, after.waits, after.answers[0].comment) == (1, True, False, "Yes.")
    with pytest.raises(GradebookError, match="Grade it first"):
        book.sheet("sums", "carol", cells(course))


def test_who_was_marked_by_hand_is_found_with_points_by_exercise(course: Any, book: Markbook) -> None:
    assert book.marked_by_hand("sums", cells(course), ["alice", "bob"]) == {}

    book.mark("sums", "alice", cells(course), points={"check-add": 1.5}, comments={})

    shown = {"check-add": Points(1.5, True), "why": Points(None, False)}
    assert book.marked_by_hand("sums", cells(course), ["alice", "bob"]) == {
        "alice": HandMarked(1.5, True, shown)
    }
    assert book.marked_by_hand("sums", cells(course), []) == {"alice": HandMarked(1.5, True, {})}
    book.mark("sums", "alice", cells(course), points={"why": 0.5}, comments={})
    found = book.marked_by_hand("sums", cells(course), ["alice"])["alice"]
    assert (found.points, found.waits) == course.marks()["alice"] == (2, False)


def test_another_grading_keeps_marks_and_asks_a_person_to_look_again(course: Any, book: Markbook) -> None:
    book.mark("sums", "alice", cells(course), points={"why": 1}, comments={("sums", "why"): "Yes."})

    course.grade(students=["alice"], regrade=True)
    sheet = book.sheet("sums", "alice", cells(course)).exercise("why")
    book.mark("sums", "alice", cells(course), points={"why": 1}, comments={})

    assert sheet
    assert (sheet.points, sheet.by_hand, sheet.waits, sheet.answers[0].comment) == (1, True, True, "Yes.")
    assert course.marks()["alice"] == (1, False)


def test_feedback_tells_points_and_comment_of_each_exercise_as_a_person_gave_them(
    course: Any, book: Markbook
) -> None:
    book.mark(
        "sums",
        "alice",
        cells(course),
        points={"check-add": 0.5, "why": 1},
        comments={("sums", "why"): "Yes."},
    )

    release_feedback(course.store, course.places, "ict101", "sums", by="teacher", students=["alice"])

    newest = {each.username: each.id for each in course.store.newest_submissions("ict101", "sums")}
    feedback = course.store.feedback_of(newest["alice"])
    told = [
        (each["exercise"], each["points"], each["by_hand"], each["comment"]) for each in feedback.exercises
    ]
    assert told == [("check-add", 0.5, True, ""), ("why", 1, True, "Yes.")]
    assert feedback.points == 1.5
    assert course.store.feedback_of(newest["bob"]) is None
