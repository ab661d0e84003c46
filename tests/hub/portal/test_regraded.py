"""What nobody released yet stays unseen, and odd addresses and groups get sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from grader.models import Report


@pytest.fixture
def regraded(school: Any) -> Any:
    """Alice's submission, graded again after its feedback was released: 5 points instead of 18."""
    old = school.store.report(school.alices.id)
    report = Report(
        submission_id=old.submission_id,
        job_id=old.job_id,
        state="graded",
        points=5.0,
        max_points=20.0,
        exercises=[{"exercise": "split", "points": 0.0, "max_points": 10.0, "message": "newly found"}],
        message="new remark",
        release_sha256="1" * 64,
        notebooks={},
        graded_at=datetime.now(UTC),
        in_gradebook_at=None,
    )
    school.store.items_finished(old.job_id, [(report, "worker")])
    return school


def test_a_student_sees_a_new_report_only_once_its_feedback_is_released(visit: Any, regraded: Any) -> None:
    page = visit("alice").get(f"feedback/{regraded.alices.id}").text

    assert "18 / 20" in page
    for unseen in ("newly found", "new remark", "0 / 10"):
        assert unseen not in page


def test_the_new_report_is_shown_after_the_next_release(visit: Any, regraded: Any) -> None:
    store, alices = regraded.store, regraded.alices
    pages = store.blob(store.feedback_of(alices.id).sha256).read_bytes()
    store.release_feedback(alices.id, pages, "teacher", points=5, max_points=20)

    page = visit("alice").get(f"feedback/{alices.id}").text

    assert "5 / 20" in page
    assert "newly found" in page


def test_an_instructor_sees_that_a_new_report_is_not_released_yet(visit: Any, regraded: Any) -> None:
    page = visit("teacher").get("courses/ict101").text
    row = page.split('students/alice"')[1].split("</tr>")[0]

    assert "5 / 20" in row
    assert 'data-state="graded"' in row


def test_a_group_of_a_course_that_is_not_in_the_record_is_no_fault_of_ours(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.groups["ghost"] = ["formgrade-gone"]
    browser = visit("ghost")

    for path in ("courses/gone", "courses/gone/labs/x", "courses/gone/students/alice"):
        assert browser.get(path).status_code in (403, 404), path


def test_a_long_address_does_not_make_a_login_cookie_that_browsers_drop(visit: Any) -> None:
    answer = visit().get("labs/ict101/lab-one?" + "x" * 3500)

    assert parse_qs(urlsplit(answer.headers["location"]).query)["state"]
    assert len(answer.headers["set-cookie"]) < 4000
