"""A small lab of nbgrader cells, and a bench that hands notebooks in and grades them in a real sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from grader.engine.grade import GradedSubmission, grade_submission
from grader.engine.released import ReleasedLab
from grader.gradebook import CourseGradebook
from grader.sandbox.base import Limits, Sandbox
from grader.settings import Places, SandboxSettings
from labs.model import Lab

# (kind, nbgrader id, points, source): the lab `sums`, worth 7 points
CELLS = [
    ("text", None, None, "# Sums"),
    ("given", "setup-numbers", None, "NUMBERS = [1, 2, 3]"),
    (
        "answer",
        "add",
        None,
        "def add(a, b):\n    ### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION\n    pass",
    ),
    (
        "check",
        "check-add",
        2,
        "assert add(1, 2) == 3, 'add(1, 2) should be 3'\n"
        "### BEGIN HIDDEN TESTS\nassert add(NUMBERS[0], 41) == 42, 'a hidden one'\n### END HIDDEN TESTS",
    ),
    (
        "answer",
        "double",
        None,
        "def double(n):\n    ### BEGIN SOLUTION\n    return 2 * n\n    ### END SOLUTION\n    pass",
    ),
    ("check", "check-double", 3, "sum(double(n) == 2 * n for n in (1, 2, 30))"),
    ("written", "why", 2, "### BEGIN SOLUTION\nBecause.\n### END SOLUTION"),
]


def _source(cells: list[tuple[str, str | None, float | None, str]]) -> NotebookNode:
    made = []
    for kind, name, points, source in cells:
        code = kind in ("given", "answer", "check", "code")
        cell = (nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell)(source)
        if name:
            meta: dict[str, Any] = {
                "schema_version": 3,
                "grade_id": name,
                "grade": kind in ("check", "written"),
                "solution": kind in ("answer", "written"),
                "locked": kind in ("given", "check"),
                "task": False,
            }
            if points is not None:
                meta["points"] = points
            cell.metadata["nbgrader"] = meta
            if name.startswith("check-"):
                cell.metadata["ictlabs"] = {"exercise": name.removeprefix("check-")}
        made.append(cell)
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernelspec})


class Bench:
    """One released lab. `notebook()` is what a student fetched; `grade` takes it back changed."""

    def __init__(self, folder: Path, sandbox: Sandbox, name: str, notebooks: dict[str, NotebookNode]) -> None:
        source = folder / name
        source.mkdir(parents=True)
        for stem, notebook in notebooks.items():
            (source / f"{stem}.ipynb").write_text(nbformat.writes(notebook))
        (source / "table.csv").write_text("n\n7\n")
        self.places = Places(data=folder / "var")
        self.gradebook = CourseGradebook(self.places, "ict101")
        self.lab = Lab.load(source)
        self.files = self.gradebook.prepare_release(self.lab).files
        self.released: ReleasedLab = self.gradebook.released(name, self.files, "release")
        self.sandbox = sandbox
        self.settings = SandboxSettings(cell_timeout_s=3, total_timeout_s=25, memory_mb=400, pids=64)

    def notebook(self, stem: str | None = None, **answers: str) -> NotebookNode:
        """The released notebook with some answers filled in."""
        stem = stem or self.released.notebooks[0].name
        notebook = nbformat.reads(self.files[f"{stem}.ipynb"].decode(), as_version=4)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in answers:
                cell.source = answers[name]
        return notebook

    def solved(self, **answers: str) -> NotebookNode:
        """The released notebook with right answers, but for `answers`."""
        right = {
            "add": "def add(a, b):\n    return a + b",
            "double": "def double(n):\n    return 2 * n",
        }
        return self.notebook(**(right | answers))

    def grade(self, sent: NotebookNode | bytes | dict[str, Any], **files: bytes) -> GradedSubmission:
        """Hand in one notebook (and other files) and grade it."""
        raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        name = f"{self.released.notebooks[0].name}.ipynb"
        return self.grade_files({name: raw} | files)

    def grade_files(self, files: dict[str, bytes], variant: str = "") -> GradedSubmission:
        """Hand in files as they are."""
        kernels = self.sandbox.kernels(Limits.of(self.settings), preload=["ictlab.check"])
        try:
            return grade_submission(files, self.released, self.settings, kernels, variant=variant)
        finally:
            kernels.close()


@pytest.fixture
def make_bench(tmp_path: Path, sandbox: Sandbox) -> Callable[..., Bench]:
    """Release a lab made of `cells` and give its bench."""

    def make(cells: list[tuple[str, str | None, float | None, str]], name: str = "sums") -> Bench:
        return Bench(tmp_path / f"bench-{name}", sandbox, name, {name: _source(cells)})

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """The lab `sums`: add 2 points, double 3 with partial credit, why 2 by hand."""
    return make_bench(CELLS)


@pytest.fixture
def cell() -> Callable[[NotebookNode, str], NotebookNode]:
    """Find a cell of a notebook by its nbgrader id."""

    def find(notebook: NotebookNode, name: str) -> NotebookNode:
        return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)

    return find


@pytest.fixture
def points() -> Callable[[GradedSubmission], dict[str, float | None]]:
    """Points by exercise."""
    return lambda graded: {mark.exercise: mark.points for mark in graded.exercises}
