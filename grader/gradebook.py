"""nbgrader's gradebook, wrapped once: releases go in, reports go in by one writer, marks come out."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import nbgrader
from alembic.config import Config
from alembic.script import ScriptDirectory
from nbformat import NotebookNode
from nbgrader import preprocessors as steps
from nbgrader.api import Assignment, Gradebook, MissingEntry, Notebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.nbgraderformat import ValidationError
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from grader.coursefolder import create_course_folder, replace_folder
from grader.engine.released import ReleasedCell, ReleasedLab, ReleasedNotebook
from grader.gradewriter import Entry, write_batch
from grader.ownership import give
from grader.schedule import penalty, spread
from grader.settings import Places
from labs import build
from labs.model import Lab


class GradebookError(Exception):
    """The gradebook cannot take or give this; the message says what to do."""


class BatchError(GradebookError):
    """Some of a batch could not be written. failed: username -> why."""

    def __init__(self, failed: Mapping[str, str]) -> None:
        super().__init__(f"not written: {', '.join(f'{name} ({why})' for name, why in failed.items())}")
        self.failed = dict(failed)


@dataclass(frozen=True)
class Prepared:
    """A release as students get it: path -> bytes, and the points it is worth. source: what it was made from."""

    files: Mapping[str, bytes]
    max_points: float
    source: Mapping[str, bytes]


@dataclass(frozen=True)
class Mark:
    """What the gradebook has for one student and lab. points is after manual marks and late penalty."""

    username: str
    lab: str
    points: float
    max_points: float
    late_penalty: float
    needs_manual: bool
    submitted_at: datetime | None


@dataclass(frozen=True)
class CellMark:
    """What the gradebook has for one cell of a submission."""

    points: float
    max_points: float
    needs_manual: bool
    comment: str


@dataclass(frozen=True)
class SubmissionMarks:
    """The whole of a submission in the gradebook. cells: notebook -> cell id -> mark."""

    points: float
    max_points: float
    late_penalty: float
    needs_manual: bool
    cells: Mapping[str, Mapping[str, CellMark]]


class CourseGradebook:
    """The gradebook of one course. Every method opens and closes the database."""

    def __init__(self, places: Places, course: str) -> None:
        self.places = places
        self.course = course
        self.folder = places.course(course)

    @property
    def url(self) -> str:
        """The database's URL, where nbgrader's own tools look for it too."""
        return f"sqlite:///{self.folder / 'gradebook.db'}"

    @property
    def exists(self) -> bool:
        """Whether anything was ever released or graded with nbgrader's tables."""
        return (self.folder / "gradebook.db").is_file()

    def create(self) -> None:
        """Make the course folder and an empty gradebook; safe to call again."""
        create_course_folder(self.places, self.course)
        with self.writer(), self._open():
            pass

    @contextlib.contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the one right to write to this gradebook, over all processes of the site."""
        self.places.run.mkdir(parents=True, exist_ok=True)
        with (self.places.run / f"gradebook-{self.course}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def prepare_release(self, lab: Lab, due_at: datetime | None = None) -> Prepared:
        """Do what `nbgrader generate_assignment` does: source/, gradebook and release/ of `lab`.

        Raises GradebookError when nbgrader refuses, such as cells added to a lab with submissions.
        """
        source, sources = build.source_files(lab), build.source_notebooks(lab)
        create_course_folder(self.places, self.course)
        with self.writer():
            with self._open() as gradebook:
                assignment = gradebook.update_or_create_assignment(lab.name)
                _set_due(gradebook, assignment, due_at)
            try:
                made = {name: self._release(lab.name, name, nb) for name, nb in sources.items()}
            except (RuntimeError, ValidationError) as error:
                raise GradebookError(
                    f"{lab.name}: nbgrader refuses to release it: {error} "
                    "A lab that was handed in already keeps its cells: give the changed one a new name."
                ) from error
            files = source | {f"{name}.ipynb": _bytes(nb) for name, nb in made.items()}
            replace_folder(self.folder, f"source/{lab.name}", source)
            replace_folder(self.folder, f"release/{lab.name}", files)
        with self._open() as gradebook:
            return Prepared(files, float(gradebook.find_assignment(lab.name).max_score), source)

    def _release(self, lab: str, name: str, source: NotebookNode) -> NotebookNode:
        resources: dict[str, Any] = {"nbgrader": {"notebook": name, "assignment": lab, "db_url": self.url}}
        notebook: NotebookNode = nbformat.reads(nbformat.writes(source), as_version=4)
        for step in (
            steps.LockCells(),
            build.clear_solutions(source),
            steps.ClearOutput(),
            steps.CheckCellMetadata(),
            steps.ComputeChecksums(),
            steps.SaveCells(),
            steps.ClearHiddenTests(),
            steps.ClearMarkScheme(),
            steps.ComputeChecksums(),
            steps.CheckCellMetadata(),
        ):
            notebook, resources = step(notebook, resources)
        return notebook

    def released(self, lab: str, files: Mapping[str, bytes], sha256: str = "") -> ReleasedLab:
        """What students were given, for the engine: cells from the gradebook, order and files from `files`.

        Raises GradebookError when the gradebook has no such assignment.
        """
        with self._open() as gradebook:
            try:
                assignment = gradebook.find_assignment(lab)
            except MissingEntry:
                raise GradebookError(
                    f"{lab} is not in the gradebook of {self.course}. Release it with `ict release`, or run "
                    "`nbgrader generate_assignment` in the course folder."
                ) from None
            notebooks = tuple(_notebook(nb, files.get(f"{nb.name}.ipynb")) for nb in assignment.notebooks)
        if not notebooks:
            raise GradebookError(
                f"{lab} has no notebooks in the gradebook of {self.course}. Release it again."
            )
        names = {f"{nb.name}.ipynb" for nb in notebooks}
        return ReleasedLab(lab, notebooks, {p: c for p, c in files.items() if p not in names}, sha256)

    def write_reports(self, lab: str, entries: Sequence[Entry], *, due_at: datetime | None = None) -> None:
        """Write graded submissions: submitted/ and autograded/, then all marks in one transaction.

        Writing the same again changes nothing; marks and comments that a person gave stay. Raises BatchError when
        some could not be written, after the others are in.
        """
        failed: dict[str, str] = {}
        ready = []
        for entry in entries:
            try:
                self._write_files(lab, entry)
                ready.append(entry)
            except (OSError, ValueError) as error:
                failed[entry.username] = str(error)
        with self._open() as gradebook:
            if due_at is not None:  # without one, what an instructor set in formgrader stays
                _set_due(gradebook, gradebook.find_assignment(lab), due_at)
            try:
                write_batch(gradebook.db, gradebook.find_assignment(lab), ready)
            except SQLAlchemyError:
                gradebook.db.rollback()
                for entry in ready:
                    try:
                        write_batch(gradebook.db, gradebook.find_assignment(lab), [entry])
                    except SQLAlchemyError as error:
                        gradebook.db.rollback()
                        failed[entry.username] = str(error).splitlines()[0]
        if failed:
            raise BatchError(failed)

    def set_penalties(self, lab: str, shares: Mapping[str, float]) -> None:
        """Take off, for lateness, this share of what the lab is worth. shares: by student; the others keep theirs.

        Never more than was earned, with marks by hand; where nothing is taken off, nbgrader's own "none" stands.
        """
        query = (
            select(
                SubmittedNotebook.id,
                SubmittedAssignment.student_id,
                SubmittedNotebook.score,
                SubmittedNotebook.max_score,
                SubmittedNotebook.late_submission_penalty,
            )
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
            .where(Assignment.name == lab)
            .order_by(SubmittedNotebook.id)
        )
        with self._open() as gradebook:
            found: dict[str, list[Any]] = {}
            for row in gradebook.db.execute(query):
                if row.student_id in shares:
                    found.setdefault(row.student_id, []).append(row)
            for student, rows in found.items():
                worth, earned = sum(row.max_score for row in rows), [float(row.score) for row in rows]
                off = spread(penalty(sum(earned), worth, shares[student]), earned)
                for row, part in zip(rows, off, strict=True):
                    if (row.late_submission_penalty or None) != (part or None):
                        gradebook.db.execute(
                            update(SubmittedNotebook)
                            .where(SubmittedNotebook.id == row.id)
                            .values(late_submission_penalty=part or None)
                        )
            gradebook.db.commit()

    def set_due(self, lab: str, due_at: datetime | None) -> None:
        """Change the due time that nbgrader's own tools show; nothing where they do not know the lab."""
        with self._open() as gradebook, contextlib.suppress(MissingEntry):
            _set_due(gradebook, gradebook.find_assignment(lab), due_at)

    def _write_files(self, lab: str, entry: Entry) -> None:
        moment = entry.received_at.astimezone(UTC)
        stamp = {"timestamp.txt": moment.strftime("%Y-%m-%d %H:%M:%S.%f UTC").encode()}
        if entry.submitted:
            replace_folder(self.folder, f"submitted/{entry.username}/{lab}", {**entry.submitted, **stamp})
        pages = {f"{name}.ipynb": page for name, page in entry.pages.items()}
        replace_folder(self.folder, f"autograded/{entry.username}/{lab}", pages | stamp)

    def marks(self, lab: str | None = None) -> list[Mark]:
        """Every mark there is, or those of one lab, by lab and student."""
        with self._open() as gradebook:
            assignments = [a for a in gradebook.assignments if lab is None or a.name == lab]
            found = [_mark(s, a.name) for a in assignments for s in a.submissions]
        return sorted(found, key=lambda m: (m.lab, m.username))

    def submission_marks(self, lab: str, username: str) -> SubmissionMarks:
        """Every mark and comment of one student's submission. Raises GradebookError when there is none."""
        with self._open() as gradebook:
            try:
                submission = gradebook.find_submission(lab, username)
            except MissingEntry:
                raise GradebookError(
                    f"{lab} of {username} is not in the gradebook of {self.course}. Grade it first."
                ) from None
            whole = _mark(submission, lab)
            cells = {nb.name: _cell_marks(nb) for nb in submission.notebooks}
        return SubmissionMarks(whole.points, whole.max_points, whole.late_penalty, whole.needs_manual, cells)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Gradebook]:
        file = self.folder / "gradebook.db"
        if file.is_symlink():
            raise GradebookError(f"{file} is a link. Put the gradebook itself there.")
        if not file.exists():
            _stamp(self.url)
            give(file)
        with Gradebook(self.url, self.course) as gradebook:
            yield gradebook


def _stamp(url: str) -> None:
    """Make the database with the version of nbgrader's tables; nbgrader's own way needs `alembic` on PATH."""
    config = Config()
    config.set_main_option("script_location", str(Path(nbgrader.__file__).parent / "alembic"))
    head = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": head})
    engine.dispose()


def _mark(submission: SubmittedAssignment, lab: str) -> Mark:
    penalty = sum(nb.late_submission_penalty or 0.0 for nb in submission.notebooks)
    at = submission.timestamp
    return Mark(
        username=submission.student.id,
        lab=lab,
        points=float(submission.score) - penalty,
        max_points=float(submission.max_score),
        late_penalty=penalty,
        needs_manual=bool(submission.needs_manual_grade),
        submitted_at=at.replace(tzinfo=UTC) if at else None,
    )


def _cell_marks(notebook: SubmittedNotebook) -> dict[str, CellMark]:
    comments = {c.name: c.comment or "" for c in notebook.comments}
    found = {
        g.name: CellMark(
            float(g.score), float(g.max_score or 0), bool(g.needs_manual_grade), comments.get(g.name, "")
        )
        for g in notebook.grades
    }
    for name, comment in comments.items():
        found.setdefault(name, CellMark(0.0, 0.0, False, comment))
    return found


def _set_due(gradebook: Gradebook, assignment: Assignment, due_at: datetime | None) -> None:
    due = due_at.astimezone(UTC).replace(tzinfo=None) if due_at else None
    if assignment.duedate != due:
        assignment.duedate = due
        gradebook.db.commit()


def _notebook(notebook: Notebook, released: bytes | None) -> ReleasedNotebook:
    """The cells of a gradebook's notebook, in the order of the released file."""
    grades = {c.name: c for c in notebook.grade_cells}
    tasks = {c.name: c for c in notebook.task_cells}
    solutions = {c.name for c in notebook.solution_cells}
    order, exercises, last = _order(released)
    cells = [
        ReleasedCell(
            name=cell.name,
            cell_type=cell.cell_type,
            source=cell.source or "",
            checksum=cell.checksum,
            grade=cell.name in grades,
            solution=cell.name in solutions,
            task=cell.name in tasks,
            locked=bool(cell.locked),
            points=_points(grades.get(cell.name) or tasks.get(cell.name)),
            exercise=exercises.get(cell.name, cell.name),
            last=cell.name in last,
        )
        for cell in notebook.source_cells
    ]
    cells.sort(key=lambda c: order.get(c.name, len(order)))
    kernelspec = json.loads(notebook.kernelspec) if notebook.kernelspec else None
    return ReleasedNotebook(notebook.name, tuple(cells), kernelspec or None)


def _points(cell: Any) -> float | None:
    return None if cell is None else float(cell.max_score)


def _order(released: bytes | None) -> tuple[dict[str, int], dict[str, str], set[str]]:
    """Place of each nbgrader cell in the released notebook, the exercise it counts for, and those that run last."""
    places: dict[str, int] = {}
    exercises: dict[str, str] = {}
    last: set[str] = set()
    if released is None:
        return places, exercises, last
    for index, cell in enumerate(nbformat.reads(released.decode("utf-8"), as_version=4).cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name is None:
            continue
        places[name] = index
        exercise = cell.metadata.get("ictlabs", {}).get("exercise")
        if isinstance(exercise, str):
            exercises[name] = exercise
        if cell.metadata.get("ictlabs", {}).get("last") is True:
            last.add(name)
    return places, exercises, last


def _bytes(notebook: NotebookNode) -> bytes:
    return f"{nbformat.writes(notebook)}\n".encode()


def gradebook_of(places: Places, course: str) -> CourseGradebook:
    """The gradebook of a course that exists. Raises GradebookError otherwise."""
    gradebook = CourseGradebook(places, course)
    if not Path(gradebook.folder).is_dir():
        raise GradebookError(f"{course}: no such course. `ict course list` shows them.")
    return gradebook
