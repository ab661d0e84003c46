"""Whether two of nbgrader's gradebooks say the same of the same students, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry

Key = tuple[str, ...]
NOTHING = "(nothing)"


@dataclass(frozen=True)
class Difference:
    """One value that is not the same. place: what it is about, from the student down to the column."""

    place: Key
    stock: Any
    ours: Any

    def __str__(self) -> str:
        return f"{' / '.join(self.place)}: stock {self.stock!r}, ours {self.ours!r}"


def differences(
    stock: Path, ours: Path, course: str, assignment: str, students: Iterable[str]
) -> Iterator[Difference]:
    """Compare two gradebook.db files, one student at a time: every value of cells, comments and lateness."""
    with Gradebook(f"sqlite:///{stock}", course) as one, Gradebook(f"sqlite:///{ours}", course) as two:
        for student in students:
            yield from between(student, rows(one, assignment, student), rows(two, assignment, student))
            one.db.expunge_all()  # a thousand students must not pile up
            two.db.expunge_all()


def between(student: str, stock: dict[Key, Any], ours: dict[Key, Any]) -> Iterator[Difference]:
    """Yield what is not the same in the rows of one student, in a stable order."""
    for key in sorted({*stock, *ours}):
        values = stock.get(key, NOTHING), ours.get(key, NOTHING)
        if values[0] != values[1]:
            yield Difference((student, *key), *values)


def rows(gradebook: Gradebook, assignment: str, student: str) -> dict[Key, Any]:
    """Everything a gradebook says of one submission; nothing at all if it has none."""
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return {}
    found: dict[Key, Any] = {}
    for column in ("score", "max_score", "needs_manual_grade", "timestamp", "total_seconds_late"):
        found["submission", column] = getattr(submission, column)
    for notebook in submission.notebooks:
        for column in ("score", "needs_manual_grade", "failed_tests", "late_submission_penalty"):
            found[notebook.name, column] = getattr(notebook, column)
        for grade in notebook.grades:
            for column in ("auto_score", "manual_score", "extra_credit", "needs_manual_grade", "max_score"):
                found[notebook.name, grade.name, column] = getattr(grade, column)
        for comment in notebook.comments:
            for column in ("auto_comment", "manual_comment"):
                found[notebook.name, comment.name, column] = getattr(comment, column)
    return found


def graded_count(file: Path, course: str, assignment: str) -> int:
    """How many submissions of an assignment a gradebook has."""
    with Gradebook(f"sqlite:///{file}", course) as gradebook:
        return len(gradebook.find_assignment(assignment).submissions)
