"""Honest submissions: marks, partial credit, messages, files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest


def test_a_solved_notebook_earns_everything_but_the_written_answer(
    bench: Any, points: Callable[..., Any]
) -> None:
    graded = bench.grade(bench.solved(why="Because it is so."))
    assert points(graded) == {"add": 2, "double": 3, "why": None}
    assert (graded.points, graded.max_points, graded.needs_manual, graded.message) == (5, 7, True, "")


def test_an_untouched_notebook_earns_nothing_and_waits_for_nobody(
    bench: Any, points: Callable[..., Any]
) -> None:
    graded = bench.grade(bench.notebook())
    assert points(graded) == {"add": 0, "double": 0, "why": 0}
    assert not graded.needs_manual


def test_a_check_may_give_part_of_its_points(bench: Any, points: Callable[..., Any]) -> None:
    graded = bench.grade(bench.solved(double="def double(n):\n    return n + 2"))
    assert points(graded)["double"] == 1


def test_a_failed_check_says_what_it_expected(bench: Any) -> None:
    graded = bench.grade(bench.solved(add="def add(a, b):\n    return a - b"))
    messages = {mark.exercise: mark.message for mark in graded.exercises}
    assert messages["add"] == "AssertionError: add(1, 2) should be 3"


def test_hidden_tests_count(bench: Any) -> None:
    graded = bench.grade(bench.solved(add="def add(a, b):\n    return 3"))
    assert graded.exercises[0].points == 0
    assert graded.exercises[0].message == "AssertionError: a hidden one"


def test_cells_and_files_of_the_student_are_used_and_the_labs_files_win(
    bench: Any, points: Callable[..., Any]
) -> None:
    notebook = bench.solved(add="from mine import add\nassert open('table.csv').read() == 'n\\n7\\n'")
    files = {
        "sums.ipynb": nbformat.writes(notebook).encode(),
        "mine.py": b"def add(a, b):\n    return a + b\n",
    }
    graded = bench.grade_files(files | {"table.csv": b"changed"})
    assert points(graded)["add"] == 2


@pytest.mark.parametrize("sent", [{".variant": b"mine"}, {".variant/x": b"mine"}, {}])
def test_the_site_s_seed_wins_over_what_a_student_sent(
    bench: Any, points: Callable[..., Any], sent: dict[str, bytes]
) -> None:
    notebook = bench.solved(add="assert open('.variant').read() == 'ours'\ndef add(a, b):\n    return a + b")
    files = {"sums.ipynb": nbformat.writes(notebook).encode()} | sent

    assert points(bench.grade_files(files, variant="ours"))["add"] == 2


def test_without_a_seed_of_the_site_a_student_s_is_not_used(bench: Any, points: Callable[..., Any]) -> None:
    notebook = bench.solved(
        add="import os\nassert not os.path.exists('.variant')\ndef add(a, b):\n    return a + b"
    )
    files = {"sums.ipynb": nbformat.writes(notebook).encode(), ".variant": b"mine"}

    assert points(bench.grade_files(files))["add"] == 2


def test_a_folder_in_the_place_of_a_released_file_costs_nothing(
    bench: Any, points: Callable[..., Any]
) -> None:
    graded = bench.grade(bench.solved(add="def add(a, b):\n    return a + b"), **{"table.csv/x": b"y"})
    assert points(graded)["add"] == 2


def test_an_interrupted_endless_loop_costs_its_own_exercise_only(
    bench: Any, points: Callable[..., Any]
) -> None:
    graded = bench.grade(bench.solved(add="def add(a, b):\n    return a + b\nwhile True:\n    pass"))
    assert points(graded) == {"add": 2, "double": 3, "why": 0}
    graded = bench.grade(bench.solved(add="def add(a, b):\n    while True:\n        pass"))
    assert points(graded) == {"add": 0, "double": 3, "why": 0}
    assert "Timeout" in graded.exercises[0].message or "KeyboardInterrupt" in graded.exercises[0].message


def test_warnings_in_an_answer_cost_nothing_and_in_a_check_the_check(
    bench: Any, points: Callable[..., Any]
) -> None:
    graded = bench.grade(
        bench.solved(
            add="import sys\nprint('beware', file=sys.stderr)\ndef add(a, b):\n    return a + b",
            double="def double(n):\n    print('oh', file=sys.stderr)\n    return 2 * n",
        )
    )
    assert points(graded) == {"add": 2, "double": 0, "why": 0}


def test_the_student_is_told_which_environment_it_is(bench: Any, points: Callable[..., Any]) -> None:
    """nbgrader's own sign, NBGRADER_EXECUTION, is set, and nothing of the site's environment is there."""
    graded = bench.grade(
        bench.solved(
            add="import os\nassert os.environ['NBGRADER_EXECUTION'] == 'autograde'\n"
            "leaks = [k for k in os.environ if 'TOKEN' in k or 'DOCKER' in k or 'SECRET' in k]\n"
            "def add(a, b):\n    return a + b + 100 * len(leaks)"
        )
    )
    assert points(graded)["add"] == 2
