"""The record of the first release, as that release wrote it, is read by this one: nothing is lost on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from sqlalchemy import MetaData

from grader.archives import pack
from grader.database import alembic_config, open_engine
from grader.receipts import verify
from grader.settings import Places
from grader.store import Store

# Three students graded, one of them handed in twice, one waits for a person; one job had not ended.
FIRST: dict[str, Any] = json.loads((Path(__file__).parent / "first_release.json").read_text())
TABLES: dict[str, list[dict[str, Any]]] = FIRST["tables"]


@pytest.fixture
def upgraded(database_url: str, tmp_path: Path) -> Any:
    """A database of the first release, opened by this one."""
    engine = open_engine(database_url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        tables = MetaData()
        tables.reflect(connection)
        for name, rows in TABLES.items():
            table = tables.tables[name]
            connection.execute(table.insert(), [_as_columns(table, row) for row in rows])
    engine.dispose()

    store = Store.open(database_url, Places(data=tmp_path))
    yield store
    store.close()


def _as_columns(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Moments as moments; a number that the database counts is left to it, so that it goes on from there."""
    counted = {column.name for column in table.primary_key if column.type.python_type is int}
    moments = {column.name for column in table.columns if column.type.python_type is datetime}
    return {
        name: datetime.fromisoformat(value).replace(tzinfo=UTC) if name in moments and value else value
        for name, value in row.items()
        if name not in counted
    }


def test_people_submissions_receipts_marks_and_feedback_of_the_first_release_are_there(upgraded: Any) -> None:
    submissions = {row.id: row for row in upgraded.submissions("ict101", "sums")}
    reports = {row.id: report for row, report in upgraded.reports("ict101", "sums")}

    assert {(row.username, row.role) for row in upgraded.members("ict101")} == {
        (row["username"], row["role"]) for row in TABLES["member"]
    }
    assert {(row.username, row.sha256, row.received_at.isoformat()) for row in submissions.values()} == {
        (row["username"], row["sha256"], f"{row['received_at'].replace(' ', 'T')}+00:00")
        for row in TABLES["submission"]
    }
    for row in submissions.values():
        assert verify(row.receipt, FIRST["public_key"])["id"] == row.id
    assert {each: (report.state, report.points, report.exercises) for each, report in reports.items()} == {
        row["submission_id"]: (row["state"], row["points"], row["exercises"]) for row in TABLES["report"]
    }
    assert upgraded.feedback_for(submissions).keys() == {row["submission_id"] for row in TABLES["feedback"]}


def test_a_job_that_the_upgrade_stopped_says_so_and_the_course_goes_on(upgraded: Any) -> None:
    stopped = upgraded.jobs("ict101", "sums")[0]

    newest = upgraded.submit("ict101", "sums", "erin", pack({"sums.ipynb": b"{}"}))
    job, new = upgraded.open_job("ict101", "sums", "teacher")

    assert (stopped.state, "Grade again" in stopped.message) == ("failed", True)
    assert (job.state, new) == ("waiting", True)
    assert upgraded.newest_submissions("ict101", "sums")[-1].id == newest.id
    assert upgraded.find_release("ict101", "sums").fork is True
