"""The way through, in a real browser on a real site: a student does a lab and reads the mark."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from benchmarks.journey import COURSE, Instructor, Student, browser
from benchmarks.site import DemoSite
from grader.store import Store
from hub.settings import load_settings
from labs.library import Library

LAB = "net-subnetting"


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spawner", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_student_does_a_lab_submits_and_gets_a_mark(
    spawner: str, tmp_path: Path, chromium: str, root: Path, request: pytest.FixtureRequest
) -> None:
    if spawner == "docker":
        request.getfixturevalue("base_image")
    pictures = root / "test-artifacts"
    with DemoSite(tmp_path, spawner) as site, browser(chromium) as window:
        alice, bob, teacher = (
            who(window, site, name, pictures)
            for who, name in ((Student, "alice"), (Student, "bob"), (Instructor, "teacher"))
        )

        alice.login()
        alice.start(LAB)
        alice.open()
        alice.work(LAB)
        alice.submit(LAB)
        teacher.login()
        teacher.grade(LAB)
        alice.portal()
        before_release = alice.page.locator(f"[data-lab='{LAB}']").inner_text()
        teacher.release_feedback(LAB)
        mark = alice.read_feedback(LAB)
        feedback_url = alice.page.url
        bob.login()
        bobs_answer = bob.page.goto(feedback_url)

        points = Library().lab(LAB).max_points
        assert mark == f"{points:g} / {points:g}"
        assert f"{points:g} /" not in before_release
        assert bobs_answer is not None
        assert bobs_answer.status in (403, 404)
        _check_the_record(tmp_path, points)
    assert site.process.returncode == 0, site.text()


def _check_the_record(folder: Path, points: float) -> None:
    """One submission, a receipt that verifies, one report, one mark in nbgrader's gradebook."""
    settings = load_settings(folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    (submission,) = store.submissions(COURSE, LAB)
    receipt = store.receipts.verify(submission.receipt)
    assert receipt["username"] == "alice"
    assert receipt["sha256"] == submission.sha256
    assert store.blob(submission.sha256).is_file()
    report = store.report(submission.id)
    assert report is not None
    assert report.points == points
    gradebook = sqlite3.connect(settings.places.course(COURSE) / "gradebook.db")
    (marks,) = gradebook.execute("select sum(coalesce(manual_score, auto_score)) from grade").fetchone()
    gradebook.close()
    assert marks == points
