"""Honest submissions get exactly the marks that stock nbgrader gives, cell by cell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import nbgrader
import pytest
from nbgrader.api import Gradebook

from grader.engine.grade import grade_submission
from grader.gradebook import CourseGradebook
from grader.gradewriter import CellScores, Entry
from grader.sandbox.base import Limits, Sandbox
from grader.settings import Places, SandboxSettings
from labs.model import Lab

PS1 = Path(nbgrader.__file__).parent / "docs/source/user_guide/source/ps1"
DUE = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
PARTLY = {
    "squares": "def squares(n):\n    return [i ** 2 for i in range(1, n + 1)]",
    "sum_of_squares": "def sum_of_squares(n):\n    return sum(i ** 2 for i in range(1, n + 1))",
    "sum_of_squares_equation": "$x$",
    "part-a": "It counts.",
}
CHATTY = {
    "squares": "import sys\nprint('warn', file=sys.stderr)\nprint('line\\n' * 3000)\n"
    "def squares(n):\n    print('called')\n    return [i ** 2 for i in range(1, n + 1)]",
    "sum_of_squares": "def sum_of_squares(n):\n    raise RuntimeError('no')",
    "sum_of_squares_application": "1 / 0",
}


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Files of each student: solved, untouched, partly, chatty, and one with a notebook missing."""
    gradebook = CourseGradebook(Places(data=tmp_path_factory.mktemp("release")), "ict101")
    released = dict(gradebook.prepare_release(Lab.load(PS1)).files)
    solved = {file.name: file.read_bytes() for file in PS1.iterdir()}
    return {
        "solved": solved,
        "untouched": released,
        "partly": _answered(released, PARTLY),
        "chatty": _answered(released, CHATTY),
        "missing": {name: content for name, content in solved.items() if name != "problem1.ipynb"},
    }


def _answered(files: dict[str, bytes], answers: dict[str, str]) -> dict[str, bytes]:
    made = dict(files)
    for name in ("problem1.ipynb", "problem2.ipynb"):
        notebook = nbformat.reads(files[name].decode(), as_version=4)
        for cell in notebook.cells:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = answers.get(grade_id, cell.source)
        made[name] = nbformat.writes(notebook).encode()
    return made


@pytest.fixture(scope="module")
def stock(
    submissions: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Any]:
    """Rows of the gradebook that nbgrader's own commands make."""
    course = tmp_path_factory.mktemp("stock")
    shutil.copytree(PS1, course / "source" / "ps1")
    (course / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'ict101'\n")
    for student, files in submissions.items():
        folder = course / "submitted" / student / "ps1"
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "timestamp.txt").write_text(_received(student).strftime("%Y-%m-%d %H:%M:%S.%f UTC"))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(course), "USER": "teacher",
        "JUPYTER_CONFIG_DIR": str(course / "none"),
    }  # fmt: skip
    for arguments in (["generate_assignment", "ps1"], ["autograde", "ps1"]):
        if arguments[0] == "autograde":
            with Gradebook(f"sqlite:///{course}/gradebook.db", "ict101") as gradebook:
                gradebook.update_or_create_assignment("ps1", duedate=DUE.replace(tzinfo=None))
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments],
            cwd=course, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return _rows(course)


@pytest.fixture(scope="module")
def ours(
    submissions: dict[str, dict[str, bytes]], sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Any]:
    """Rows of the gradebook that this grader makes."""
    places = Places(data=tmp_path_factory.mktemp("ours"))
    gradebook = CourseGradebook(places, "ict101")
    released = gradebook.released("ps1", gradebook.prepare_release(Lab.load(PS1), DUE).files)
    kernels = sandbox.kernels(Limits.of(SandboxSettings()))
    for student, files in submissions.items():
        graded = grade_submission(files, released, SandboxSettings(), kernels)
        with gradebook.writer():
            entry = Entry(
                student,
                _received(student),
                files,
                {name: nbformat.writes(nb).encode() for name, nb in graded.notebooks.items()},
                {name: CellScores.of(nb) for name, nb in graded.notebooks.items()},
            )
            gradebook.write_reports("ps1", [entry], due_at=DUE)
    kernels.close()
    return _rows(places.course("ict101"))


def _received(student: str) -> datetime:
    return DUE + timedelta(hours=3 if student == "partly" else -3)


def _rows(course: Path) -> dict[tuple[str, ...], Any]:
    """What the gradebook says of every cell, notebook and submission."""
    rows: dict[tuple[str, ...], Any] = {}
    with Gradebook(f"sqlite:///{course}/gradebook.db", "ict101") as gradebook:
        for submission in gradebook.assignment_submissions("ps1"):
            student = submission.student.id
            rows[student,] = (
                submission.score, submission.max_score, submission.needs_manual_grade, submission.timestamp,
                submission.total_seconds_late,
            )  # fmt: skip
            for notebook in submission.notebooks:
                rows[student, notebook.name] = (notebook.score, notebook.late_submission_penalty)
                for grade in notebook.grades:
                    rows[student, notebook.name, grade.name] = (
                        grade.auto_score, grade.manual_score, grade.needs_manual_grade, grade.max_score,
                    )  # fmt: skip
                for comment in notebook.comments:
                    rows[student, notebook.name, "comment", comment.name] = comment.comment
    return rows


def test_every_row_of_the_gradebook_is_the_same(
    stock: dict[tuple[str, ...], Any], ours: dict[tuple[str, ...], Any]
) -> None:
    assert {student: row[0] for (student, *rest), row in stock.items() if not rest} == {
        "solved": 3.0, "untouched": 0.0, "partly": 1.5, "chatty": 1.0, "missing": 0.0,
    }  # fmt: skip
    missing_comments = {key for key in stock if key[0] == "missing" and key[1:2] == ("problem1",)}
    assert {k: v for k, v in ours.items() if k not in missing_comments} == {
        k: v for k, v in stock.items() if k not in missing_comments
    }


def test_a_missing_notebook_scores_as_in_stock(
    stock: dict[tuple[str, ...], Any], ours: dict[tuple[str, ...], Any]
) -> None:
    """But for its comments: ours say that there was no response, stock says nothing."""
    graded = {
        key for key in stock if key[0] == "missing" and key[1:2] == ("problem1",) and "comment" not in key
    }
    assert {key: ours[key] for key in graded} == {key: stock[key] for key in graded}
