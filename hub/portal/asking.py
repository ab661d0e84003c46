"""What a question can be about, and looked for by: the labs of a course and their exercises, by name and by title."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from grader import writing
from grader.archives import ArchiveTooLarge, read_member
from grader.questions import STATES, Wanted
from hub.portal.desk import Desk
from hub.portal.overview import by_due_time

_LONGEST_SOUGHT = 100  # characters
_LONGEST_ID = 64  # what the column holds
_MOST_NOTEBOOK_BYTES = 10_000_000
_NOT_READ = (
    *(ArchiveTooLarge, zipfile.BadZipFile, OSError),
    *(
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ),  # what is no notebook makes any of these
)


@dataclass(frozen=True)
class Topic:
    """A lab to ask about. exercises: id and title."""

    lab: str
    title: str
    exercises: tuple[tuple[str, str], ...]
    is_offered: bool


def topics_of(desk: Desk, course: str) -> list[Topic]:
    """The labs of a course, withdrawn ones too."""
    entries, found = desk.catalogue.entries(), []
    for release in by_due_time(desk.store.releases(course, withdrawn=True)):
        entry = entries.get(release.lab)
        if entry is not None:
            exercises = tuple((each.id, each.title) for each in entry.lab.exercise)
        else:
            exercises = tuple((name, name) for name in graded_cells(desk.store.blob(release.sha256)))
        found.append(Topic(release.lab, release.title, exercises, release.withdrawn_at is None))
    return found


@functools.lru_cache(maxsize=500)  # bytes of a blob never change
def graded_cells(archive: Path) -> tuple[str, ...]:
    """The ids of the cells that earn points in a release of an instructor's own: reports call them exercises."""
    found: list[str] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if name.endswith(".ipynb")]
        for name in names:
            cells = json.loads(read_member(archive, name, _MOST_NOTEBOOK_BYTES))["cells"]
            known = [cell["metadata"].get("nbgrader", {}) for cell in cells]
            found += [str(each["grade_id"]) for each in known if each.get("grade")]
    except _NOT_READ:
        return ()  # one may ask about the lab all the same
    return tuple(dict.fromkeys(name for name in found if len(name) <= _LONGEST_ID))


def titles(found: Iterable[Topic]) -> dict[tuple[str | None, str | None], str]:
    """The title of each lab (with no exercise) and of each exercise of it."""
    named: dict[tuple[str | None, str | None], str] = {}
    for topic in found:
        named[(topic.lab, None)] = topic.title
        named |= {(topic.lab, name): title for name, title in topic.exercises}
    return named


def is_topic(found: Iterable[Topic], lab: str | None, exercise: str | None) -> bool:
    """Whether there is such a lab, with such an exercise if one is named."""
    return lab is None or (lab, exercise) in titles(found)


def wanted_of(found: Iterable[Topic], q: str, lab: str, state: str, mine: str) -> Wanted:
    """Which questions an address asks for, in bounds; what cannot be is left out."""
    return Wanted(
        text=writing.line(q)[:_LONGEST_SOUGHT],
        lab=lab if is_topic(found, lab, None) else "",
        state=state if state in STATES else "",
        mine=bool(mine),
    )
