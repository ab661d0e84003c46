"""What the table of a lab's students by exercises says, from reports and from what people marked. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grader.classlog import Someone, Work
from grader.marks import ExerciseCells, HandMarked, Points
from grader.models import Release
from grader.schedulelog import Extended
from hub.portal.classtable import Cell, StudentRow, class_table, graded_as, harmless
from hub.portal.overview import Mark

SORTS = ("name", "points", "newest")  # as an address has them


@dataclass(frozen=True)
class Column:
    """One exercise of a lab."""

    exercise: str
    max_points: float | None


@dataclass(frozen=True)
class MarkRow:
    """One student's newest submission of a lab. changed: a person changed the mark after feedback was released."""

    person: Someone
    work: Work
    graded_as: str  # one of GRADED
    cell: Cell
    mark: Mark | None
    changed: bool

    @property
    def state(self) -> str:
        """As the table has it."""
        return "graded" if self.cell.state == "by hand" != self.graded_as else self.cell.state


def mark_rows(
    people: Iterable[Someone],
    release: Release,
    work: Mapping[str, Work],
    by_hand: Mapping[str, HandMarked],
    extended: Extended,
) -> list[MarkRow]:
    """Those of `people` who handed the lab in, in their order."""
    there = [each for each in people if each.username in work]
    rows = []
    for row in class_table(there, [release], work.values(), extended):
        name, cell = row.person.username, row.cells[release.lab]
        mark, given = cell.mark, by_hand.get(name)
        if given is not None and mark is not None:
            mark = Mark(round(given.points, 6), mark.out_of)
        changed = cell.state == "feedback out" and mark != cell.mark
        rows.append(MarkRow(row.person, work[name], _graded_as(work[name], given), cell, mark, changed))
    return rows


def _graded_as(work: Work, given: HandMarked | None) -> str:
    """What grading and people came to: where a person marked all that waited, it is graded."""
    found = graded_as(work)
    return "graded" if found in ("by hand", "please look") and given and not given.waits else found


def with_marks_by_hand(
    table: Iterable[StudentRow], given: Mapping[tuple[str, str], float]
) -> list[StudentRow]:
    """A class by labs with what people marked, by (lab, student), in place of the checks' points."""
    rows = []
    for row in table:
        cells = dict(row.cells)
        for lab, cell in row.cells.items():
            points = given.get((lab, row.person.username))
            if points is not None and cell.mark is not None:
                cells[lab] = replace(cell, mark=Mark(round(points, 6), cell.mark.out_of))
        rows.append(replace(row, cells=cells))
    return rows


def in_order(rows: Iterable[MarkRow], sort: str) -> list[MarkRow]:
    """By name; by points, least first and no mark before them; or the newest first."""
    named = sorted(rows, key=_name)
    if sort == "points":
        return sorted(named, key=lambda row: -1.0 if row.mark is None else row.mark.points)
    if sort == "newest":
        return sorted(named, key=lambda row: row.work.received_at, reverse=True)
    return named


def _name(row: MarkRow) -> tuple[str, str]:
    return (row.person.name or row.person.username).casefold(), row.person.username


def columns(exercises: Iterable[ExerciseCells], reported: Iterable[list[dict[str, Any]]]) -> list[Column]:
    """The exercises of a release in its order, then those that only a report has."""
    most: dict[str, float | None] = {each.exercise: None for each in exercises if each.graded}
    for row in (row for rows in reported for row in rows):
        most[row["exercise"]] = most.get(row["exercise"]) or row["max_points"]
    return [Column(name, points) for name, points in most.items()]


def exercise_points(reported: Iterable[dict[str, Any]], given: HandMarked | None) -> dict[str, Points]:
    """One student's points by exercise."""
    found = {row["exercise"]: Points(row["points"]) for row in reported}
    return found | dict(given.exercises if given is not None else {})


def lab_csv(
    rows: Iterable[MarkRow], heads: Sequence[Column], points: Mapping[str, Mapping[str, Points]]
) -> str:
    """A lab's students by exercises as a table for spreadsheets: points, or nothing where there is no mark."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    names = [harmless(each.exercise) for each in heads]
    lines.writerow(["username", "name", "group", "received", "late", "points", "max_points", *names])
    for row in rows:
        mine = points.get(row.person.username, {})
        person = (harmless(each) for each in (row.person.username, row.person.name, row.person.section))
        mark = (f"{row.mark.points:g}", f"{row.mark.out_of:g}") if row.mark else ("", "")
        when = row.work.received_at.isoformat(timespec="seconds")
        each = [_shown(mine.get(head.exercise)) for head in heads]
        lines.writerow([*person, when, "late" if row.cell.late else "", *mark, *each])
    return text.getvalue()


def _shown(found: Points | None) -> str:
    return "" if found is None or found.points is None else f"{found.points:g}"
