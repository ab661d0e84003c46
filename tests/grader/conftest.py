"""A course with a released lab, and a sandbox to grade it in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from grader.archives import pack
from grader.gradebook import CourseGradebook
from grader.models import Submission
from grader.pipeline import JobResult, Step, grade_job
from grader.release import release_lab
from grader.sandbox import open_sandbox, unavailable
from grader.sandbox.base import Sandbox
from grader.settings import GraderSettings, Places, SandboxSettings
from grader.store import MemberRow, Store
from labs.model import Lab

COURSE = "ict101"
WALLS = SandboxSettings(backend="process", cell_timeout_s=3, total_timeout_s=25, memory_mb=400, pids=64)


def _write_lab(folder: Path, hidden: str = "assert add(20, 22) == 42, 'a hidden one'") -> Lab:
    """An ordinary nbgrader assignment: a check of 2 points and a written answer of 1."""

    def meta(name: str, *, grade: bool, solution: bool, points: float | None = None) -> dict[str, Any]:
        flags = {"grade": grade, "solution": solution, "locked": grade and not solution, "task": False}
        made = {"nbgrader": {"schema_version": 3, "grade_id": name} | flags}
        if points is not None:
            made["nbgrader"]["points"] = points
        return made

    check = f"assert add(1, 2) == 3\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
    cells = [
        nbformat.v4.new_markdown_cell("# Sums"),
        nbformat.v4.new_code_cell(
            "### BEGIN SOLUTION\ndef add(a, b):\n    return a + b\n### END SOLUTION",
            metadata=meta("add", grade=False, solution=True),
        ),
        nbformat.v4.new_code_cell(check, metadata=meta("check-add", grade=True, solution=False, points=2)),
        nbformat.v4.new_markdown_cell(
            "### BEGIN SOLUTION\nBecause.\n### END SOLUTION",
            metadata=meta("why", grade=True, solution=True, points=1),
        ),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    (folder / "sums.ipynb").write_text(nbformat.writes(notebook))
    return Lab.load(folder)


class Course:
    """A course `ict101` with the lab `sums` released: `hand_in`, `grade`."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.places = Places(data=folder / "var")
        self.store = Store.open(self.places.store_url, self.places)
        self.store.create_course(COURSE)
        self.gradebook = CourseGradebook(self.places, COURSE)
        self.settings = GraderSettings(sandbox=WALLS, workers=1)
        self.steps: list[Step] = []
        self.release()

    def release(self, hidden: str | None = None, due_at: Any = None, **limits: Any) -> None:
        """Release the lab, with another hidden test if one is given."""
        lab = _write_lab(self.folder / "sums", **({"hidden": hidden} if hidden else {}))
        lab = lab.model_copy(update=limits)
        self.released = release_lab(self.store, self.places, lab, COURSE, by="teacher", due_at=due_at)

    def notebook(self, add: str | None = None, why: str | None = None) -> dict[str, Any]:
        """The released notebook, answered."""
        raw = (self.places.course(COURSE) / "release/sums/sums.ipynb").read_text()
        notebook: dict[str, Any] = json.loads(raw)
        for cell in notebook["cells"]:
            name = cell["metadata"].get("nbgrader", {}).get("grade_id")
            cell["source"] = {"add": add, "why": why}.get(name) or cell["source"]
        return notebook

    def hand_in(self, username: str, sent: dict[str, Any] | bytes, **files: bytes) -> Submission:
        """Hand in a notebook."""
        self.store.enrol(COURSE, [MemberRow(username)])
        raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return self.store.submit(COURSE, "sums", username, pack({"sums.ipynb": raw} | files))

    def solved(self, username: str, why: str | None = None) -> Submission:
        """Hand in a right answer."""
        return self.hand_in(username, self.notebook(add="def add(a, b):\n    return a + b", why=why))

    def grade(self, **options: Any) -> JobResult:
        """Run a job; its steps are in `steps`."""
        self.steps = []
        given: dict[str, Any] = {
            "requested_by": "teacher",
            "image_of": lambda _release: "none",  # the process backend needs none
            "progress": self.steps.append,
        }
        return grade_job(
            self.store,
            self.settings,
            self.places,
            COURSE,
            "sums",
            **(given | options),
        )

    def marks(self) -> dict[str, tuple[float, bool]]:
        """Points, and whether a person has to mark, by student: from nbgrader's gradebook."""
        return {mark.username: (mark.points, mark.needs_manual) for mark in self.gradebook.marks("sums")}


@pytest.fixture(scope="session")
def sandbox(missing: Callable[[str, str], None]) -> Iterator[Sandbox]:
    """The sandbox without a Docker Engine: the inner wall, which is there in both."""
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")
    walls = open_sandbox("process")
    yield walls
    walls.close()


@pytest.fixture
def course(tmp_path: Path, sandbox: Sandbox) -> Course:
    """A course with the lab `sums`: a check of 2 points, a written answer of 1."""
    return Course(tmp_path, sandbox)
