"""What a course was given to solve, as the server holds it: the only source of points and locked text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class ReleasedCell:
    """One nbgrader cell.

    source: with the hidden tests. points: None for what earns nothing.
    exercise: whose points they are; in an ordinary nbgrader notebook each graded cell is one.
    last: a check that runs when every other cell has run, with the names as they were at its place.
    """

    name: str
    cell_type: str
    source: str
    checksum: str | None
    grade: bool
    solution: bool
    task: bool
    locked: bool
    points: float | None
    exercise: str
    last: bool = False

    @property
    def is_check(self) -> bool:
        """Whether running it gives the mark (a written answer is marked by a person)."""
        return self.grade and not self.solution and self.cell_type == "code"

    @property
    def hides_tests(self) -> bool:
        """Whether students must not read its source."""
        return "BEGIN HIDDEN TESTS" in self.source

    def metadata(self) -> dict[str, Any]:
        """Its nbgrader metadata, schema 3."""
        meta: dict[str, Any] = {
            "schema_version": 3,
            "grade_id": self.name,
            "grade": self.grade,
            "solution": self.solution,
            "locked": self.locked,
            "task": self.task,
            "cell_type": self.cell_type,
        }
        if self.checksum:
            meta["checksum"] = self.checksum
        if self.points is not None:
            meta["points"] = self.points
        return meta


@dataclass(frozen=True)
class ReleasedNotebook:
    """One notebook of a release. `cells` has only nbgrader's cells, in the order of the release."""

    name: str
    cells: tuple[ReleasedCell, ...]
    kernelspec: Mapping[str, Any] | None = None

    def cell(self, name: str) -> ReleasedCell | None:
        """The cell with that id."""
        return next((c for c in self.cells if c.name == name), None)

    @property
    def max_points(self) -> float:
        """Points of all its cells."""
        return sum(c.points or 0.0 for c in self.cells)


@dataclass(frozen=True)
class ReleasedLab:
    """A release as the engine needs it.

    files: path -> bytes of everything beside the notebooks; they overwrite what the student sent.
    sha256: of the released archive, to know a report of another release.
    """

    name: str
    notebooks: tuple[ReleasedNotebook, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    sha256: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that could change a mark, also hidden tests, which students do not have."""
        held = [
            [n.name, [[c.name, c.source, c.points, c.exercise, c.last, c.metadata()] for c in n.cells]]
            for n in self.notebooks
        ]
        return hashlib.sha256(json.dumps([self.sha256, held], sort_keys=True).encode()).hexdigest()

    def dumps(self) -> bytes:
        """As JSON, for the workers. It has the hidden tests: it is kept where submissions are kept, no student's file."""
        files = {path: base64.b64encode(content).decode() for path, content in self.files.items()}
        return json.dumps(asdict(replace(self, files={})) | {"files": files}).encode()

    @classmethod
    def loads(cls, data: bytes) -> ReleasedLab:
        """What `dumps` gave."""
        held = json.loads(data)
        notebooks = tuple(
            ReleasedNotebook(
                nb["name"], tuple(ReleasedCell(**cell) for cell in nb["cells"]), nb["kernelspec"]
            )
            for nb in held["notebooks"]
        )
        files = {path: base64.b64decode(text) for path, text in held["files"].items()}
        return cls(held["name"], notebooks, files, held["sha256"])

    @property
    def max_points(self) -> float:
        """Points of all its notebooks."""
        return sum(n.max_points for n in self.notebooks)
