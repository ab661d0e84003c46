"""Where a student is in a lab, and how what a notebook tells moves them on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from grader.outline import Outline

WORKING = timedelta(minutes=15)  # who ran nothing for so long is not at work
STUCK = timedelta(minutes=10)  # with checks of one exercise that do not hold
RUN_ALL = 3  # exercises in one batch: the notebook was run through, nobody worked on all of them
_MOST_FAILING, _LONGEST_NAME = 3, 120  # of one check cell: enough to know it by, and a row stays small


@dataclass(frozen=True)
class Ran:
    """A cell of the lab that ran. checks: the name of each and whether it holds; none: it is no check cell."""

    cell: str
    checks: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a student is. failing: check cell of the exercise -> names of what does not hold in it; empty: all holds."""

    course: str
    username: str
    lab: str
    seen_at: datetime
    since: datetime
    exercise: str = ""
    failing_since: datetime | None = None
    failing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    solved: Sequence[str] = ()

    def is_working(self, now: datetime) -> bool:
        """Whether something ran a moment ago."""
        return now - self.seen_at < WORKING

    def is_stuck(self, now: datetime) -> bool:
        """Whether checks of one exercise have failed for long, with somebody there."""
        return self.is_working(now) and self.failing_since is not None and now - self.failing_since >= STUCK

    @property
    def failing_checks(self) -> list[str]:
        """Names of what does not hold, each once."""
        return list(dict.fromkeys(name for names in self.failing.values() for name in names))


def moved(place: Place, batch: Sequence[Ran], lab: Outline, now: datetime) -> Place:
    """Where the student is after `batch`. What is not in the release is only a sign of life."""
    if now - place.seen_at >= WORKING:  # another sitting
        place = replace(place, since=now, failing_since=None, failing={})
    said: dict[str, dict[str, Sequence[str]]] = {}  # exercise -> check cell -> what does not hold
    for ran in batch:
        exercise = lab.cells.get(ran.cell)
        if exercise is None:
            continue
        told = said.setdefault(exercise, said.pop(exercise, {}))  # the last one touched stands last
        if ran.checks and ran.cell in lab.checks(exercise):
            names = [" ".join(name.split())[:_LONGEST_NAME] for name, holds in ran.checks if not holds]
            told[ran.cell] = list(dict.fromkeys(names))[:_MOST_FAILING]
    current = _current(place.exercise, said, lab)
    if current != place.exercise:
        place = replace(place, exercise=current, since=now, failing_since=None, failing={})
    failing = {**place.failing, **said.get(current, {})}
    said[current] = failing
    fails = any(failing.values())
    return replace(
        place,
        seen_at=now,
        failing=failing,
        failing_since=(place.failing_since or now) if fails else None,
        solved=_solved(place.solved, said, lab),
    )


def _current(before: str, said: Mapping[str, Mapping[str, Sequence[str]]], lab: Outline) -> str:
    if not said:
        return before
    if len(said) >= RUN_ALL:
        open_ones = [each.name for each in lab.exercises if any(said.get(each.name, {}).values())]
        if open_ones:
            return before if before in open_ones else open_ones[0]
    return list(said)[-1]


def _solved(
    before: Sequence[str], said: Mapping[str, Mapping[str, Sequence[str]]], lab: Outline
) -> list[str]:
    solved = set(before)
    for exercise, told in said.items():
        checks = lab.checks(exercise)
        if any(told.values()):
            solved.discard(exercise)
        elif checks and checks <= set(told):
            solved.add(exercise)
    return [each.name for each in lab.exercises if each.name in solved]
