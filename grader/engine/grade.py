"""Grades one submission, start to end, and gives back data: nothing is written to record or gradebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from nbformat import NotebookNode
from nbgrader import preprocessors as steps
from nbgrader import utils

from grader.engine.canaries import Canaries
from grader.engine.execute import Executed, execute, void
from grader.engine.released import ReleasedLab, ReleasedNotebook
from grader.engine.report import ExerciseMark, earned, marks, settle
from grader.engine.sanitise import Unreadable, sanitise, untouched
from grader.sandbox.kernels import Kernels
from grader.settings import SandboxSettings
from grader.variants import SEED_FILE

ENVIRONMENT = {"NBGRADER_EXECUTION": "autograde"}  # as nbgrader sets it


@dataclass(frozen=True)
class GradedSubmission:
    """The marks, the messages, and the executed notebooks of one submission.

    points: what is certain; what a person has to mark counts nothing yet.
    notebooks: one that was missing or could not be read is the release, marked so (`is_lost`).
    evidence: why a person should look at it, in sentences for the instructor. It changes no mark.
    """

    points: float
    max_points: float
    exercises: tuple[ExerciseMark, ...]
    message: str
    notebooks: Mapping[str, NotebookNode]
    evidence: tuple[str, ...] = ()

    @property
    def needs_manual(self) -> bool:
        """Whether a person has to mark something."""
        return any(mark.points is None for mark in self.exercises)


def grade_submission(
    files: Mapping[str, bytes],
    released: ReleasedLab,
    settings: SandboxSettings,
    kernels: Kernels,
    *,
    variant: str = "",
) -> GradedSubmission:
    """Grade what a student sent (path -> bytes) against `released`.

    variant: the seed of the student's own values; without one they are those of a preview, whatever was sent.
    Whatever is in `files` costs at most this submission's marks. Raises SandboxError when the walls or the
    kernel could not be set up, which is a fault of ours.
    """
    files = _with_seed(files, variant)
    done = [_grade_notebook(files, released, notebook, settings, kernels) for notebook in released.notebooks]
    several = len(done) > 1
    return GradedSubmission(
        points=sum(one.points for one in done),
        max_points=released.max_points,
        exercises=tuple(mark for one in done for mark in one.exercises),
        message="\n".join(f"{one.name}: {note}" if several else note for one in done for note in one.notes),
        notebooks={one.name: one.notebook for one in done},
        evidence=tuple(f"{one.name}: {what}" if several else what for one in done for what in one.evidence),
    )


@dataclass(frozen=True)
class _Graded:
    name: str
    notebook: NotebookNode
    points: float
    exercises: list[ExerciseMark]
    notes: list[str]
    evidence: tuple[str, ...] = field(default=())


def _grade_notebook(
    files: Mapping[str, bytes],
    lab: ReleasedLab,
    released: ReleasedNotebook,
    settings: SandboxSettings,
    kernels: Kernels,
) -> _Graded:
    try:
        sent = files.get(f"{released.name}.ipynb")
        if sent is None:
            raise Unreadable(_missing(released.name, files, lab))
        sanitised = sanitise(sent, released, settings)
    except Unreadable as error:
        return _lost(released, str(error))
    notebook, notes = sanitised.notebook, list(sanitised.notes)
    done = _run(notebook, _working_folder(files, lab), settings, kernels)
    settle(notebook)
    for step in (steps.IgnorePattern(), steps.LimitOutput()):
        notebook, _ = step(notebook, {})
    if done.end:
        notes.append(f"{done.end} The checks from there on did not run and earn nothing.")
    return _Graded(released.name, notebook, earned(notebook), marks(notebook, released), notes, done.evidence)


def _run(
    notebook: NotebookNode, files: Mapping[str, bytes], settings: SandboxSettings, kernels: Kernels
) -> Executed:
    """Run it; a kill that nobody here ordered is tried again where it shares nothing with another submission."""
    checks = sum(utils.is_grade(cell) and not utils.is_solution(cell) for cell in notebook.cells)
    done = execute(notebook, lambda: kernels.start(files, ENVIRONMENT), settings, Canaries(checks))
    if done.reason != "killed":
        return done
    return execute(notebook, lambda: kernels.start_alone(files, ENVIRONMENT), settings, Canaries(checks))


def _with_seed(files: Mapping[str, bytes], variant: str) -> dict[str, bytes]:
    """What was sent, with the site's seed in place of whatever stands where it belongs."""
    ours = {SEED_FILE: variant.encode()} if variant else {}
    return ours | {path: content for path, content in files.items() if path != SEED_FILE}


def _working_folder(files: Mapping[str, bytes], lab: ReleasedLab) -> dict[str, bytes]:
    """The release's files, and the student's others that do not stand in their way. No notebook of the lab."""
    notebooks = {f"{notebook.name}.ipynb" for notebook in lab.notebooks}
    laid = {path: content for path, content in lab.files.items() if path not in notebooks}
    folders = {str(parent) for path in laid for parent in PurePosixPath(path).parents}
    for path, content in files.items():
        above = {str(parent) for parent in PurePosixPath(path).parents}
        if path in notebooks or path in laid or path in folders or above & laid.keys():
            continue
        laid[path] = content
        folders |= above
    return laid


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
