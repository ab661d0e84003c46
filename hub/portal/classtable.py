"""What an instructor's tables of a class say, worked out from each student's newest work. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from grader.classlog import Someone, Work
from grader.models import Release
from grader.schedule import Times
from grader.schedulelog import Extended, times_of
from hub.portal.overview import Mark

GRADED = ("not graded", "graded", "by hand", "please look", "failed")  # as the filter lists them
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


@dataclass(frozen=True)
class Cell:
    """One student's newest submission of one lab, as the instructor sees it."""

    received_at: datetime
    state: str  # submitted | graded | by hand | failed | feedback out
    mark: Mark | None
    late: bool


@dataclass(frozen=True)
class StudentRow:
    """One line of an instructor's table."""

    person: Someone
    cells: Mapping[str, Cell]  # by lab


def class_table(
    people: Iterable[Someone], releases: Iterable[Release], work: Iterable[Work], extended: Extended
) -> list[StudentRow]:
    """These people by labs, in their order."""
    times = {release.lab: times_of(release) for release in releases}
    work_of: dict[str, list[Work]] = {}
    for each in work:
        work_of.setdefault(each.username, []).append(each)
    never = Times(None, None, None)
    return [
        StudentRow(
            person,
            {
                each.lab: _cell(
                    each,
                    extended.times(
                        times.get(each.lab, never), each.lab, person.username, person.section
                    ).due_at,
                )
                for each in work_of.get(person.username, ())
            },
        )
        for person in people
    ]


def _cell(work: Work, due_at: datetime | None) -> Cell:
    if work.released and not work.regraded:  # else the new report is what there is to release
        points, out_of, state = work.released_points, work.released_max_points, "feedback out"
    else:
        points, out_of, state = work.mark, work.max_points, _state(work)
    return Cell(
        received_at=work.received_at,
        state=state,
        mark=None if points is None or out_of is None else Mark(points, out_of),
        late=due_at is not None and work.received_at > due_at,
    )


def _state(work: Work) -> str:
    if work.report_state is None:
        return "submitted"
    return {"needs-manual": "by hand", "failed": "failed"}.get(work.report_state, "graded")


def graded_as(work: Work) -> str:
    """What grading came to: one of GRADED."""
    if work.report_state is None:
        return "not graded"
    return {"needs-manual": "by hand", "needs-look": "please look", "failed": "failed"}.get(
        work.report_state, "graded"
    )


def tally(states: Iterable[str]) -> dict[str, int]:
    """How many of each of GRADED, without those that are none."""
    counts = Counter(states)
    return {state: counts[state] for state in GRADED if counts[state]}


def marks_csv(table: Sequence[StudentRow], releases: Sequence[Release]) -> str:
    """The whole class as a table for spreadsheets: points, or nothing where there is no mark."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["username", "name", "group", *(release.lab for release in releases)])
    for row in table:
        cells = (row.cells.get(release.lab) for release in releases)
        points = [f"{cell.mark.points:g}" if cell and cell.mark else "" for cell in cells]
        person = row.person
        rows.writerow([harmless(person.username), harmless(person.name), harmless(person.section), *points])
    return text.getvalue()


def harmless(text: str) -> str:
    """Give back `text` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
