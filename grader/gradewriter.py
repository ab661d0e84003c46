"""Writes marks into nbgrader's tables: the rows that its SaveAutoGrades makes, for a batch, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Assignment, Comment, Grade, Student, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

NO_RESPONSE = "No response."  # nbgrader's words


@dataclass(frozen=True)
class CellScores:
    """What nbgrader's rules say of one executed notebook.

    scores: graded cell -> points, None for a person. unchanged: answer cell -> whether it is as released.
    lost: the notebook was missing or unreadable: everything in it earns nothing and needs nobody's eyes.
    """

    scores: Mapping[str, float | None]
    unchanged: Mapping[str, bool]
    lost: bool = False

    @classmethod
    def of(cls, notebook: NotebookNode) -> CellScores:
        """Apply nbgrader's own functions, as SaveAutoGrades does."""
        scores: dict[str, float | None] = {}
        unchanged: dict[str, bool] = {}
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if utils.is_grade(cell):
                points = utils.determine_grade(cell)[0]
                scores[name] = None if points is None else float(points)
            if utils.is_solution(cell) or utils.is_task(cell):
                same = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
                unchanged[name] = same and not utils.is_task(cell)
        return cls(scores, unchanged, bool(notebook.metadata.get("ictlabs", {}).get("lost")))

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return {"scores": dict(self.scores), "unchanged": dict(self.unchanged), "lost": self.lost}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellScores:
        """From the record."""
        return cls(data["scores"], data["unchanged"], data["lost"])


@dataclass(frozen=True)
class Entry:
    """One graded submission for the gradebook and the course folder.

    submitted: what the student sent (path -> bytes); empty if it could not be read. pages: the executed notebooks'
    bytes by name. look: a person should look at what was marked by checks.
    """

    username: str
    received_at: datetime
    submitted: Mapping[str, bytes]
    pages: Mapping[str, bytes]
    cells: Mapping[str, CellScores]
    look: bool = False


@dataclass
class _Rows:
    """Rows to insert and to change, by table."""

    new: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    changed: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: Any, **values: Any) -> str:
        identity = uuid4().hex
        self.new.setdefault(table, []).append({"id": identity, **values})
        return identity

    def change(self, table: Any, identity: str, **values: Any) -> None:
        self.changed.setdefault(table, []).append({"row": identity, **values})


def write_batch(session: Session, assignment: Assignment, entries: Sequence[Entry]) -> None:
    """Write `entries` (one a student) and commit. Marks and comments that a person gave stay."""
    students = [entry.username for entry in entries]
    known = set(session.scalars(select(Student.id).where(Student.id.in_(students))))
    for name in students:
        if name not in known:
            session.add(Student(id=name))
    session.flush()
    rows = _Rows()
    _Batch(session, assignment, students, rows).plan(entries)
    for table in (SubmittedAssignment, SubmittedNotebook, Grade, Comment):
        if new := rows.new.get(table):
            session.execute(insert(table), new)
        if changed := rows.changed.get(table):
            rows_of = table.__table__
            values: dict[str, Any] = {key: bindparam(key) for key in changed[0] if key != "row"}
            statement = update(rows_of).where(rows_of.c.id == bindparam("row")).values(values)
            session.connection().execute(statement, changed)
    session.commit()


class _Batch:
    """What the gradebook has already for these students and this assignment."""

    def __init__(self, session: Session, assignment: Assignment, students: list[str], rows: _Rows) -> None:
        self.rows, self.assignment = rows, assignment
        self.notebooks = [
            (nb.id, nb.name, _ids(nb.grade_cells), _ids(nb.solution_cells), _ids(nb.task_cells))
            for nb in assignment.notebooks
        ]
        found = session.execute(
            select(SubmittedAssignment.id, SubmittedAssignment.student_id).where(
                SubmittedAssignment.assignment_id == assignment.id,
                SubmittedAssignment.student_id.in_(students),
            )
        ).all()
        self.submissions = {student: identity for identity, student in found}
        ids = list(self.submissions.values())
        self.submitted = {
            (row.assignment_id, row.notebook_id): row.id
            for row in session.execute(
                select(
                    SubmittedNotebook.id, SubmittedNotebook.assignment_id, SubmittedNotebook.notebook_id
                ).where(SubmittedNotebook.assignment_id.in_(ids))
            )
        }
        held = list(self.submitted.values())
        self.grades = {
            (row.notebook_id, row.cell_id): (row.id, row.manual_score)
            for row in session.execute(
                select(Grade.id, Grade.notebook_id, Grade.cell_id, Grade.manual_score).where(
                    Grade.notebook_id.in_(held)
                )
            )
        }
        self.comments = {
            (row.notebook_id, row.cell_id): row.id
            for row in session.execute(
                select(Comment.id, Comment.notebook_id, Comment.cell_id).where(Comment.notebook_id.in_(held))
            )
        }

    def plan(self, entries: Iterable[Entry]) -> None:
        """Fill in the rows."""
        for entry in entries:
            moment = entry.received_at.astimezone(UTC).replace(tzinfo=None)
            submission = self.submissions.get(entry.username)
            if submission is None:
                submission = self.rows.add(
                    SubmittedAssignment,
                    assignment_id=self.assignment.id,
                    student_id=entry.username,
                    timestamp=moment,
                )
            else:
                self.rows.change(SubmittedAssignment, submission, timestamp=moment)
            for notebook in self.notebooks:
                self._notebook(entry, submission, notebook)

    def _notebook(self, entry: Entry, submission: str, notebook: Any) -> None:
        notebook_id, name, grades, solutions, tasks = notebook
        row = self.submitted.get((submission, notebook_id))
        if row is None:
            row = self.rows.add(
                SubmittedNotebook,
                assignment_id=submission,
                notebook_id=notebook_id,
                flagged=False,
                late_submission_penalty=None,
            )
        elif name in entry.cells:  # nbgrader's default late plugin takes nothing off
            self.rows.change(SubmittedNotebook, row, late_submission_penalty=None)
        cells = entry.cells.get(name)
        for cell, identity in (grades | tasks).items():
            self._grade(row, identity, cell, cells, entry.look and cell in grades)
        for cell, identity in (solutions | tasks).items():
            self._comment(row, identity, cell, cells)

    def _grade(self, notebook: str, cell_id: str, cell: str, cells: CellScores | None, look: bool) -> None:
        identity, manual = self.grades.get((notebook, cell_id), (None, None))
        known = cells is not None and (cell in cells.scores or cells.lost)
        if cells is None or not known:
            if identity is None:
                self.rows.add(
                    Grade, notebook_id=notebook, cell_id=cell_id, auto_score=None, needs_manual_grade=True
                )
            return
        points = 0.0 if cells.lost else cells.scores[cell]
        by_hand = not cells.lost and (manual is not None or points is None or look)
        if identity is None:
            self.rows.add(
                Grade, notebook_id=notebook, cell_id=cell_id, auto_score=points, needs_manual_grade=by_hand
            )
        else:
            self.rows.change(Grade, identity, auto_score=points, needs_manual_grade=by_hand)

    def _comment(self, notebook: str, cell_id: str, cell: str, cells: CellScores | None) -> None:
        identity = self.comments.get((notebook, cell_id))
        known = cells is not None and cell in cells.unchanged
        said = NO_RESPONSE if cells is not None and cells.unchanged.get(cell) else None
        if identity is None:
            self.rows.add(Comment, notebook_id=notebook, cell_id=cell_id, auto_comment=said)
        elif known:
            self.rows.change(Comment, identity, auto_comment=said)


def _ids(cells: Iterable[Any]) -> dict[str, str]:
    return {cell.name: cell.id for cell in cells}
