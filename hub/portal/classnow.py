"""What a class in the lab looks like at this moment: who is where, who is stuck, which check fails for how many. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from grader.outline import Outline
from grader.places import Place

MOST_CHECKS = 5  # of an exercise: the commonest


@dataclass(frozen=True)
class AtWork:
    """One student at work. solved, exercises: how many of the lab's, as far as students can check them."""

    place: Place
    name: str
    lab: str
    exercise: str
    stuck: bool
    on_it: str
    seen: str
    solved: int
    exercises: int


@dataclass(frozen=True)
class OnExercise:
    """One exercise of a lab: how many are on it now, how many of them are stuck, and what fails for how many."""

    title: str
    students: int
    stuck: int
    failing: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class InLab:
    """One lab that somebody works on."""

    lab: str
    title: str
    students: int
    exercises: tuple[OnExercise, ...]


def at_work(
    places: Iterable[Place],
    names: Mapping[str, str],
    titles: Mapping[str, str],
    outlines: Mapping[str, Outline],
    now: datetime,
) -> list[AtWork]:
    """Those of `names` (user name -> name) who are at work, by name. titles, outlines: of the labs."""
    rows = [
        AtWork(
            place=place,
            name=names[place.username] or place.username,
            lab=titles.get(place.lab, place.lab),
            exercise=_title(outlines[place.lab], place.exercise),
            stuck=place.is_stuck(now),
            on_it=span(now - place.since),
            seen=span(now - place.seen_at),
            solved=len(place.solved),
            exercises=outlines[place.lab].checked,
        )
        for place in places
        if place.username in names
    ]
    return sorted(rows, key=lambda row: (row.name.casefold(), row.place.username))


def stuck_first(rows: Iterable[AtWork]) -> list[AtWork]:
    """Those who are stuck, the longest first."""
    return sorted(
        (row for row in rows if row.stuck), key=lambda row: row.place.failing_since or row.place.since
    )


def by_lab(rows: Sequence[AtWork], outlines: Mapping[str, Outline]) -> list[InLab]:
    """The labs that are worked on, the fullest first, each with its exercises in order."""
    groups: dict[str, list[AtWork]] = defaultdict(list)
    for row in rows:
        groups[row.place.lab].append(row)
    return [
        InLab(lab, found[0].lab, len(found), tuple(_exercises(found, outlines[lab])))
        for lab, found in sorted(groups.items(), key=lambda each: (-len(each[1]), each[0]))
    ]


def _exercises(rows: Sequence[AtWork], lab: Outline) -> Iterable[OnExercise]:
    on: dict[str, list[AtWork]] = defaultdict(list)
    for row in rows:
        on[row.place.exercise].append(row)
    for name in [*(each.name for each in lab.exercises), ""]:
        found = on.get(name, [])
        if not found:
            continue
        failing = Counter(check for row in found for check in row.place.failing_checks)
        yield OnExercise(
            _title(lab, name),
            len(found),
            sum(row.stuck for row in found),
            tuple(sorted(failing.items(), key=lambda each: (-each[1], each[0]))[:MOST_CHECKS]),
        )


def _title(lab: Outline, exercise: str) -> str:
    return next((each.title for each in lab.exercises if each.name == exercise), "")


def span(time: timedelta) -> str:
    """How long, in whole minutes."""
    minutes = int(time.total_seconds() // 60)
    if minutes < 1:
        return "under 1 min"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
