"""A lab is proven by the engine that grades."""

from __future__ import annotations

from typing import Any

from grader.engine.standalone import grade_files, grade_notebook


def test_marks_of_one_notebook_by_exercise(bench: Any) -> None:
    sent = bench.solved(double="def double(n):\n    return n + 2")
    marks = grade_notebook(bench.lab, sent, settings=bench.settings, sandbox=bench.sandbox)
    assert marks == {"add": 2, "double": 1, "why": 0}


def test_the_whole_result_of_named_notebooks(bench: Any) -> None:
    graded = grade_files(
        bench.lab, {"other.ipynb": bench.solved()}, settings=bench.settings, sandbox=bench.sandbox
    )
    assert graded.points == 0
    assert "There is other.ipynb" in graded.message
