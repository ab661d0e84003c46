"""What a lab's marks say of the lab: distribution, difficulty, discrimination, time to solve, failing checks. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from grader.marklog import HandedIn
from hub.portal.overview import Mark

BINS = 10
LEAST_FOR_DISCRIMINATION = 10  # with fewer, one student can turn its sign
COMMONEST = 3
LONGEST_CHECK = 120  # characters of a failing check: enough for its name, and a page stays a page
_NOT_YET = "[not yet] "  # how a check of the kit begins what is still wrong


@dataclass(frozen=True)
class Quartiles:
    """Shares of the points: a quarter of the students has `low` or less, half `median` or less."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class LabInsight:
    """One lab. students: enrolled. submissions: median for each who handed in. histogram: students in ten bins."""

    students: int
    handed_in: int
    marked: int
    submissions: float | None
    quartiles: Quartiles | None
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Failing:
    """A check that did not pass, and for how many students."""

    check: str
    students: int


@dataclass(frozen=True)
class ExerciseInsight:
    """One exercise. share: mean share of its points. undecided: why there is no discrimination.

    submissions, hours: medians up to the first graded submission that earned it in full, of those who have one.
    """

    exercise: str
    students: int
    solved: int
    share: float | None
    discrimination: float | None
    undecided: str
    submissions: float | None
    hours: float | None
    failing: tuple[Failing, ...]


def instructors_mark(row: HandedIn) -> Mark | None:
    """The mark as the course's table shows it: the released one, or the report's when that is newer."""
    if row.is_out and row.released_points is not None and row.released_max_points is not None:
        return Mark(row.released_points, row.released_max_points)
    if not row.is_graded or row.points is None or row.max_points is None:
        return None
    return Mark(row.points, row.max_points)


def share_of(mark: Mark | None) -> float | None:
    """The share of the points between 0 and 1; None without a mark or without points to have."""
    return min(1.0, max(0.0, mark.points / mark.out_of)) if mark and mark.out_of > 0 else None


def standing(rows: Iterable[HandedIn], students: Collection[str]) -> list[HandedIn]:
    """The newest graded submission of each student and lab. `rows`: oldest first; others' are left out."""
    found: dict[tuple[str, str], HandedIn] = {}
    for row in rows:
        if row.username in students and row.is_graded:
            found[row.lab, row.username] = row
    return list(found.values())


def lab_insight(rows: Sequence[HandedIn], students: Collection[str]) -> LabInsight:
    """How a lab went. `rows`: of this lab, oldest first. `students`: user names enrolled."""
    counts = Counter(row.username for row in rows if row.username in students)
    shares = [
        share for row in standing(rows, students) if (share := share_of(instructors_mark(row))) is not None
    ]
    return LabInsight(
        students=len(students),
        handed_in=len(counts),
        marked=len(shares),
        submissions=statistics.median(counts.values()) if counts else None,
        quartiles=_quartiles(shares),
        histogram=_histogram(shares),
    )


def _quartiles(shares: Sequence[float]) -> Quartiles | None:
    if not shares:
        return None
    if len(shares) == 1:
        return Quartiles(shares[0], shares[0], shares[0])
    return Quartiles(*statistics.quantiles(shares, n=4, method="inclusive"))


def _histogram(shares: Iterable[float]) -> tuple[int, ...]:
    bins = [0] * BINS
    for share in shares:
        bins[min(BINS - 1, int(share * BINS + 1e-9))] += 1  # 0.7 of the points is in the bin from 0.7
    return tuple(bins)


def exercise_insights(
    rows: Sequence[HandedIn], students: Collection[str], released_at: datetime
) -> list[ExerciseInsight]:
    """What each exercise of a lab shows, in the order of the newest report. `rows`: of this lab, oldest first."""
    ours = [row for row in rows if row.username in students]
    marks = [_marks(row) for row in standing(ours, students)]
    names = dict.fromkeys(name for made in reversed(marks) for name in made)
    # releasing again moves the release's moment: then there is no beginning to count from
    begun_at = None if any(row.received_at < released_at for row in ours) else released_at
    return [_exercise(name, ours, marks, begun_at) for name in names]


def _marks(row: HandedIn) -> dict[str, dict[str, Any]]:
    """The exercises of a report that have a mark; those a person has to mark have none here."""
    return {
        each["exercise"]: each
        for each in row.exercises or ()
        if each["points"] is not None and each["max_points"] > 0
    }


def _exercise(
    name: str,
    rows: Sequence[HandedIn],
    marks: Sequence[Mapping[str, Mapping[str, Any]]],
    begun_at: datetime | None,
) -> ExerciseInsight:
    here = [made[name] for made in marks if name in made]
    shares = [each["points"] / each["max_points"] for each in here]
    pairs = [
        (made[name]["points"] / made[name]["max_points"], rest)
        for made in marks
        if name in made and (rest := _rest(made, name)) is not None
    ]
    discrimination, undecided = _discrimination(pairs)
    solved = _first_solved(name, rows)
    hours = [(row.received_at - begun_at).total_seconds() / 3600 for row, _ in solved] if begun_at else []
    return ExerciseInsight(
        exercise=name,
        students=len(here),
        solved=sum(share >= 1 for share in shares),
        share=statistics.fmean(shares) if shares else None,
        discrimination=discrimination,
        undecided=undecided,
        submissions=statistics.median(count for _, count in solved) if solved else None,
        hours=statistics.median(hours) if hours else None,
        failing=_failing(here),
    )


def _rest(made: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    """The share of the points of the lab's other exercises."""
    others = [each for other, each in made.items() if other != name]
    most = sum(each["max_points"] for each in others)
    return sum(each["points"] for each in others) / most if most else None


def _discrimination(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, str]:
    """The correlation of an exercise with the rest of its lab, or why there is none."""
    if len(pairs) < LEAST_FOR_DISCRIMINATION:
        return None, f"needs {LEAST_FOR_DISCRIMINATION} students"
    here, rest = zip(*pairs, strict=True)
    try:
        return statistics.correlation(here, rest), ""
    except statistics.StatisticsError:  # one side is constant
        return None, "all equal"


def _first_solved(name: str, rows: Iterable[HandedIn]) -> list[tuple[HandedIn, int]]:
    """For each student the first graded submission that earned the exercise in full, and its number."""
    counts: Counter[str] = Counter()
    found: dict[str, tuple[HandedIn, int]] = {}
    for row in rows:
        counts[row.username] += 1
        if row.username in found or not row.is_graded:
            continue
        made = _marks(row).get(name)
        if made and made["points"] >= made["max_points"]:
            found[row.username] = (row, counts[row.username])
    return list(found.values())


def _failing(here: Iterable[Mapping[str, Any]]) -> tuple[Failing, ...]:
    counts = Counter(
        check
        for each in here
        if each["points"] < each["max_points"]
        for check in checks_in(each["message"] or "")
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Failing(check, students) for check, students in ordered[:COMMONEST])


def checks_in(message: str) -> list[str]:
    """The checks that a report's message says are not passed, each once; its first line where it names none.

    A line of the kit names the check and not what was found, so that different wrong answers count together.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    named = [line.removeprefix(_NOT_YET) for line in lines if line.startswith(_NOT_YET)]
    return list(dict.fromkeys(_short(each) for each in named or lines[:1]))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CHECK else text[: LONGEST_CHECK - 1] + "…"


def percent(share: float) -> str:
    """A share as it is written everywhere: 64 %."""
    return f"{100 * share:.0f} %"


def span(hours: float) -> str:
    """A time in words: hours up to two days, then days."""
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} days"
