"""Counts what a site has lost: receipts whose submission or bytes are gone, marks that are missing or of other work."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from grader.models import Report, Submission
from grader.receipts import ReceiptRefused
from grader.store import NotThere, Store
from hub.settings import load_settings

# nbgrader's own tables: what a student has in the gradebook for a lab, all of it automatic
_MARKS = """
SELECT sub.student_id, sub.timestamp, count(DISTINCT sub.id), count(g.id), count(DISTINCT g.cell_id), sum(g.auto_score)
FROM submitted_assignment sub
JOIN assignment a ON a.id = sub.assignment_id
LEFT JOIN submitted_notebook nb ON nb.assignment_id = sub.id
LEFT JOIN grade g ON g.notebook_id = nb.id
WHERE a.name = ? GROUP BY sub.student_id
"""


@dataclass(frozen=True)
class Losses:
    """Sentences about what is lost; empty where nothing is."""

    submissions: tuple[str, ...]
    marks: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.submissions) + len(self.marks)


def count_losses(folder: Path, course: str, lab: str, receipts: Iterable[str]) -> Losses:
    """Look at the site in `folder`, after a last grading: at every receipt, and at every student's newest submission."""
    settings = load_settings(folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    try:
        lost = [said for receipt in receipts if (said := _of_receipt(store, receipt))]
        newest = store.newest_submissions(course, lab)
        reports = {submission.id: report for submission, report in store.reports(course, lab)}
        with closing(sqlite3.connect(settings.places.course(course) / "gradebook.db")) as gradebook:
            rows = {row[0]: row[1:] for row in gradebook.execute(_MARKS, (lab,))}
        marks = [said for each in newest if (said := _of_mark(each, reports.get(each.id), rows))]
    finally:
        store.close()
    return Losses(tuple(lost), tuple(marks))


def _of_receipt(store: Store, receipt: str) -> str:
    """What is wrong with a receipt's submission, or ""."""
    try:
        stated = store.receipts.verify(receipt)
        row = store.submission(stated["id"])
        content = store.blob(row.sha256).read_bytes()
    except (ReceiptRefused, NotThere, FileNotFoundError) as error:
        return f"receipt {receipt[:24]}…: {error}"
    if row.receipt != receipt or stated["sha256"] != hashlib.sha256(content).hexdigest():
        return f"submission {row.id}: not what its receipt says"
    return ""


def _of_mark(
    submission: Submission, report: Report | None, rows: dict[str, tuple[str, int, int, int, float]]
) -> str:
    """What is wrong with the mark of a student's newest submission, or ""."""
    who = f"{submission.username}, submission {submission.id}"
    if report is None or report.points is None or report.in_gradebook_at is None:
        state = report.state if report else "none"
        return f"{who}: no mark in the record (report: {state})"
    if submission.username not in rows:
        return f"{who}: not in the gradebook"
    moment, held, grades, cells, points = rows[submission.username]
    if (held, grades) != (1, cells):
        return f"{who}: {held} submissions and {grades} marks of {cells} cells in the gradebook"
    if not submission.received_at.isoformat(" ").startswith(moment):
        return f"{who}: the gradebook has the submission of {moment}"
    if abs((points or 0.0) - report.points) > 1e-6:
        return f"{who}: {report.points} points in the record, {points} in the gradebook"
    return ""
