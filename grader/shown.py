"""Rows of the record as the exchange's API shows them: plain data in the shapes of grader.shapes, times as ISO 8601."""

from __future__ import annotations

import zipfile
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from grader.archives import inspect
from grader.models import Feedback, Job, Release, Submission
from grader.settings import ExchangeSettings
from grader.store import Store


def shown_job(job: Job) -> dict[str, Any]:
    """A grading job, as JobShape."""
    return {name: getattr(job, name) for name in ("id", "state", "done", "total", "message")}


def moment(when: datetime | None) -> str | None:
    """A time as the API gives it."""
    return when.isoformat(timespec="microseconds") if when else None


def shown_release(store: Store, row: Release) -> dict[str, Any]:
    """A release, as ReleaseShape."""
    return {
        "course": row.course,
        "lab": row.lab,
        "title": row.title,
        "environment": row.environment,
        "max_points": row.max_points,
        "released_at": moment(row.released_at),
        "opens_at": moment(row.opens_at),
        "due_at": moment(row.due_at),
        "cutoff_at": moment(row.cutoff_at),
        "attempts": row.attempts,
        "withdrawn_at": moment(row.withdrawn_at),
        "sha256": row.sha256,
        "notebooks": _notebooks(store, row.sha256),
    }


def shown_submissions(store: Store, rows: list[Submission]) -> list[dict[str, Any]]:
    """Submissions with their feedback, as SubmissionShape each."""
    feedback = store.feedback_for(row.id for row in rows)
    return [
        {
            "id": row.id,
            "course": row.course,
            "lab": row.lab,
            "username": row.username,
            "received_at": moment(row.received_at),
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "receipt": row.receipt,
            "notebooks": _notebooks(store, row.sha256),
            "feedback": shown_feedback(store, feedback[row.id]) if row.id in feedback else None,
        }
        for row in rows
    ]


def shown_feedback(store: Store, row: Feedback) -> dict[str, Any]:
    """Feedback that is out, as FeedbackShape."""
    pages = _contents(str(store.blob(row.sha256)))
    return {"released_at": moment(row.released_at), "pages": dict(pages)}


def _notebooks(store: Store, sha256: str) -> list[str]:
    """Names of the notebooks at the top of an archive."""
    paths = (path for path, _ in _contents(str(store.blob(sha256)), names_only=True))
    return sorted(
        path.removesuffix(".ipynb") for path in paths if path.endswith(".ipynb") and "/" not in path
    )


@lru_cache(maxsize=4096)  # bytes of a blob never change
def _contents(path: str, *, names_only: bool = False) -> tuple[tuple[str, str], ...]:
    """(path, sha256) of the files of a stored archive, which was inspected when it came in."""
    if names_only:
        with zipfile.ZipFile(path) as opened:
            return tuple((name, "") for name in opened.namelist() if not name.endswith("/"))
    unlimited = ExchangeSettings(max_archive_mb=10_000, max_unpacked_mb=10_000, max_files=10_000)
    return tuple((entry.path, entry.sha256) for entry in inspect(Path(path), unlimited))
