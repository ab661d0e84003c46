"""What the exercises of a released lab are: read from the release, so that nobody's word is needed for it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_MOST_BYTES = 10_000_000  # of a notebook
_LONGEST = 200
_HEADING = re.compile(r"^##? +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """One exercise. checks: names of the check cells that students run; hidden ones are not among them."""

    name: str
    title: str
    checks: frozenset[str]


@dataclass(frozen=True)
class Outline:
    """The exercises of a lab in their order. cells: the exercise that each answer and check cell belongs to."""

    exercises: tuple[Exercise, ...]
    cells: Mapping[str, str]

    def checks(self, exercise: str) -> frozenset[str]:
        """The check cells of an exercise."""
        return next((each.checks for each in self.exercises if each.name == exercise), frozenset())

    @property
    def checked(self) -> int:
        """How many exercises students can check."""
        return sum(bool(each.checks) for each in self.exercises)


def outline(archive: Path) -> Outline:
    """The exercises of a released lab; `archive`: its zip, which never changes. One that cannot be read has none."""
    return _outline(str(archive))


@lru_cache(maxsize=256)
def _outline(archive: str) -> Outline:
    found: dict[str, Exercise] = {}
    cells: dict[str, str] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [each for each in opened.infolist() if each.filename.endswith(".ipynb")]
            for info in infos:
                if info.file_size <= _MOST_BYTES:
                    _read(json.loads(opened.read(info))["cells"], found, cells)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
        return Outline((), {})  # an instructor's own release may be anything
    return Outline(tuple(found.values()), cells)


def _read(notebook: Iterable[Any], found: dict[str, Exercise], cells: dict[str, str]) -> None:
    title = ""
    for cell in notebook:
        source, meta = "".join(cell["source"]), cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "markdown" and (headings := _HEADING.findall(source)):
            title = headings[-1][:_LONGEST]
        name = str(meta.get("grade_id", ""))[:_LONGEST]
        if not name or cell["cell_type"] != "code" or not (meta.get("grade") or meta.get("solution")):
            continue
        exercise = str(cell["metadata"].get("ictlabs", {}).get("exercise") or name)[:_LONGEST]
        known = found.get(exercise) or Exercise(exercise, title or exercise, frozenset())
        visible = meta.get("grade") and not meta.get("solution") and _is_code(source)
        found[exercise] = Exercise(exercise, known.title, known.checks | ({name} if visible else set()))
        cells[name] = exercise


def _is_code(source: str) -> bool:
    """The release of a cell with nothing but hidden checks says only that there is one."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in source.splitlines())
