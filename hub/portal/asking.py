"""What a question can be about, and looked for by: the labs of a course and their exercises, by name and by title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grader import writing
from grader.models import Release
from grader.questions import STATES, Wanted
from hub.portal.catalogue import Entry
from hub.portal.desk import Desk
from hub.portal.overview import by_due_time

_LONGEST_SOUGHT = 100  # characters


@dataclass(frozen=True)
class Topic:
    """A lab to ask about. exercises: id and title; none for a lab that the library does not have."""

    lab: str
    title: str
    exercises: tuple[tuple[str, str], ...]
    is_offered: bool


def topics_of(desk: Desk, course: str) -> list[Topic]:
    """The labs of a course, withdrawn ones too."""
    return topics(desk.store.releases(course, withdrawn=True), desk.catalogue.entries())


def topics(releases: Iterable[Release], entries: Mapping[str, Entry]) -> list[Topic]:
    """The labs of a course, what is due first before the others."""
    found = []
    for release in by_due_time(releases):
        entry = entries.get(release.lab)
        exercises = tuple((each.id, each.title) for each in entry.lab.exercise) if entry else ()
        found.append(Topic(release.lab, release.title, exercises, release.withdrawn_at is None))
    return found


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
