"""The pages Insight and Progress over a real record: what they say, and what they keep to themselves."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from grader.archives import pack
from grader.models import Report, Submission
from grader.store import MemberRow

PAGES = ("courses/ict101/insight", "courses/ict101/labs/lab-one/insight")


def settled(browser: Any, path: str) -> Any:
    """The page once nothing is being worked out for it, as who waits sees it."""
    while "data-working" in (answer := browser.get(path)).text:
        time.sleep(0.02)
    return answer


def grade(school: Any, lab: str, submission: Submission, points: float, **told: Any) -> None:
    """Grade a submission as a job does."""
    job, _ = school.store.open_job("ict101", lab, "teacher", regrade=True)
    school.store.start_job(job.id)
    school.store.plan_items(job.id, [submission])
    report = Report(
        submission_id=submission.id, job_id=job.id, state="graded", points=points, max_points=33.0,
        exercises=[{"exercise": "read", "points": points, "max_points": 33.0, "message": ""}],
        message="", release_sha256="0" * 64, notebooks={}, graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    school.store.items_finished(job.id, [(report, "worker")])
    school.store.finish_job(job.id, "done")


@pytest.fixture
def subnetting(school: Any) -> Any:
    """A lab of the library, handed in by alice and graded; its feedback is not out."""
    school.store.release(
        "ict101", "net-subnetting", pack({"net-subnetting.ipynb": b"{}"}), title="Subnetting",
        environment="base", max_points=33, by="teacher",
    )  # fmt: skip
    school.hers = school.store.submit("ict101", "net-subnetting", "alice", pack({"a.ipynb": b"{}"}))
    grade(school, "net-subnetting", school.hers, 31.25)
    return school


def test_a_lab_is_shown_with_its_marks_and_what_each_number_means(visit: Any, school: Any) -> None:
    page = visit("teacher").get("courses/ict101/labs/lab-one/insight").text

    assert "2 of 2 enrolled students handed in, 2 have a mark." in page
    assert re.search(r"<dt>Median</dt><dd><strong>90 %</strong>", page)
    assert re.search(r"<small>mask</small></th>\s*<td class=\"number\">80 %</td>", page)
    assert "needs 10 students" in page
    assert "Expected /26, found /25." in page
    for word in ("Difficulty", "Solved", "Discrimination", "Submissions", "Time"):
        assert f"<dt>{word}</dt>" in page
    assert page.count("<svg") == page.count("<title id=") == page.count("<desc id=") == 2
    assert page.count("<details") >= 2


def test_a_course_is_shown_with_its_labs_students_to_help_and_outcomes(visit: Any, subnetting: Any) -> None:
    page = settled(visit("teacher"), "courses/ict101/insight").text

    assert "Nothing handed in for Permissions: past due." in page
    assert re.search(r'ipv4\.prefix</th><td>Subnetting</td>\s*<td class="number">1 of 1</td>', page)
    assert 'href="/services/portal/courses/ict101/labs/lab-one/insight"' in page


def test_the_course_and_the_lab_lead_to_their_insight(visit: Any, school: Any) -> None:
    teacher = visit("teacher")

    assert 'href="/services/portal/courses/ict101/insight"' in teacher.get("courses/ict101").text
    assert 'courses/ict101/labs/lab-one/insight"' in teacher.get("courses/ict101/labs/lab-one").text


def test_insight_shows_what_was_graded_a_moment_ago(visit: Any, subnetting: Any) -> None:
    teacher = visit("teacher")
    before = settled(teacher, "courses/ict101/insight").text

    grade(subnetting, "net-subnetting", subnetting.hers, 3.3)
    after = settled(teacher, "courses/ict101/insight").text

    assert "95 %" in before
    assert "95 %" not in after
    assert re.search(r"ipv4\.prefix</th><td>Subnetting</td>\s*<td class=\"number\">0 of 1</td>", after)


def test_a_course_without_students_or_marks_says_so(visit: Any, school: Any) -> None:
    prof = visit("prof")
    school.store.release("net201", "lab-x", pack({"x.ipynb": b"{}"}), title="X", environment="base", max_points=1, by="p")  # fmt: skip

    course = settled(prof, "courses/net201/insight")
    lab = prof.get("courses/net201/labs/lab-x/insight")

    assert (course.status_code, lab.status_code) == (200, 200)
    assert "0 students enrolled" in course.text
    assert "Nobody, by these signs" in course.text
    assert "Nothing is marked yet." in lab.text
    assert prof.get("courses/net201/labs/no-lab/insight").status_code == 404


def test_a_student_never_sees_a_mark_before_its_feedback(visit: Any, subnetting: Any) -> None:
    alice, bob = visit("alice").get("progress").text, visit("bob").get("progress").text

    assert "31.25" not in alice
    assert "ipv4.prefix" not in alice
    assert "18 of 20" in alice
    assert "18" not in re.sub(r"<time.*?</time>|\?[0-9a-f]{16}|value=\"[^\"]*\"", "", bob)
    assert "No marks yet." in bob


def test_progress_shows_outcomes_and_points_once_feedback_is_out(visit: Any, subnetting: Any) -> None:
    subnetting.store.release_feedback(
        subnetting.hers.id, pack({"a.html": b"<p>"}), "teacher", points=31.25, max_points=33
    )

    page = visit("alice").get("progress").text

    assert "<strong>49.25 of 53</strong>" in page
    assert re.search(r"<strong>1 of 6</strong> outcomes", page)
    assert re.search(
        r"ipv4\.prefix</bdi></th><td>mastered</td><td class=\"number\"><bdi dir=\"ltr\">31.25 / 33</bdi></td>",
        page,
    )


def test_progress_says_what_to_do_next_and_why(visit: Any, school: Any) -> None:
    page = visit("alice").get("progress").text

    assert re.search(
        r"labs/ict101/lab-two\"><bdi>Permissions</bdi></a>.*?was due.*?Ask whether late work counts\.",
        page,
        re.S,
    )


def test_progress_is_in_the_menu_of_students_only(visit: Any, school: Any) -> None:
    link = 'href="/services/portal/progress"'

    assert link in visit("alice").get().text
    assert link not in visit("teacher").get().text
    assert "You are a student in no course." in visit("nobody").get("progress").text


def test_insight_of_a_course_takes_few_queries_however_many_students(visit: Any, school: Any) -> None:
    from sqlalchemy import event

    teacher, asked = visit("teacher"), []
    school.store.enrol("ict101", [MemberRow(f"s{number}") for number in range(50)])
    for number in range(50):
        school.store.submit("ict101", "lab-one", f"s{number}", b"PK")
    engine = school.store.engine
    event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))

    for page in PAGES:
        asked.clear()
        answer = teacher.get(page)
        assert answer.status_code == 200
        assert 1 <= len([each for each in asked if each.startswith("SELECT")]) <= 9, page
        settled(teacher, page)
