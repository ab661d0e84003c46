"""Grades one notebook of a lab without a course, by the very same engine: for `ict labs prove`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from grader.engine.grade import GradedSubmission, grade_submission
from grader.gradebook import CourseGradebook
from grader.sandbox import open_sandbox
from grader.sandbox.base import Limits, Sandbox
from grader.settings import Places, SandboxSettings
from labs.model import Lab

COURSE = "standalone"


def grade_notebook(
    lab: Lab,
    notebook: NotebookNode,
    *,
    settings: SandboxSettings,
    sandbox: Sandbox | None = None,
    image: str | None = None,
) -> dict[str, float]:
    """Points an exercise, of `notebook` handed in as the lab's one notebook.

    sandbox: used if given and left open; otherwise one is opened with `image`, by default the lab's own.
    Raises SandboxError when it cannot be graded here.
    """
    graded = grade_files(
        lab, {f"{lab.name}.ipynb": notebook}, settings=settings, sandbox=sandbox, image=image
    )
    return {mark.exercise: mark.points or 0.0 for mark in graded.exercises}


def grade_files(
    lab: Lab,
    notebooks: Mapping[str, NotebookNode],
    *,
    settings: SandboxSettings,
    sandbox: Sandbox | None = None,
    image: str | None = None,
    variant: str = "",
) -> GradedSubmission:
    """The whole result of notebooks (file name -> notebook) handed in for `lab` by who has the seed `variant`."""
    sent = {name: nbformat.writes(notebook).encode() for name, notebook in notebooks.items()}
    with tempfile.TemporaryDirectory(prefix="ict-standalone-") as folder:
        gradebook = CourseGradebook(Places(data=Path(folder)), COURSE)
        released = gradebook.released(lab.name, gradebook.prepare_release(lab).files)
        settings = settings.for_cells_of(lab.cell_seconds).with_room(lab.memory_mb, lab.cpus)
        walls = sandbox or open_sandbox(settings.backend, settings, image=image or image_of(lab.environment))
        kernels = walls.kernels(Limits.of(settings, nested=lab.nested), preload=lab.preload, fork=lab.fork)
        try:
            return grade_submission(sent, released, settings, kernels, variant=variant)
        finally:
            kernels.close()
            if sandbox is None:
                walls.close()


def image_of(environment: str, prefix: str = "ictlabs") -> str:
    """The image that labs of `environment` run in."""
    return f"{prefix}/{environment}:{version('ictlabs')}"
