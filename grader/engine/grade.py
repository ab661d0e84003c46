"""Grades one submission, start to end, and gives back data: nothing is written to record or gradebook."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbgrader import preprocessors as steps

from grader.engine.execute import Execute, void
from grader.engine.kernel import SandboxKernel
from grader.engine.released import ReleasedLab, ReleasedNotebook
from grader.engine.report import ExerciseMark, earned, marks, settle
from grader.engine.sanitise import Unreadable, sanitise, untouched
from grader.sandbox.base import Sandbox
from grader.settings import SandboxSettings


@dataclass(frozen=True)
class GradedSubmission:
    """The marks, the messages, and the executed notebooks of one submission.

    points: what is certain; what a person has to mark counts nothing yet.
    notebooks: one that was missing or could not be read is the release, marked so (`is_lost`).
    """

    points: float
    max_points: float
    exercises: tuple[ExerciseMark, ...]
    message: str
    notebooks: Mapping[str, NotebookNode]

    @property
    def needs_manual(self) -> bool:
        """Whether a person has to mark something."""
        return any(mark.points is None for mark in self.exercises)


def grade_submission(
    files: Mapping[str, bytes], released: ReleasedLab, settings: SandboxSettings, sandbox: Sandbox
) -> GradedSubmission:
    """Grade what a student sent (path -> bytes) against `released`.

    Whatever is in `files` costs at most this submission's marks. Raises SandboxError when the walls or the
    kernel could not be set up, which is a fault of ours.
    """
    done = [_grade_notebook(files, released, notebook, settings, sandbox) for notebook in released.notebooks]
    several = len(done) > 1
    return GradedSubmission(
        points=sum(one.points for one in done),
        max_points=released.max_points,
        exercises=tuple(mark for one in done for mark in one.exercises),
        message="\n".join(f"{one.name}: {note}" if several else note for one in done for note in one.notes),
        notebooks={one.name: one.notebook for one in done},
    )


@dataclass(frozen=True)
class _Graded:
    name: str
    notebook: NotebookNode
    points: float
    exercises: list[ExerciseMark]
    notes: list[str]


def _grade_notebook(
    files: Mapping[str, bytes],
    lab: ReleasedLab,
    released: ReleasedNotebook,
    settings: SandboxSettings,
    sandbox: Sandbox,
) -> _Graded:
    try:
        sent = files.get(f"{released.name}.ipynb")
        if sent is None:
            raise Unreadable(_missing(released.name, files, lab))
        sanitised = sanitise(sent, released, settings)
    except Unreadable as error:
        return _lost(released, str(error))
    notebook, notes = sanitised.notebook, list(sanitised.notes)
    end = _run(notebook, files, lab, settings, sandbox)
    settle(notebook)
    for step in (steps.IgnorePattern(), steps.LimitOutput(), steps.CheckCellMetadata()):
        notebook, _ = step(notebook, {})
    if end:
        notes.append(f"{end} The checks from there on did not run and earn nothing.")
    return _Graded(released.name, notebook, earned(notebook), marks(notebook, released), notes)


def _run(
    notebook: NotebookNode,
    files: Mapping[str, bytes],
    lab: ReleasedLab,
    settings: SandboxSettings,
    sandbox: Sandbox,
) -> str | None:
    with tempfile.TemporaryDirectory(prefix="ict-work-") as work:
        _fill(Path(work), files, lab)
        with SandboxKernel(sandbox, Path(work), settings) as kernel:
            return Execute(settings, kernel.manager, kernel.how_it_ended).run(notebook)


def _fill(work: Path, files: Mapping[str, bytes], lab: ReleasedLab) -> None:
    """Lay out the working folder: the release's files, and the student's others. No notebook of the lab."""
    notebooks = {f"{notebook.name}.ipynb" for notebook in lab.notebooks}
    for path, content in [*lab.files.items(), *files.items()]:
        target = work / path
        if path in notebooks or target.exists():
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue  # the student's folder has the name of a released file: that stands
        target.write_bytes(content)
    work.chmod(0o755)


def _missing(name: str, files: Mapping[str, bytes], lab: ReleasedLab) -> str:
    known = {f"{notebook.name}.ipynb" for notebook in lab.notebooks}
    others = sorted(path for path in files if path.endswith(".ipynb") and path not in known)[:5]
    there = f" There is {', '.join(others)}: give it the right name." if others else ""
    return f"{name}.ipynb is not in the submission.{there} Submit again with it."


def _lost(released: ReleasedNotebook, why: str) -> _Graded:
    """The release with no answers, every check failed: what nbgrader's own tools can show."""
    notebook = untouched(released)
    notebook.metadata["ictlabs"] = {"lost": True}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            void(cell, "NotRun", why)
    exercises = [ExerciseMark(mark.exercise, 0.0, mark.max_points, why) for mark in marks(notebook, released)]
    return _Graded(released.name, notebook, 0.0, exercises, [why])
