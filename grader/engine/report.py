"""Marks an executed notebook by nbgrader's own rule and says, for each exercise, what went wrong."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from nbformat import NotebookNode
from nbgrader import utils

from grader.engine.execute import void
from grader.engine.released import ReleasedCell, ReleasedNotebook

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
MAX_MESSAGE_CHARS = 600
WAITS = "A person marks this."


@dataclass(frozen=True)
class ExerciseMark:
    """points is None while a person has to mark it."""

    exercise: str
    points: float | None
    max_points: float
    message: str = ""


def settle(nb: NotebookNode) -> None:
    """Make every check end in something nbgrader can turn into a mark: what it cannot, earns nothing."""
    for cell in nb.cells:
        if not utils.is_grade(cell):
            continue
        try:
            points, _ = utils.determine_grade(cell)
        except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError):
            void(cell, "MarkError", "The check gave something that is no mark between 0 and its points.")
            continue
        result = next((o for o in cell.get("outputs", []) if o.output_type == "execute_result"), None)
        if points is not None and result is not None and _is_nan(result):
            void(cell, "MarkError", "The check gave 'nan', which is no mark.")


def _is_nan(result: NotebookNode) -> bool:
    try:
        return math.isnan(float(result.data["text/plain"]))
    except (ValueError, KeyError, TypeError):
        return False


def marks(nb: NotebookNode, released: ReleasedNotebook) -> list[ExerciseMark]:
    """The marks of an executed, settled notebook, one an exercise, in the order of the release."""
    cells = {c.metadata["nbgrader"]["grade_id"]: c for c in nb.cells if "nbgrader" in c.metadata}
    made: dict[str, ExerciseMark] = {}
    for original in released.cells:
        if original.points is None:
            continue
        mark = _mark(cells[original.name], original)
        before = made.get(original.exercise)
        made[original.exercise] = mark if before is None else _sum(before, mark)
    return list(made.values())


def earned(nb: NotebookNode) -> float:
    """The points that are certain already: the sum of all checks, without what a person has to mark."""
    return sum(utils.determine_grade(cell)[0] or 0.0 for cell in nb.cells if utils.is_grade(cell))


def _mark(cell: NotebookNode, original: ReleasedCell) -> ExerciseMark:
    points = utils.determine_grade(cell)[0] if original.grade else None
    most = original.points or 0.0
    if points is None:
        return ExerciseMark(original.exercise, None, most, WAITS)
    if original.solution:
        return ExerciseMark(original.exercise, points, most, "No answer.")
    return ExerciseMark(original.exercise, points, most, "" if points >= most else _why(cell, points))


def _why(cell: NotebookNode, points: float) -> str:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return _sentence(f"{output.ename}: {output.evalue}" if output.evalue else output.ename)
        if output.output_type == "stream" and output.name == "stderr":
            return _sentence(f"The check wrote a warning: {output.text}")
    printed = "".join(o.text for o in cell.get("outputs", []) if o.output_type == "stream")
    return _sentence(printed) if printed.strip() else f"Partly right: {points:g} points."


def _sentence(text: str) -> str:
    plain = ANSI.sub("", text).strip()
    plain = "".join(c for c in plain if c.isprintable() or c == "\n")
    return plain if len(plain) <= MAX_MESSAGE_CHARS else plain[: MAX_MESSAGE_CHARS - 1] + "…"


def _sum(one: ExerciseMark, other: ExerciseMark) -> ExerciseMark:
    points = None if one.points is None or other.points is None else one.points + other.points
    message = "\n".join(dict.fromkeys(m for m in (one.message, other.message) if m))
    return ExerciseMark(one.exercise, points, one.max_points + other.max_points, message)
