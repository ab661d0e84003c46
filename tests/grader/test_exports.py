"""nbgrader's CSV: the very bytes that `nbgrader export` writes, however large the course."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook
from sqlalchemy import event

from grader.exports import ExportBook, nbgrader_csv
from grader.gradebook import GradebookError
from grader.markbook import markbook_of
from grader.marks import exercise_cells
from grader.settings import Places


def exported(course: Any, folder: Path, *options: str) -> bytes:
    """What nbgrader's own command writes."""
    file = folder / "grades.csv"
    subprocess.run(
        [
            sys.executable, "-m", "nbgrader", "export", "--db", course.gradebook.url, "--course", "ict101",
            "--to", str(file), *options,
        ],
        check=True, cwd=folder, capture_output=True,
    )  # fmt: skip
    return file.read_bytes()


@pytest.fixture
def marked(course: Any) -> Any:
    """Two who handed in, one marked by hand and late, one who did nothing, and names."""
    course.solved("alice", why="So it is.")
    course.solved("bob")
    course.grade()
    cells = exercise_cells(course.store.blob(course.released.sha256))
    markbook_of(course.places, "ict101").mark("sums", "alice", cells, points={"why": 0.5}, comments={})
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        gradebook.find_submission_notebook("sums", "sums", "bob").late_submission_penalty = 0.25
        gradebook.update_or_create_student("alice", last_name="Ångström", first_name="=1+1", email="a@b.c")
        gradebook.add_student("carol", last_name="Zeta")
        gradebook.add_assignment("empty")
        gradebook.db.commit()
    return course


@pytest.mark.parametrize(("labs", "options"), [((), ()), (("sums",), ("--assignment", "['sums']"))])
def test_it_is_what_nbgraders_command_writes(
    marked: Any, tmp_path: Path, labs: tuple[str, ...], options: tuple[str, ...]
) -> None:
    ours = nbgrader_csv(marked.places, "ict101", labs)

    assert ours == exported(marked, tmp_path, *options)
    assert ours.count(b"\n") == 1 + 3 * (len(labs) or 2)
    assert b"2.5,0.0,2.5,3.0" in ours  # alice, with what a person gave
    assert b"2.0,0.25,1.75,3.0" in ours


def test_more_students_cost_no_further_statement(marked: Any) -> None:
    def statements() -> int:
        book, sent = ExportBook(marked.places, "ict101"), []
        with book._open() as gradebook:
            listened = gradebook.engine
        event.listen(type(listened), "before_cursor_execute", note := lambda *_: sent.append(1))
        try:
            book.csv()
        finally:
            event.remove(type(listened), "before_cursor_execute", note)
        return len(sent)

    before = statements()
    for name in ("dora", "emil", "fee"):
        marked.solved(name)
    marked.grade()

    assert statements() == before


def test_a_course_without_a_gradebook_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(GradebookError, match="no gradebook yet"):
        nbgrader_csv(Places(data=tmp_path), "ict999")
