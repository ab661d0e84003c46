"""Grading and feedback from the instructor's pages: a process of its own, shared, and never silent when it dies."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grader.models import Job
from hub.portal.jobs import Jobs

# Stands in for `ict`: says how it was started, then does what its first argument says.
TELL = "import json, os, sys, time; print(json.dumps([sys.argv[1:], dict(os.environ)]), flush=True); "


def jobs_of(school: Any, code: str) -> Jobs:
    return Jobs(school.store, school.settings, (sys.executable, "-c", TELL + code))


def told(jobs: Jobs, job: Job) -> Any:
    """What the started process said about itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in jobs.log(job).read_text().splitlines():
            if line.startswith("[["):
                return json.loads(line)
        time.sleep(0.05)
    raise AssertionError(jobs.log(job).read_text())


def ended(jobs: Jobs, job: Job) -> Job:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now = next(each for each in jobs.history(job.course, job.lab) if each.id == job.id)
        if now.state in ("done", "failed"):
            return now
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_grading_is_ict_grade_with_this_job_and_without_our_secrets(
    school: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "the-portals-own-secret")
    monkeypatch.setenv("ICTLABS_SETTINGS", str(tmp_path / "ictlabs.toml"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    jobs = jobs_of(school, "")

    job = jobs.grade("ict101", "lab-one", "teacher")
    arguments, environment = told(jobs, job)

    assert arguments == [
        *("--settings", str(tmp_path / "ictlabs.toml")),
        *("grade", "--job", str(job.id), "--", "ict101", "lab-one"),
    ]
    assert not [name for name in environment if "JUPYTERHUB" in name]
    assert environment["DOCKER_HOST"] == "unix:///somewhere"
    assert job.requested_by == "teacher"


def test_a_second_press_shares_the_job_that_runs(school: Any) -> None:
    jobs = jobs_of(school, "time.sleep(3)")

    first = jobs.grade("ict101", "lab-one", "teacher")
    second = jobs.grade("ict101", "lab-one", "other")

    assert second.id == first.id


def test_a_process_that_dies_without_a_word_is_started_again_but_not_for_ever(school: Any) -> None:
    jobs = jobs_of(school, "os.kill(os.getpid(), 9)")
    job = jobs.grade("ict101", "lab-one", "teacher")

    assert ended(jobs, job).state == "failed"
    assert jobs.log(job).read_text().count("--- job") == 3
    assert "Grade again" in school.store.job(job.id).message
    assert jobs.grade("ict101", "lab-one", "teacher").id != job.id


def test_a_command_that_cannot_start_is_a_failed_job(school: Any) -> None:
    jobs = Jobs(school.store, school.settings, ("/no/such/command",))

    assert jobs.grade("ict101", "lab-one", "teacher").state == "failed"


def test_after_a_restart_a_job_goes_on_unless_its_process_still_holds_the_lock(school: Any) -> None:
    from grader.pipeline import _alone

    job, _ = school.store.open_job("ict101", "lab-one", "teacher")
    school.store.start_job(job.id)
    jobs = jobs_of(school, "time.sleep(3)")  # knows no process of its own

    with _alone(school.settings.places, "ict101", "lab-one"):
        jobs.under_way()
        assert not jobs.log(job).exists()
    jobs.under_way()

    assert told(jobs, job)[0][-4:] == [str(job.id), "--", "ict101", "lab-one"]
    assert school.store.job(job.id).state == "running"


def test_what_a_job_left_is_graded_by_a_new_one(school: Any) -> None:
    jobs = jobs_of(school, "time.sleep(3)")
    job, _ = school.store.open_job("ict101", "lab-one", "teacher")
    school.store.plan_items(job.id, school.store.newest_submissions("ict101", "lab-one"))
    school.store.finish_job(job.id, "cancelled")

    again = jobs.retry(job.id, "teacher")

    assert again.id != job.id
    assert again.students == [s.username for s in school.store.newest_submissions("ict101", "lab-one")]


def test_the_page_after_grade_shows_the_newest_job_first(visit: Any, school: Any, monkeypatch: Any) -> None:
    browser = visit("teacher")
    monkeypatch.setenv(
        "ICTLABS_SETTINGS", str(school.settings.root / "none.toml")
    )  # so that `ict` ends at once

    answer = browser.post("courses/ict101/labs/lab-one/grade")
    page = browser.get(answer.headers["location"].removeprefix("/services/portal/"))

    assert answer.status_code == 303
    states = [part.split('"')[1] for part in page.text.split("data-job-state=")[1:]]
    assert states[0] in ("waiting", "failed")  # the new one
    assert states[1] == "done"  # the one before


def test_grading_and_feedback_are_for_the_courses_instructors(visit: Any, school: Any) -> None:
    for name in ("alice", "prof", "nobody"):
        browser = visit(name)
        for action in ("grade", "feedback"):
            assert browser.post(f"courses/ict101/labs/lab-one/{action}").status_code == 403
    assert visit("teacher").post("courses/ict101/labs/no-such/grade").status_code == 404
    assert len(school.store.jobs("ict101")) == 1


def test_releasing_feedback_says_what_to_do_when_there_is_none(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    answer = browser.post("courses/ict101/labs/lab-two/feedback")

    assert answer.headers["location"] == "/services/portal/courses/ict101"
    notice = browser.get("courses/ict101").text
    assert 'class="notice"' in notice
    assert "released" in notice or "Grade first" in notice
    assert os.getcwd()  # noqa: PTH109 (nbgrader's classes change folders: the portal must still have one)
