"""What is new in a lab since it was released: two sets of source files, told apart for an instructor. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Changes:
    """lines: a sentence each, none when nothing is new. refused: nbgrader takes no such change after submissions."""

    lines: tuple[str, ...]
    refused: bool


@dataclass(frozen=True)
class _Cell:
    exercise: str
    source: str
    points: float | None
    answer: bool


def changes(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Changes:
    """Compare what a lab was made from with what it would be made from now."""
    lines: list[str] = []
    refused = False
    notebooks = sorted(path for path in before.keys() | now.keys() if path.endswith(".ipynb"))
    for path in notebooks:
        if path not in before or path not in now:
            lines.append(f"{path} is {'new' if path in now else 'gone'}.")
            refused = True
        elif before[path] != now[path]:
            said, added = _of_notebook(before[path], now[path])
            lines += said
            refused = refused or added
    for path in sorted((before.keys() | now.keys()) - set(notebooks)):
        if before.get(path) != now.get(path):
            word = "new" if path not in before else "gone" if path not in now else "another"
            lines.append(f"The file {path} is {word}.")
    return Changes(tuple(lines), refused)


def _of_notebook(before: bytes, now: bytes) -> tuple[list[str], bool]:
    old, new = _cells(before), _cells(now)
    lines = [
        f"{one.exercise}: the cell {name} is new{_worth(one)}."
        for name, one in new.items()
        if name not in old
    ]
    lines += [f"{one.exercise}: the cell {name} is gone." for name, one in old.items() if name not in new]
    structure = bool(lines)
    for name, one in new.items():
        was = old.get(name)
        if was is None:
            continue
        if was.points != one.points:
            lines.append(
                f"{one.exercise}: {name} is worth {one.points or 0:g} points, was {was.points or 0:g}."
            )
        if was.source != one.source:
            what = (
                "the answer cell" if one.answer else "the check" if one.points is not None else "given code"
            )
            lines.append(f"{one.exercise}: {what} {name} has another text.")
    if not lines:
        lines.append("The text between the exercises is another.")
    return lines, structure


def _worth(cell: _Cell) -> str:
    return f", worth {cell.points:g} points" if cell.points is not None else ""


def _cells(notebook: bytes) -> dict[str, _Cell]:
    """The cells that nbgrader knows, by name."""
    found: dict[str, _Cell] = {}
    for cell in json.loads(notebook)["cells"]:
        meta: dict[str, Any] = cell["metadata"].get("nbgrader", {})
        name = meta.get("grade_id")
        if name is None:
            continue
        points = float(meta["points"]) if meta.get("grade") or meta.get("task") else None
        exercise = cell["metadata"].get("ictlabs", {}).get("exercise", name)
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        found[name] = _Cell(exercise, source, points, bool(meta.get("solution")))
    return found
