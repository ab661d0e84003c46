"""An instructor's task in a real browser: release a lab on terms, give more time, change the policy, see the mark follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from grader.archives import pack
from grader.gradewriter import CellScores, Entry
from grader.models import Report

pytestmark = pytest.mark.browser
LAB = "net-subnetting"


def local(when: datetime) -> str:
    """As a browser's field for a time has it; the site's zone is UTC here."""
    return f"{when:%Y-%m-%dT%H:%M}"


def graded(school: Any) -> None:
    """Bob hands in and earns 10 points, in the record and in nbgrader's gradebook."""
    from grader.gradebook import CourseGradebook

    submission = school.store.submit("ict101", LAB, "bob", pack({f"{LAB}.ipynb": b"{}"}))
    gradebook = CourseGradebook(school.settings.places, "ict101")
    files = {f"{LAB}.ipynb": (gradebook.folder / "release" / LAB / f"{LAB}.ipynb").read_bytes()}
    cells = [cell for nb in gradebook.released(LAB, files).notebooks for cell in nb.cells if cell.points]
    scores = {cell.name: cell.points if at < 2 else 0.0 for at, cell in enumerate(cells)}
    earned = sum(scores.values())
    job, _ = school.store.open_job("ict101", LAB, "teacher")
    school.store.plan_items(job.id, [submission])
    report = Report(
        submission_id=submission.id, job_id=job.id, state="graded", points=earned,
        max_points=school.store.find_release("ict101", LAB).max_points, exercises=[], message="",
        release_sha256="0" * 64, notebooks={}, graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    school.store.items_finished(job.id, [(report, "worker")])
    with gradebook.writer():
        gradebook.write_reports(
            LAB, [Entry("bob", submission.received_at, {}, {}, {LAB: CellScores(scores, {})})]
        )
    school.store.finish_job(job.id, "done")


def mark(page: Page, served: Any) -> str:
    """Bob's mark as the instructor's list of what was handed in has it."""
    page.goto(f"{served.url}courses/ict101/labs/{LAB}")
    cell = page.locator("tr", has_text="bob").locator("td.number").first  # then come the exercises
    return cell.inner_text().removesuffix("graded").strip()


@pytest.mark.timeout(180)
def test_a_lab_is_released_extended_and_its_late_marks_follow_the_policy(
    served: Any, at: Callable[..., Page], root: Path
) -> None:
    page = at("teacher")
    page.goto(f"{served.url}courses/ict101")
    page.get_by_role("link", name="Release labs").click()
    page.get_by_label("Find").fill("subnetting")
    page.get_by_role("button", name="Find").click()
    page.locator(f"tr[data-lab={LAB}] a").click()
    expect(page.frame_locator("iframe.notebook").get_by_text("YOUR ANSWER HERE").first).to_be_attached()

    now = datetime.now(UTC)
    page.get_by_label("Due", exact=True).first.fill(local(now - timedelta(hours=30)))
    page.get_by_label("Cut-off", exact=True).first.fill(local(now + timedelta(days=5)))
    page.get_by_label("takes points off for each day begun").check()
    page.get_by_role("spinbutton", name="Off for each day").fill("10")
    page.get_by_label("points only").check()
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is released")
    page.screenshot(path=root / "test-artifacts" / "portal-release.png", full_page=True)

    graded(served.school)
    served_lab = served.school.store.find_release("ict101", LAB)
    page.goto(f"{served.url}courses/ict101/labs/{LAB}/release")
    page.get_by_role("spinbutton", name="Off for each day").fill("5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("1 mark worked out again")
    (report,) = [r for _, r in served.school.store.reports("ict101", LAB)]
    assert report.late_penalty == pytest.approx(served_lab.max_points * 0.1)  # two days begun
    late = mark(page, served)

    page.goto(f"{served.url}courses/ict101/labs/{LAB}/release")
    page.get_by_label("Student (user name)").fill("bob")
    page.get_by_label("Due", exact=True).last.fill(local(now + timedelta(days=1)))
    page.get_by_label("Reason").fill("Ill, with a note from the doctor")
    page.get_by_role("button", name="Give more time").click()
    expect(page.get_by_role("status")).to_contain_text("bob has more time. 1 mark worked out again.")
    page.screenshot(path=root / "test-artifacts" / "portal-extension.png", full_page=True)
    in_time = mark(page, served)

    assert late != in_time
    assert in_time == f"{report.points:g} / {report.max_points:g}"
    assert float(late.split(" / ")[0]) == pytest.approx(report.points - report.late_penalty)
    student = at("bob")
    expect(student.locator(f"[data-lab='{LAB}']")).to_contain_text(
        "Late: 5% of the points off for each day begun."
    )
