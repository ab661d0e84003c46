"""nbgrader's CSV of a course's marks: its own exporter writes it, from marks that are read all at once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Grade, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.plugins import CsvExportPlugin
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from grader.gradebook import CourseGradebook, GradebookError
from grader.settings import Places


@dataclass
class _Submission:
    """What the exporter asks of a submission."""

    timestamp: datetime | None
    score: float = 0.0
    late_submission_penalty: float = 0.0


class _ReadAtOnce:
    """A gradebook that knows every submission already: asked for one by one, a large course takes an hour."""

    def __init__(self, gradebook: Any) -> None:
        self.assignments, self.students = gradebook.assignments, gradebook.students
        self._submissions: dict[tuple[str, str], _Submission] = {}
        scores = {
            row.notebook_id: row.score
            for row in gradebook.db.execute(
                select(Grade.notebook_id, func.sum(Grade.score).label("score")).group_by(Grade.notebook_id)
            )
        }
        for row in gradebook.db.execute(
            select(
                Assignment.name,
                SubmittedAssignment.student_id,
                SubmittedAssignment.timestamp,
                SubmittedNotebook.id,
                SubmittedNotebook.late_submission_penalty,
            )
            .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
            .outerjoin(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        ):
            found = self._submissions.setdefault((row.name, row.student_id), _Submission(row.timestamp))
            found.score += scores.get(row.id, 0.0)
            found.late_submission_penalty += row.late_submission_penalty or 0.0

    def find_submission(self, assignment: str, student: str) -> _Submission:
        """As nbgrader's."""
        try:
            return self._submissions[assignment, student]
        except KeyError:
            raise MissingEntry(f"No such submission: {assignment} for {student}") from None


class ExportBook(CourseGradebook):
    """The gradebook of one course, as nbgrader's exporters read it."""

    def csv(self, labs: Sequence[str] = ()) -> bytes:
        """The bytes that `nbgrader export` writes; of all labs if none is named. Raises GradebookError."""
        if not (self.folder / "gradebook.db").exists():
            raise GradebookError(f"{self.course} has no gradebook yet. Release a lab first.")
        try:
            return self._written(labs)
        except (SQLAlchemyError, OSError) as error:  # something else lies there: instructors can put it there
            why = str(error).splitlines()[0][:200]
            raise GradebookError(f"The gradebook of {self.course} cannot be read: {why}") from error

    def _written(self, labs: Sequence[str]) -> bytes:
        with tempfile.TemporaryDirectory(prefix="ictlabs-export-") as folder, self._open() as gradebook:
            file = Path(folder) / "grades.csv"
            plugin = CsvExportPlugin()
            plugin.to, plugin.assignment = str(file), list(labs)
            plugin.export(_ReadAtOnce(gradebook))
            return file.read_bytes()


def nbgrader_csv(places: Places, course: str, labs: Sequence[str] = ()) -> bytes:
    """nbgrader's CSV of a course. Raises GradebookError."""
    return ExportBook(places, course).csv(labs)
