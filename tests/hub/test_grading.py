"""The process that starts grading: a process of its own for each job, shared, and never silent when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from grader.models import Job
from grader.store import Store
from hub.grading import Grading, is_watched
from hub.settings import Settings

# Stands in for `ict`: says how it was started, then does what its first argument says.
TELL = "import json, os, sys, time; print(json.dumps([sys.argv[1:], dict(os.environ)]), flush=True); "


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site with nothing in it."""
    return Settings(root=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Its record, with a course."""
    with contextlib.closing(Store.open(settings.database_url, settings.places)) as opened:
        opened.create_course("ict101")
        yield opened


def grading(store: Store, settings: Settings, code: str) -> Grading:
    return Grading(store, settings, (sys.executable, "-c", TELL + code))


def open_job(store: Store, by: str = "teacher") -> Job:
    return store.open_job("ict101", "lab-one", by)[0]


def told(of: Grading, job: Job) -> Any:
    """What the started process said about itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in of.log(job).read_text().splitlines():
            if line.startswith("[["):
                return json.loads(line)
        time.sleep(0.05)
    raise AssertionError(of.log(job).read_text())


def test_grading_is_ict_grade_with_this_job_and_without_the_hubs_secrets(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "a-services-own-secret")
    monkeypatch.setenv("ICTLABS_SETTINGS", str(tmp_path / "ictlabs.toml"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    job, starter = open_job(store), grading(store, settings, "")

    starter.look()
    arguments, environment = told(starter, job)

    assert arguments == [
        *("--settings", str(tmp_path / "ictlabs.toml")),
        *("grade", "--job", str(job.id), "--", "ict101", "lab-one"),
    ]
    assert not [name for name in environment if "JUPYTERHUB" in name]
    assert environment["DOCKER_HOST"] == "unix:///somewhere"


def test_a_job_whose_process_runs_is_left_alone(store: Store, settings: Settings) -> None:
    job, starter = open_job(store), grading(store, settings, "time.sleep(3)")

    for _ in range(5):
        starter.look()

    assert open_job(store, "other").id == job.id
    assert starter.log(job).read_text().count("--- job") == 1


def test_a_process_that_dies_without_a_word_is_started_again_but_not_for_ever(
    store: Store, settings: Settings
) -> None:
    job, starter = open_job(store), grading(store, settings, "os.kill(os.getpid(), 9)")
    deadline = time.monotonic() + 20

    while store.job(job.id).state == "waiting" and time.monotonic() < deadline:
        starter.look()

    assert store.job(job.id).state == "failed"
    assert "Grade again" in store.job(job.id).message
    assert starter.log(job).read_text().count("--- job") == 3
    assert open_job(store).id != job.id


def test_a_command_that_cannot_start_is_a_failed_job(store: Store, settings: Settings) -> None:
    job = open_job(store)

    Grading(store, settings, ("/no/such/command",)).look()

    assert store.job(job.id).state == "failed"
    assert "No such file" in store.job(job.id).message


def test_after_a_restart_a_job_goes_on_unless_its_process_still_holds_the_lock(
    store: Store, settings: Settings
) -> None:
    from grader.pipeline import _alone

    job = open_job(store)
    store.start_job(job.id)
    starter = grading(store, settings, "time.sleep(3)")  # knows no process of its own

    with _alone(settings.places, "ict101", "lab-one"):
        starter.look()
        assert not starter.log(job).exists()
    starter.look()

    assert told(starter, job)[0][-4:] == [str(job.id), "--", "ict101", "lab-one"]
    assert store.job(job.id).state == "running"


def test_a_job_that_was_to_be_cancelled_when_its_process_died_is_cancelled(
    store: Store, settings: Settings
) -> None:
    job = open_job(store)
    store.start_job(job.id)
    store.cancel_job(job.id)

    grading(store, settings, "").look()

    assert store.job(job.id).state == "cancelled"


def test_whether_somebody_looks_after_jobs_is_seen_and_does_not_last(
    store: Store, settings: Settings
) -> None:
    before = is_watched(settings.places)
    grading(store, settings, "").look()
    fresh = is_watched(settings.places)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    os.utime(settings.places.run / "grading.looked", (long_ago, long_ago))

    assert (before, fresh, is_watched(settings.places)) == (False, True, False)
