"""Grading and feedback from the instructor's pages. What starts the jobs is in tests/hub/test_grading.py."""

from __future__ import annotations

import os
from typing import Any


def test_a_second_press_shares_the_job_that_is_open(visit: Any, school: Any) -> None:
    for name in ("teacher", "teacher"):
        visit(name).post("courses/ict101/labs/lab-one/grade")

    assert [job.state for job in school.store.jobs("ict101", "lab-one")] == ["waiting", "done"]


def test_what_a_job_left_is_graded_by_a_new_one(visit: Any, school: Any) -> None:
    job, _ = school.store.open_job("ict101", "lab-one", "teacher")
    school.store.plan_items(job.id, school.store.newest_submissions("ict101", "lab-one"))
    school.store.finish_job(job.id, "cancelled")

    visit("teacher").post(f"courses/ict101/jobs/{job.id}/retry")

    again = school.store.jobs("ict101", "lab-one")[0]
    assert again.id != job.id
    assert again.students == [s.username for s in school.store.newest_submissions("ict101", "lab-one")]


def test_the_page_after_grade_shows_the_newest_job_first(visit: Any) -> None:
    browser = visit("teacher")

    answer = browser.post("courses/ict101/labs/lab-one/grade")
    page = browser.get(answer.headers["location"].removeprefix("/services/portal/"))

    assert answer.status_code == 303
    states = [part.split('"')[1] for part in page.text.split("data-job-state=")[1:]]
    assert states[:2] == ["waiting", "done"]  # the new one, the one before


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
