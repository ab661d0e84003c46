"""A check says expected, found and where to look; it earns a number between 0 and its points, whatever comes."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ictlab.check import Check


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The notebook's variables."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("ictlab.check._variables", lambda: given)
    return given


def that(check: Check, holds: object, **more: Any) -> bool:
    return check.that("room", holds, expected="50", found=more.pop("found", 12), look="the prefix", **more)


def test_failed_check_says_expected_found_and_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    check = Check(2)

    assert not that(check, False, points=2)
    assert check.earned == 0
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "[not yet] room", "expected: 50", "found:    12", "look at:  the prefix",
    ]  # fmt: skip


def test_points_add_up_to_a_plain_number() -> None:
    check = Check(1)
    for _ in range(3):
        that(check, True, points=1 / 3)

    assert repr(check.earned) == "1"


def test_partial_pays_a_share() -> None:
    check = Check(3)
    that(check, False, points=3, partial=0.5)

    assert check.earned == 1.5


@pytest.mark.parametrize(("points", "earned"), [(5, 2), (-5, 0), (float("nan"), 0), (float("inf"), 0)])
def test_earned_stays_between_0_and_its_points(points: float, earned: float) -> None:
    check = Check(2)
    that(check, True, points=points)

    assert check.earned == earned


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (None, dict, "no answer yet"),
        ({}, dict, "still empty"),
        ([], (list, tuple), "still empty"),
        ([1], dict, "expected: a dictionary"),
        ("7", int, "expected: a whole number"),
        (True, int, "expected: a whole number"),
        (3, callable, "expected: a function"),
        ("x", (list, set), "expected: a list or a set"),
    ],
)
def test_missing_answer_is_none_with_a_sentence(
    variables: dict[str, Any], capsys: pytest.CaptureFixture[str], value: object, kind: Any, said: str
) -> None:
    variables["plan"] = value

    assert Check(1).answer("plan", kind) is None
    assert said in capsys.readouterr().out


def test_answer_comes_back_as_it_is(variables: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    variables.update(plan={"a": 1}, count=0, nothing=[])
    check = Check(1)

    assert check.answer("plan", dict) is variables["plan"]
    assert check.answer("count", int) == 0
    assert check.answer("nothing", list, empty=True) == []
    assert capsys.readouterr().out == ""


def test_error_of_a_function_is_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: int) -> int:
        print("a warning", file=sys.stderr)
        raise KeyError("voice")

    check = Check(1)
    that(check, False, found=check.call(broken, 3))

    captured = capsys.readouterr()
    assert "an error: KeyError: 'voice'" in captured.out
    assert captured.err == "", "nbgrader takes any line on stderr for a failed check"


def test_answer_whose_repr_or_truth_fails_is_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    class Awkward:
        def __repr__(self) -> str:
            raise RuntimeError("no")

        def __bool__(self) -> bool:
            raise RuntimeError("never")

    check = Check(1)

    assert not that(check, Awkward(), found=Awkward(), points=1)
    assert not that(check, False, found=Awkward(), points=1)
    assert (check.earned, "RuntimeError" in capsys.readouterr().out) == (0, True)


def test_long_finds_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    that(Check(1), False, found="x" * 10_000)

    assert len(capsys.readouterr().out) < 500
