"""Which outcomes a class and a student have mastered, and what a student should do next and why, in words for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from grader.marklog import HandedIn
from grader.models import Release
from hub.portal.attention import in_course_order
from hub.portal.insight import share_of, standing
from hub.portal.languages import apart, ngettext, spoken
from hub.portal.languages import gettext as _
from hub.portal.overview import Mark
from labs.model import Lab

MASTERED = 0.8  # of the points: one slip is allowed, half an understanding is not
NEXT_STEPS = 3  # a longer list is a list and no advice


@dataclass(frozen=True)
class OutcomeOfClass:
    """students: who have a mark on it. mastered: how many of these mastered it. share: of the points, on average."""

    outcome: str
    labs: tuple[str, ...]  # titles
    students: int
    mastered: int
    share: float


@dataclass(frozen=True)
class OutcomeOfStudent:
    """Points of the exercises that map to an outcome, as far as they are marked. labs: names, in course order."""

    outcome: str
    labs: tuple[str, ...]
    points: float
    max_points: float

    @property
    def share(self) -> float:
        """The share of the points."""
        return self.points / self.max_points

    @property
    def mastered(self) -> bool:
        """Whether that is enough."""
        return _is_mastered(self.share)


@dataclass(frozen=True)
class Step:
    """A lab to do next, and why that."""

    release: Release
    why: str  # in the reader's language


def outcome_map(
    releases: Iterable[Release], labs: Mapping[str, Lab], rows: Iterable[HandedIn], students: Collection[str]
) -> list[OutcomeOfClass]:
    """The outcomes of a course's labs, with how many of the class mastered each. `rows`: oldest first."""
    taught, exercises = taught_by(releases, labs), _exercises(labs)
    by_student: dict[str, list[HandedIn]] = {}
    for row in standing(rows, students):
        by_student.setdefault(row.username, []).append(row)
    shares: dict[str, list[float]] = {}
    for theirs in by_student.values():
        for outcome, (points, most) in _points(theirs, exercises).items():
            shares.setdefault(outcome, []).append(points / most)
    found = []
    for outcome, teaching in taught.items():
        met = shares.get(outcome, [])
        found.append(
            OutcomeOfClass(
                outcome=outcome,
                labs=tuple(each.title for each in teaching),
                students=len(met),
                mastered=sum(_is_mastered(share) for share in met),
                share=sum(met) / len(met) if met else 0.0,
            )
        )
    return found


def taught_by(releases: Iterable[Release], labs: Mapping[str, Lab]) -> dict[str, list[Release]]:
    """The outcomes of a course in its order, each with the labs that have an exercise for it."""
    taught: dict[str, list[Release]] = {}
    for release in in_course_order(releases):
        if release.lab in labs:
            exercises = labs[release.lab].exercise
            for outcome in dict.fromkeys(each for exercise in exercises for each in exercise.outcomes):
                taught.setdefault(outcome, []).append(release)
    return taught


def _exercises(labs: Mapping[str, Lab]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The outcomes of each exercise of each lab."""
    return {name: {each.id: each.outcomes for each in lab.exercise} for name, lab in labs.items()}


def _points(
    rows: Iterable[HandedIn], exercises: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> dict[str, tuple[float, float]]:
    """Points and points there were for each outcome. `rows`: the one submission of each lab that counts."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        known = exercises.get(row.lab, {})
        for each in row.exercises or ():
            points, most = each["points"], each["max_points"]
            if points is None or most <= 0:  # a person marks it, or there is nothing to have
                continue
            for outcome in known.get(each["exercise"], ()):
                before = found.get(outcome, (0.0, 0.0))
                found[outcome] = (before[0] + points, before[1] + most)
    return found


def _is_mastered(share: float) -> bool:
    return share >= MASTERED - 1e-9  # 0.8 may come out of a division a hair short


# A student's own: only what feedback has shown them


@dataclass(frozen=True)
class ReadMark:
    """A mark that its student may read. row: of the submission it is for."""

    release: Release
    row: HandedIn
    mark: Mark


def read_marks(releases: Iterable[Release], rows: Iterable[HandedIn]) -> list[ReadMark]:
    """The marks of one student whose feedback is out, one a lab, as handed in. `rows`: theirs, oldest first."""
    known = {each.lab: each for each in releases}
    newest: dict[str, HandedIn] = {}
    for row in rows:
        if row.released_at is not None and row.lab in known:
            newest[row.lab] = row
    return [
        ReadMark(known[row.lab], row, Mark(row.released_points, row.released_max_points))
        for row in sorted(newest.values(), key=lambda row: row.received_at)
        if row.released_points is not None and row.released_max_points is not None
    ]


def read_outcomes(
    marks: Iterable[ReadMark], releases: Iterable[Release], labs: Mapping[str, Lab]
) -> list[OutcomeOfStudent]:
    """One student's outcomes, from the reports that they may read; one of a later regrade waits."""
    met = _points((each.row for each in marks if each.row.is_out), _exercises(labs))
    return [
        OutcomeOfStudent(outcome, tuple(each.lab for each in teaching), *met[outcome])
        for outcome, teaching in taught_by(releases, labs).items()
        if outcome in met
    ]


def next_steps(
    releases: Sequence[Release],
    labs: Mapping[str, Lab],
    rows: Sequence[HandedIn],
    now: datetime,
) -> list[Step]:
    """What one student should do next: what is due, what has to come before it, what is still weak."""
    offered = [
        each
        for each in in_course_order(releases)
        if each.withdrawn_at is None and (each.opens_at is None or each.opens_at <= now)
    ]
    marks = read_marks(releases, rows)
    shares = {each.release.lab: share for each in marks if (share := share_of(each.mark)) is not None}
    begun = {row.lab for row in rows}
    steps: dict[str, Step] = {}
    for step in (
        *_due(offered, labs, begun, shares, now),
        *_weak(offered, read_outcomes(marks, releases, labs), begun),
    ):
        steps.setdefault(step.release.lab, step)
    return list(steps.values())[:NEXT_STEPS]


def _due(
    offered: Sequence[Release],
    labs: Mapping[str, Lab],
    begun: Collection[str],
    shares: Mapping[str, float],
    now: datetime,
) -> list[Step]:
    """The next lab by due time with what has to come before it, then the first that is past due."""
    todo = [each for each in offered if each.lab not in begun]
    ahead = [each for each in todo if each.due_at is not None and each.due_at >= now]
    undated = [each for each in todo if each.due_at is None]
    past = [each for each in todo if each.due_at is not None and each.due_at < now]
    steps: list[Step] = []
    for release in (ahead or undated)[:1]:
        steps += _before(release, offered, labs, begun, shares)
        why = (
            _("It is the next that is due, and you have handed in nothing for it yet.")
            if release.due_at
            else _("It has no due time and waits for you, and you have handed in nothing for it yet.")
        )
        steps.append(Step(release, why))
    return steps + [
        Step(each, _("Its due time is past and you have handed in nothing. Ask whether late work counts."))
        for each in past[:1]
    ]


def _before(
    release: Release,
    offered: Sequence[Release],
    labs: Mapping[str, Lab],
    begun: Collection[str],
    shares: Mapping[str, float],
) -> list[Step]:
    """The labs of this course that `release` builds on and that are not mastered."""
    required = labs[release.lab].requires if release.lab in labs else ()
    steps = []
    for each in offered:
        if each.lab not in required:
            continue
        if each.lab not in begun:
            why = _("%(lab)s builds on it, and you have handed in nothing for it.")
            steps.append(Step(each, why % {"lab": apart(release.title)}))
        elif not _is_mastered(shares.get(each.lab, 1.0)):  # a mark that is not out says nothing
            why = _("%(lab)s builds on it, and your mark is %(mark)s; %(safe)s is safe.") % {
                "lab": apart(release.title),
                "mark": spoken().percent(shares[each.lab]),
                "safe": spoken().percent(MASTERED),
            }
            steps.append(Step(each, why))
    return steps


def _weak(
    offered: Sequence[Release], outcomes: Iterable[OutcomeOfStudent], begun: Collection[str]
) -> list[Step]:
    """For each weak outcome, weakest first, a lab that teaches it; one that is new before one that is not."""
    by_name = {each.lab: each for each in offered}
    steps = []
    for each in sorted((each for each in outcomes if not each.mastered), key=lambda each: each.share):
        teaching = sorted((lab for lab in each.labs if lab in by_name), key=lambda lab: lab in begun)
        if not teaching:
            continue
        steps.append(Step(by_name[teaching[0]], _why_weak(each, again=teaching[0] in begun)))
    return steps


def _why_weak(met: OutcomeOfStudent, *, again: bool) -> str:
    count = int(met.max_points)
    why = (
        ngettext(
            "It teaches %(outcome)s, where you have %(points)s of %(out_of)s point. "
            "Go through it again with its feedback.",
            "It teaches %(outcome)s, where you have %(points)s of %(out_of)s points. "
            "Go through it again with its feedback.",
            count,
        )
        if again
        else ngettext(
            "It teaches %(outcome)s, where you have %(points)s of %(out_of)s point.",
            "It teaches %(outcome)s, where you have %(points)s of %(out_of)s points.",
            count,
        )
    )
    number = spoken().number
    return why % {
        "outcome": apart(met.outcome),
        "points": number(met.points),
        "out_of": number(met.max_points),
    }
