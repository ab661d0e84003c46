"""Which students may need help, and why: rules over marks with their thresholds, each reason in words. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from grader.marklog import HandedIn
from grader.models import Member, Release
from hub.portal.insight import instructors_mark, percent, share_of, standing

FAR_UNDER = 0.6  # of the median: half of any class is under the median, few are so far under
LABS_UNDER = 2  # one bad lab is a bad day, two in a row are a sign
LEAST_FOR_MEDIAN = 5  # marks in a lab; a median of fewer says little of a class
LABS_FALLING = 3  # two marks always go up or down
LEAST_FALL = 0.2  # of the points, from the first of these to the last: less is chance

MOST_TITLES = 3  # named in one reason; who misses so many needs no longer list


@dataclass(frozen=True)
class NeedsHelp:
    """A student who may need help; there is always a reason."""

    username: str
    name: str
    reasons: tuple[str, ...]


def students_to_help(
    members: Iterable[Member], releases: Iterable[Release], rows: Sequence[HandedIn], now: datetime
) -> list[NeedsHelp]:
    """Students with at least one reason, those with most first. `rows`: of the course, oldest first."""
    students = {each.username: each.name for each in members if each.role == "student"}
    ordered = in_course_order(releases)
    handed_in = {(row.lab, row.username) for row in rows}
    shares: dict[str, dict[str, float]] = {}  # lab -> student -> share of the points
    for row in standing(rows, students.keys()):
        if (share := share_of(instructors_mark(row))) is not None:
            shares.setdefault(row.lab, {})[row.username] = share
    medians = {
        lab: statistics.median(found.values())
        for lab, found in shares.items()
        if len(found) >= LEAST_FOR_MEDIAN
    }
    due = [each for each in ordered if each.withdrawn_at is None and each.due_at and each.due_at < now]
    found = []
    for username, name in students.items():
        marks = [
            (each, shares[each.lab][username]) for each in ordered if username in shares.get(each.lab, ())
        ]
        reasons = (
            _missing([each for each in due if (each.lab, username) not in handed_in]),
            _far_under(marks, medians),
            _falling(marks),
        )
        if any(reasons):
            found.append(NeedsHelp(username, name, tuple(filter(None, reasons))))
    return sorted(found, key=lambda each: (-len(each.reasons), each.username))


def in_course_order(releases: Iterable[Release]) -> list[Release]:
    """Labs in the order a course does them: by due time, and by release where there is none."""
    return sorted(releases, key=lambda each: (each.due_at or each.released_at, each.title))


def _missing(labs: Sequence[Release]) -> str:
    if not labs:
        return ""
    titles = ", ".join(each.title for each in labs[:MOST_TITLES])
    more = f" and {len(labs) - MOST_TITLES} more labs" if len(labs) > MOST_TITLES else ""
    return f"Nothing handed in for {titles}{more}: past due."


def _far_under(marks: Sequence[tuple[Release, float]], medians: Mapping[str, float]) -> str:
    last = [(each, share) for each, share in marks if each.lab in medians][-LABS_UNDER:]
    if len(last) < LABS_UNDER or any(share >= FAR_UNDER * medians[each.lab] for each, share in last):
        return ""
    parts = [
        f"{percent(share)} in {each.title}, where the median is {percent(medians[each.lab])}"
        for each, share in last
    ]
    return f"Marks far under the class: {'; '.join(parts)}."


def _falling(marks: Sequence[tuple[Release, float]]) -> str:
    last = [round(share, 2) for _, share in marks[-LABS_FALLING:]]  # as it is written: 88 to 88 is no fall
    falls = all(after < before for before, after in itertools.pairwise(last))
    if len(last) < LABS_FALLING or not falls or last[0] - last[-1] < LEAST_FALL - 1e-9:
        return ""
    return f"Marks fall: {', '.join(percent(share) for share in last)} in the last {LABS_FALLING} labs."
