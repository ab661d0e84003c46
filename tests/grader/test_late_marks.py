"""What lateness costs, from a graded submission to the mark that a student reads, and back when the policy changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nbgrader.api import Gradebook

from grader.archives import unpacked
from grader.feedback import release_feedback
from grader.gradebook import GradebookError
from grader.latemarks import settle_lateness
from grader.release import change_terms
from grader.schedule import Schedule
from grader.store import MemberRow

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def terms(**said: Any) -> Schedule:
    """Due an hour ago, 10 % of the 3 points a day."""
    usual = {"due_at": datetime.now(UTC) - HOUR, "late_kind": "deduction", "late_percent": 10.0}
    return Schedule(**(usual | said))


def nbgraders(course: Any, student: str = "alice") -> tuple[float, float]:
    """The score and the penalty that nbgrader's own tools read."""
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        row = gradebook.find_submission("sums", student)
        return float(row.score), float(row.late_submission_penalty)


def off(course: Any, submission: Any) -> float:
    """Points off in the record."""
    report = course.store.report(submission.id)
    assert report is not None
    return float(report.late_penalty)


def test_a_late_mark_follows_the_policy_everywhere(course: Any) -> None:
    hers = course.solved("alice")
    change_terms(course.store, course.places, "ict101", "sums", terms())
    course.grade()
    assert nbgraders(course) == (2, pytest.approx(0.3))
    assert off(course, hers) == pytest.approx(0.3)
    assert course.marks()["alice"][0] == pytest.approx(1.7)

    release_feedback(course.store, course.places, "ict101", "sums", by="teacher")
    read = course.store.feedback_of(hers.id)
    assert (read.points, read.late_penalty) == (pytest.approx(1.7), pytest.approx(0.3))

    changed = change_terms(course.store, course.places, "ict101", "sums", terms(late_percent=50.0))

    assert changed == 1
    assert nbgraders(course) == (2, 1.5)
    now = course.store.feedback_of(hers.id)
    assert (now.points, now.late_penalty, now.released_at) == (0.5, 1.5, read.released_at)
    page = unpacked(course.store.blob(now.sha256), course.settings.exchange)["sums.html"].decode()
    assert "Mark: 0.5 of 3 points, after 1.5 for handing in late" in page

    change_terms(course.store, course.places, "ict101", "sums", terms(late_kind="none"))

    assert nbgraders(course) == (2, 0)
    assert course.store.feedback_of(hers.id).points == 2
    assert off(course, hers) == 0


def test_an_extension_after_handing_in_gives_the_points_back(course: Any) -> None:
    hers, his = course.solved("alice"), course.solved("bob")
    change_terms(course.store, course.places, "ict101", "sums", terms())
    course.grade()
    due = datetime.now(UTC) + DAY
    course.store.extend("ict101", "sums", username="alice", due_at=due, cutoff_at=None, reason="ill", by="t")

    assert settle_lateness(course.store, course.places, "ict101") == 1

    assert (off(course, hers), off(course, his)) == (0, pytest.approx(0.3))
    assert nbgraders(course) == (2, 0)


def test_without_a_policy_nbgraders_own_penalty_is_not_touched(course: Any) -> None:
    """A course may have a late plug-in of nbgrader's."""
    course.solved("alice")
    change_terms(course.store, course.places, "ict101", "sums", terms(late_kind="none"))
    course.grade()
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        (notebook,) = gradebook.find_submission("sums", "alice").notebooks
        assert notebook.late_submission_penalty is None
        notebook.late_submission_penalty = 1.0
        gradebook.db.commit()

    settle_lateness(course.store, course.places, "ict101")
    release_feedback(course.store, course.places, "ict101", "sums", by="teacher")

    assert nbgraders(course) == (2, 1)


def test_points_by_hand_count_before_the_deduction(course: Any) -> None:
    """Nothing was earned when it was graded, so nothing could be taken; feedback is made from what is there then."""
    hers = course.hand_in("alice", course.notebook(why="So it is."))
    change_terms(course.store, course.places, "ict101", "sums", terms())
    course.grade()
    assert nbgraders(course) == (0, 0)
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        grade = gradebook.find_grade("why", "sums", "sums", "alice")
        grade.manual_score, grade.needs_manual_grade = 1, False
        gradebook.db.commit()

    release_feedback(course.store, course.places, "ict101", "sums", by="teacher")

    assert nbgraders(course) == (1, pytest.approx(0.3))
    assert course.store.feedback_of(hers.id).points == pytest.approx(0.7)

    change_terms(course.store, course.places, "ict101", "sums", terms(late_kind="none"))

    assert nbgraders(course) == (1, 0)
    assert course.store.feedback_of(hers.id).points == 1


def test_a_bank_pays_first(course: Any) -> None:
    hers = course.solved("alice")
    course.store.set_bank("ict101", 1)
    change_terms(course.store, course.places, "ict101", "sums", terms(late_kind="bank"))
    course.grade()
    assert off(course, hers) == 0

    course.store.set_bank("ict101", 0)
    settle_lateness(course.store, course.places, "ict101")

    assert off(course, hers) == pytest.approx(0.3)


def test_nothing_is_revealed_before_a_student_s_lab_is_closed(course: Any) -> None:
    course.store.enrol("ict101", [MemberRow("bob", section="B")])
    hers, his = course.solved("alice"), course.solved("bob")
    course.store.enrol("ict101", [MemberRow("bob", section="B")])
    change_terms(course.store, course.places, "ict101", "sums", terms(reveal="closed", late_kind="none"))
    due = datetime.now(UTC) + DAY
    course.store.extend("ict101", "sums", section="B", due_at=due, cutoff_at=None, reason="trip", by="t")
    course.grade()

    result = release_feedback(course.store, course.places, "ict101", "sums", by="teacher")

    assert (result.released, result.held) == (("alice",), ("bob",))
    assert course.store.feedback_of(hers.id) is not None
    assert course.store.feedback_of(his.id) is None


def test_marks_alone_are_revealed_without_what_hidden_checks_said(course: Any) -> None:
    course.release(hidden="assert False, 'the hidden reason'")
    hers = course.solved("alice")
    course.grade()

    def pages(reveal: str) -> str:
        change_terms(course.store, course.places, "ict101", "sums", Schedule(reveal=reveal))  # type: ignore[arg-type]
        release_feedback(course.store, course.places, "ict101", "sums", by="teacher")
        archive = course.store.blob(course.store.feedback_of(hers.id).sha256)
        return str(unpacked(archive, course.settings.exchange)["sums.html"].decode())

    assert "the hidden reason" in pages("messages")
    assert "the hidden reason" not in pages("marks")


def test_a_new_version_puts_locked_cells_back_and_marks_anew(course: Any) -> None:
    """What was handed in has the old check; it is graded by the new one."""
    before = course.solved("alice")
    course.grade()
    course.release(hidden="assert add(1, 1) == 3, 'the new version'")

    course.grade()

    report = course.store.report(before.id)
    assert report.points == 0
    assert "the new version" in report.exercises[0]["message"]


def test_the_due_time_of_nbgraders_tools_follows(course: Any) -> None:
    due = datetime(2027, 3, 1, 18, tzinfo=UTC)

    change_terms(course.store, course.places, "ict101", "sums", Schedule(due_at=due))

    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert gradebook.find_assignment("sums").duedate == due.replace(tzinfo=None)


def test_a_version_that_nbgrader_refuses_changes_nothing_that_is_out(course: Any) -> None:
    import nbformat

    from grader.release import release_lab
    from labs.model import Lab

    course.solved("alice")
    course.grade()
    file = course.folder / "sums/sums.ipynb"
    notebook = nbformat.read(file, as_version=4)
    added = nbformat.v4.new_code_cell("assert True", metadata=dict(notebook.cells[2].metadata))
    added.metadata["nbgrader"] = {**added.metadata["nbgrader"], "grade_id": "check-more"}
    notebook.cells.append(added)
    file.write_text(nbformat.writes(notebook))

    with pytest.raises(GradebookError, match="keeps its cells"):
        release_lab(course.store, course.places, Lab.load(file.parent), "ict101", by="teacher")

    assert course.store.find_release("ict101", "sums").sha256 == course.released.sha256
