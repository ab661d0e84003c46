"""What marks say of labs, students and outcomes: small classes whose numbers were worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grader.marklog import HandedIn
from grader.models import Member, Release
from hub.portal.attention import students_to_help
from hub.portal.insight import (
    LONGEST_CHECK,
    Failing,
    Quartiles,
    checks_in,
    exercise_insights,
    lab_insight,
    percent,
    span,
    standing,
)
from hub.portal.languages import apart
from hub.portal.mastery import next_steps, outcome_map, read_marks, read_outcomes
from labs.model import Lab

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = START + timedelta(days=30)


def handed_in(
    username: str,
    points: dict[str, float | None] | None = None,
    *,
    lab: str = "a",
    most: float = 10,
    hour: float = 1,
    graded: float = 100,
    out: float | None = None,
    message: str = "",
    state: str | None = "graded",
) -> HandedIn:
    """A submission. points: of each exercise; None is not graded. hour, graded, out: hours after the start."""
    known = points or {}
    total = None if None in known.values() else sum(value or 0.0 for value in known.values())
    here = points is not None
    return HandedIn(
        id=f"{username}-{lab}-{hour}",
        course="c",
        lab=lab,
        username=username,
        received_at=START + timedelta(hours=hour),
        state=state if here else None,
        points=total if here else None,
        max_points=most * len(known) if here else None,
        exercises=[
            {"exercise": name, "points": value, "max_points": most, "message": message}
            for name, value in known.items()
        ],
        graded_at=START + timedelta(hours=graded) if here else None,
        released_at=None if out is None else START + timedelta(hours=out),
        released_points=None if out is None else total,
        released_max_points=None if out is None else most * len(known),
    )


def release(lab: str, due_days: float | None = None, withdrawn: bool = False) -> Release:
    """A lab that was offered at the start."""
    return Release(
        course="c", lab=lab, title=f"Lab {lab}", environment="base", max_points=20.0, released_at=START,
        due_at=None if due_days is None else START + timedelta(days=due_days),
        withdrawn_at=NOW if withdrawn else None,
    )  # fmt: skip


def library(*labs: Lab) -> dict[str, Lab]:
    """Labs by name."""
    return {lab.name: lab for lab in labs}


def lab(name: str, outcomes: dict[str, Sequence[str]], requires: Sequence[str] = ()) -> Lab:
    """A lab whose exercises have these outcomes."""
    exercises: list[dict[str, Any]] = [
        {"id": exercise, "title": exercise, "points": 10, "outcomes": tuple(found)}
        for exercise, found in outcomes.items()
    ]
    return Lab.model_validate(
        {
            "name": name, "folder": ".", "format": "myst", "title": f"Lab {name}", "exercise": exercises,
            "requires": tuple(requires),
        }
    )  # fmt: skip


def people(*names: str) -> list[Member]:
    """Students of the course, and one who teaches it."""
    return [Member(course="c", username=name, role="student", name="") for name in names] + [
        Member(course="c", username="teacher", role="instructor", name="")
    ]


def test_a_lab_that_nobody_handed_in_has_counts_and_no_numbers() -> None:
    empty = lab_insight([], {"ann", "ben"})

    assert (empty.students, empty.handed_in, empty.marked) == (2, 0, 0)
    assert empty.quartiles is None
    assert empty.submissions is None
    assert sum(empty.histogram) == 0
    assert exercise_insights([], {"ann"}, START) == []


def test_one_student_is_every_quartile_and_has_no_discrimination() -> None:
    rows = [handed_in("ann", {"one": 10, "two": 4})]

    found, exercises = lab_insight(rows, {"ann"}), exercise_insights(rows, {"ann"}, START)

    assert found.quartiles == Quartiles(0.7, 0.7, 0.7)
    assert found.histogram == (0, 0, 0, 0, 0, 0, 0, 1, 0, 0)
    assert [(each.exercise, each.share, each.solved) for each in exercises] == [
        ("one", 1, 1),
        ("two", 0.4, 0),
    ]
    assert [(each.discrimination, each.undecided) for each in exercises] == [(None, "needs 10 students")] * 2


def test_quartiles_and_bins_are_those_of_the_class_and_of_no_one_else() -> None:
    rows = [handed_in(name, {"one": mark}) for name, mark in zip("abcde", (0, 2.5, 5, 7.5, 10), strict=True)]
    rows.append(handed_in("teacher", {"one": 10}))

    found = lab_insight(rows, frozenset("abcdef"))

    assert (found.students, found.handed_in, found.marked) == (6, 5, 5)
    assert found.quartiles == Quartiles(0.25, 0.5, 0.75)
    assert found.histogram == (1, 0, 1, 0, 0, 1, 0, 1, 0, 1)


def test_the_newest_graded_submission_counts_even_when_an_older_one_is_graded_later() -> None:
    rows = [
        handed_in("ann", {"one": 2}, hour=1, graded=50),  # graded again, late
        handed_in("ann", {"one": 8}, hour=2, graded=20),
        handed_in("ann", hour=3),  # waits to be graded
        handed_in("ann", {"one": 0}, hour=4, state="failed"),  # a fault of ours
    ]

    found = lab_insight(rows, {"ann"})

    assert [row.points for row in standing(rows, {"ann"})] == [8]
    assert found.quartiles == Quartiles(0.8, 0.8, 0.8)
    assert found.submissions == 4


def test_a_released_mark_counts_until_the_submission_is_graded_again() -> None:
    by_hand = handed_in("ann", {"one": None}, out=200)._replace(released_points=9.0, released_max_points=10.0)
    again = handed_in("ben", {"one": 5}, graded=300, out=200)._replace(released_points=9.0)

    found = lab_insight([by_hand, again], {"ann", "ben"})

    assert found.quartiles is not None
    assert found.quartiles.median == pytest.approx(0.7)  # between 9 and 5 of 10


def test_discrimination_is_the_correlation_with_the_rest_of_the_lab() -> None:
    names = "abcdefghij"
    rows = [
        handed_in(name, {"good": number, "rest": number, "bad": 9 - number, "same": 5})
        for number, name in enumerate(names)
    ]

    found = {each.exercise: each for each in exercise_insights(rows, frozenset(names), START)}

    # good: the rest is number + (9 - number) + 5, constant; bad against 2 * number + 5: exactly opposite
    assert found["bad"].discrimination == pytest.approx(-1)
    assert (found["good"].discrimination, found["good"].undecided) == (None, "all equal")
    assert (found["same"].discrimination, found["same"].undecided) == (None, "all equal")


def test_everyone_equal_has_no_discrimination() -> None:
    names = "abcdefghijkl"
    rows = [handed_in(name, {"one": 10, "two": 10}) for name in names]

    found = exercise_insights(rows, frozenset(names), START)

    assert {(each.discrimination, each.undecided, each.share) for each in found} == {(None, "all equal", 1.0)}


def test_an_answer_marked_by_hand_is_in_no_number_of_its_exercise() -> None:
    rows = [handed_in("ann", {"one": 10, "essay": None})]

    found = exercise_insights(rows, {"ann"}, START)

    assert [each.exercise for each in found] == ["one"]


def test_time_and_submissions_go_up_to_the_first_graded_one_that_solved_it() -> None:
    rows = [
        handed_in("ann", {"one": 3}, hour=2),
        handed_in("ben", {"one": 10}, hour=4),
        handed_in("ann", hour=5),  # never graded: counts as a submission
        handed_in("ann", {"one": 10}, hour=8),
        handed_in("ann", {"one": 10}, hour=9),
        handed_in("cat", {"one": 9}, hour=1),
    ]

    (found,) = exercise_insights(rows, {"ann", "ben", "cat"}, START)

    assert (found.solved, found.students) == (2, 3)
    assert found.submissions == 2  # ann 3, ben 1
    assert found.hours == 6  # ann 8, ben 4


def test_a_lab_released_again_has_no_time_to_solve() -> None:
    rows = [handed_in("ann", {"one": 10}, hour=2), handed_in("ben", {"one": 10}, hour=9)]

    (found,) = exercise_insights(rows, {"ann", "ben"}, START + timedelta(hours=5))

    assert found.hours is None
    assert found.submissions == 1


def test_failing_checks_are_counted_by_their_name_and_not_by_what_was_found() -> None:
    said = "[ok] the mask is right\n[not yet] the network is right\n    expected: a\n    found:    {}"
    rows = [
        handed_in("ann", {"one": 1}, message=said.format("x")),
        handed_in("ben", {"one": 1}, message=said.format("y")),
        handed_in("cat", {"one": 1}, message="NameError: name 'z' is not defined\nmore"),
        handed_in("dan", {"one": 10}, message=said.format("z")),
    ]

    (found,) = exercise_insights(rows, {"ann", "ben", "cat", "dan"}, START)

    assert found.failing == (
        Failing("the network is right", 2),
        Failing("NameError: name 'z' is not defined", 1),
    )


def test_a_check_is_named_once_and_in_bounded_length() -> None:
    assert checks_in("[not yet] a\n[not yet] a\n[not yet] b") == ["a", "b"]
    assert checks_in("\n \n") == []
    assert len(checks_in("x" * 600)[0]) == LONGEST_CHECK


def test_shares_and_times_are_written_in_one_way() -> None:
    assert (percent(0.645), percent(0), percent(1)) == ("64 %", "0 %", "100 %")
    assert (span(5.2), span(47), span(60)) == ("5 h", "47 h", "2.5 days")


# Students who may need help


def test_nobody_needs_help_in_an_empty_course() -> None:
    assert students_to_help([], [], [], NOW) == []
    assert students_to_help(people("ann"), [release("a", 60)], [], NOW) == []


def test_nothing_handed_in_for_a_lab_past_due_is_a_reason() -> None:
    releases = [release("a", 7), release("b", 60), release("c"), release("d", 7, withdrawn=True)]

    found = students_to_help(people("ann", "ben"), releases, [handed_in("ben")], NOW)

    assert [(each.username, each.reasons) for each in found] == [
        ("ann", ("Nothing handed in for Lab a: past due.",))
    ]


def test_marks_far_under_the_median_in_two_labs_are_a_reason_and_in_one_are_none() -> None:
    names = ["ann", "ben", "cat", "dan", "eve"]
    rows = [
        handed_in(name, {"one": 10}, lab=lab, hour=hour)
        for name in names[2:]
        for hour, lab in enumerate("ab")
    ]
    rows += [handed_in("ann", {"one": 5}, lab="a", hour=3), handed_in("ann", {"one": 4}, lab="b", hour=4)]
    rows += [handed_in("ben", {"one": 5}, lab="a", hour=3), handed_in("ben", {"one": 6}, lab="b", hour=4)]

    found = students_to_help(people(*names), [release("a", 7), release("b", 14)], rows, NOW)

    assert [(each.username, each.reasons) for each in found] == [
        (
            "ann",
            (
                "Marks far under the class: 50 % in Lab a, where the median is 100 %; "
                "40 % in Lab b, where the median is 100 %.",
            ),
        )
    ]


def test_marks_that_fall_three_times_running_are_a_reason_in_the_order_of_the_course() -> None:
    releases = [release("c", 21), release("a", 7), release("b", 14)]
    rows = [
        handed_in("ann", {"one": mark}, lab=lab, hour=9 - hour)  # handed in in another order
        for hour, (lab, mark) in enumerate({"a": 9, "b": 8, "c": 7}.items())
    ]
    level = [handed_in("ben", {"one": mark}, lab=lab) for lab, mark in {"a": 9, "b": 8, "c": 8}.items()]

    found = students_to_help(people("ann", "ben"), releases, rows + level, NOW)

    assert [each.reasons for each in found] == [("Marks fall: 90 %, 80 %, 70 % in the last 3 labs.",)]


# Outcomes, and what to do next


def test_an_outcome_is_mastered_from_four_fifths_of_its_points() -> None:
    labs = library(lab("a", {"one": ["x"], "two": ["x", "y"]}), lab("b", {"three": ["z"]}))
    rows = [
        handed_in("ann", {"one": 10, "two": 6}),  # x 16 of 20, y 6 of 10
        handed_in("ben", {"one": 5, "two": 10}),  # x 15 of 20, y 10 of 10
        handed_in("teacher", {"one": 10, "two": 10}),
    ]

    found = outcome_map([release("a", 7), release("b", 14)], labs, rows, {"ann", "ben", "cat"})

    assert [(each.outcome, each.labs, each.mastered, each.students) for each in found] == [
        ("x", ("Lab a",), 1, 2),
        ("y", ("Lab a",), 1, 2),
        ("z", ("Lab b",), 0, 0),
    ]
    assert found[0].share == pytest.approx((0.8 + 0.75) / 2)


def test_a_student_reads_only_marks_whose_feedback_is_out() -> None:
    releases, labs = [release("a"), release("b")], library(lab("a", {"one": ["x"]}), lab("b", {"one": ["y"]}))
    rows = [handed_in("ann", {"one": 10}, lab="a", out=200), handed_in("ann", {"one": 10}, lab="b", hour=2)]

    marks = read_marks(releases, rows)

    assert [(each.release.lab, str(each.mark)) for each in marks] == [("a", "10 / 10")]
    assert [each.outcome for each in read_outcomes(marks, releases, labs)] == ["x"]


def test_a_later_regrade_changes_no_outcome_before_it_is_released() -> None:
    releases, labs = [release("a")], library(lab("a", {"one": ["x"]}))
    rows = [handed_in("ann", {"one": 2}, graded=300, out=200)._replace(released_points=9.0)]

    marks = read_marks(releases, rows)

    assert [str(each.mark) for each in marks] == ["9 / 10"]
    assert read_outcomes(marks, releases, labs) == []


def test_the_next_lab_is_the_one_due_first_after_what_it_builds_on() -> None:
    releases = [release("later", 60), release("next", 40), release("base", 7)]
    labs = library(
        lab("base", {"one": ["x"]}),
        lab("next", {"one": ["y"]}, requires=["base"]),
        lab("later", {"one": ["z"]}),
    )
    weak = handed_in("ann", {"one": 5}, lab="base", out=200)

    untouched = next_steps(releases, labs, [], NOW)
    begun = next_steps(releases, labs, [weak], NOW)
    unread = next_steps(releases, labs, [weak._replace(released_at=None)], NOW)

    assert [each.release.lab for each in untouched] == ["base", "next"]
    assert untouched[0].why == f"{apart('Lab next')} builds on it, and you have handed in nothing for it."
    assert begun[0].why == f"{apart('Lab next')} builds on it, and your mark is 50%; 80% is safe."
    assert [each.release.lab for each in unread] == ["next"]


def test_a_weak_outcome_leads_to_a_lab_that_is_new_before_one_that_is_not() -> None:
    releases = [release("a", 7), release("b", 60), release("c", 50)]
    labs = library(lab("a", {"one": ["x"]}), lab("b", {"one": ["x"]}), lab("c", {"one": ["y"]}))
    rows = [handed_in("ann", {"one": 4}, lab="a", out=200)]

    new = next_steps(releases, labs, rows, NOW)
    again = next_steps(releases[:1], labs, rows, NOW)

    assert [(each.release.lab, each.why) for each in new][1:] == [
        ("b", f"It teaches {apart('x')}, where you have 4 of 10 points.")
    ]
    assert again[0].why.endswith("4 of 10 points. Go through it again with its feedback.")


def test_a_lab_past_due_comes_after_those_that_can_still_be_in_time() -> None:
    steps = next_steps([release("past", 7), release("next", 40)], {}, [], NOW)

    assert [each.release.lab for each in steps] == ["next", "past"]
    assert "late work" in steps[1].why


def test_there_is_nothing_to_do_when_all_is_handed_in_and_strong() -> None:
    labs = library(lab("a", {"one": ["x"]}))

    assert next_steps([release("a", 7)], labs, [handed_in("ann", {"one": 10}, out=200)], NOW) == []
