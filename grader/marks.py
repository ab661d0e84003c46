"""Which cells an exercise has, and what its marks and comments are once people have added theirs. Pure."""

from __future__ import annotations

import functools
import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.archives import ArchiveTooLarge, read_member

if TYPE_CHECKING:  # it brings nbgrader with it, and the portal starts without
    from grader.gradebook import SubmissionMarks

LONGEST_COMMENT = 4_000  # characters
_MOST_NOTEBOOK_BYTES = 30_000_000


@dataclass(frozen=True)
class ExerciseCells:
    """Which cells of a release count for an exercise. answers: those that can be commented."""

    exercise: str
    notebook: str
    graded: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A cell with a student's answer. comment: a person's. said: the grader's own, which a person's takes the place of."""

    cell: str
    comment: str
    said: str


@dataclass(frozen=True)
class ExerciseSheet:
    """One exercise of a submission. auto_points: None where only a person can mark.

    by_hand: a person gave points. waits: a person has to look, for the first time or again.
    """

    exercise: str
    notebook: str
    points: float
    max_points: float
    auto_points: float | None
    by_hand: bool
    waits: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Sheet:
    """A submission as the gradebook has it. formgrader: notebook -> the id of its page in Formgrader."""

    exercises: tuple[ExerciseSheet, ...]
    formgrader: Mapping[str, str]

    def exercise(self, name: str) -> ExerciseSheet | None:
        """One exercise by its name."""
        return next((each for each in self.exercises if each.exercise == name), None)


@dataclass(frozen=True)
class Points:
    """What somebody has for one exercise. points: None while a person has to mark it."""

    points: float | None
    by_hand: bool = False


@dataclass(frozen=True)
class HandMarked:
    """What the gradebook has for a student in whose submission a person marked something, in all and by exercise.

    waits: a person has to look at something still, or again.
    """

    points: float
    waits: bool
    exercises: Mapping[str, Points]


@dataclass(frozen=True)
class MarkChange:
    """What became of the points of one exercise."""

    exercise: str
    before: float
    after: float
    max_points: float


@functools.lru_cache(maxsize=256)
def exercise_cells(archive: Path) -> tuple[ExerciseCells, ...]:
    """The exercises of a release in their order; empty where its notebooks cannot be read. `archive`: a blob."""
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in sorted(opened.namelist()) if name.endswith(".ipynb") and "/" not in name]
    for name in names:
        notebook = name.removesuffix(".ipynb")
        for meta, exercise in _cells(archive, name):
            if not (meta.get("grade") or meta.get("solution") or meta.get("task")):
                continue
            whose = exercise if isinstance(exercise, str) else meta["grade_id"]
            graded, answers = found.setdefault((notebook, whose), ([], []))
            if meta.get("grade") or meta.get("task"):
                graded.append(meta["grade_id"])
            if meta.get("solution") or meta.get("task"):
                answers.append(meta["grade_id"])
    return tuple(
        ExerciseCells(exercise, notebook, tuple(graded), tuple(answers))
        for (notebook, exercise), (graded, answers) in found.items()
    )


def _cells(archive: Path, name: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """What nbgrader and we noted on each cell of nbgrader's; nothing for what is no notebook: instructors upload too."""
    try:
        read = json.loads(read_member(archive, name, _MOST_NOTEBOOK_BYTES))
    except (ValueError, ArchiveTooLarge):
        return
    cells = read.get("cells") if isinstance(read, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        meta = cell.get("metadata") if isinstance(cell, dict) else None
        noted, ours = (meta.get("nbgrader"), meta.get("ictlabs")) if isinstance(meta, dict) else (None, None)
        if isinstance(noted, dict) and isinstance(noted.get("grade_id"), str):
            yield noted, ours.get("exercise") if isinstance(ours, dict) else None


def released_exercises(
    reported: Iterable[Mapping[str, Any]], marks: SubmissionMarks, exercises: Iterable[ExerciseCells]
) -> list[dict[str, Any]]:
    """The exercises of a report as a student may read them: with the gradebook's points, and the comments.

    by_hand: the points are not those of the report, because a person gave them.
    """
    cells_of = {each.exercise: each for each in exercises}
    told = []
    for row in reported:
        mine = cells_of.get(row["exercise"])
        cells = marks.cells.get(mine.notebook, {}) if mine is not None else {}
        found = {**row, "by_hand": False, "comment": ""}
        held = [cells[name] for name in (mine.graded if mine else ()) if name in cells]
        if held and not any(cell.needs_manual and row["points"] is None for cell in held):
            points = sum(cell.points for cell in held)
            by_hand = row["points"] is None or not math.isclose(points, row["points"])
            found |= {"points": points, "by_hand": by_hand}
            if row["points"] is None:
                found["message"] = ""  # it said that a person has to mark this
        if mine is not None:
            said = [cells[name].comment for name in mine.answers if name in cells]
            found["comment"] = "\n\n".join(comment for comment in said if comment)
        told.append(found)
    return told
