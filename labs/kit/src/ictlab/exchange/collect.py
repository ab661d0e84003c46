"""`nbgrader collect`: submissions into the course folder, for grading by hand or with nbgrader's own tools."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.exchange.abc import ExchangeCollect as ABCExchangeCollect

from ictlab.exchange.base import ID_FILE, TIMESTAMP_FILE, Exchange, matches
from ictlab.exchange.files import unpack_new


class ExchangeCollect(Exchange, ABCExchangeCollect):
    """Collects one submission of each student: the newest, or with --before-duedate the newest in time."""

    def init_src(self) -> None:
        """Choose the submissions."""
        course, lab = self.course, self.coursedir.assignment_id
        by_student: dict[str, list[dict[str, Any]]] = {}
        for row in self.ask(lambda service: service.submissions(course, lab, everybody=True)):
            if matches(row["username"], self.coursedir.student_id):
                by_student.setdefault(row["username"], []).append(row)
        due = self._due() if self.before_duedate else None
        self.chosen = [_choose(rows, due) for _student, rows in sorted(by_student.items())]

    def copy_files(self) -> None:
        """Fetch and unpack what was chosen."""
        course, lab = self.course, self.coursedir.assignment_id
        if not self.chosen:
            self.log.warning("No submissions of '%s' for course '%s' to collect", lab, course)
            return
        self.log.info("Processing %d submissions of '%s' for course '%s'", len(self.chosen), lab, course)
        for row in self.chosen:
            self._collect(row)

    def _collect(self, row: dict[str, Any]) -> None:
        student, lab = row["username"], row["lab"]
        folder = Path(self.coursedir.format_path(self.coursedir.submitted_directory, student, lab))
        there = folder.is_dir()
        if there:
            collected: datetime | None = self.coursedir.get_existing_timestamp(str(folder))
            received = _received(row)
            newer = self.update and (collected is None or received > collected)
            if not newer and not (self.before_duedate and collected != received):
                hint = (
                    "No newer submission to collect"
                    if self.update
                    else "Submission already exists, use --update to update"
                )
                self.log.info("%s: %s %s", hint, student, lab)
                return
        archive = self.ask(lambda service: service.submission_archive(row))
        self.log.info("%s submission: %s %s", "Updating" if there else "Collecting", student, lab)
        if there:
            shutil.rmtree(folder)
        # The service's time and id win over files of these names that a student may have sent.
        unpack_new(archive, folder, {TIMESTAMP_FILE: self.timestamp_of(row), ID_FILE: row["id"]})

    def _due(self) -> datetime | None:
        with Gradebook(self.coursedir.db_url, self.course) as gradebook:
            try:
                due: datetime | None = gradebook.find_assignment(self.coursedir.assignment_id).duedate
            except MissingEntry:
                due = None
        return due


def _received(row: dict[str, Any]) -> datetime:
    """When a submission was received, in naive UTC like nbgrader's due dates."""
    return datetime.fromisoformat(row["received_at"]).astimezone(UTC).replace(tzinfo=None)


def _choose(rows: list[dict[str, Any]], due: datetime | None) -> dict[str, Any]:
    """The newest of one student's submissions; with `due` the newest in time, if one was."""
    in_time = [row for row in rows if due is not None and _received(row) <= due]
    return max(in_time or rows, key=_received)
