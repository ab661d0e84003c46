"""Releasing labs in the portal: what an instructor sets, what a student sees of it, and what is refused."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from grader.archives import pack
from grader.models import Report
from grader.schedule import Schedule
from grader.schedulelog import schedule_of
from grader.store import MemberRow
from labs.library import Library

LAB = "net-subnetting"
HERE = f"courses/ict101/labs/{LAB}/release"
ONE = "courses/ict101/labs/lab-one/release"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TERMS = {
    "opens": "2030-03-01T08:00", "due": "2030-03-08T18:00", "cutoff": "2030-03-10T18:00", "late": "deduction",
    "percent": "10", "bank": "0", "attempts": "3", "reveal": "marks",
}  # fmt: skip


def test_a_lab_of_the_library_is_released_on_the_terms_of_the_form(visit: Any, school: Any) -> None:
    teacher = visit("teacher")

    answer = teacher.post(HERE, **TERMS)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/services/portal/{HERE}")
    row = school.store.find_release("ict101", LAB)
    assert schedule_of(row) == Schedule(
        opens_at=datetime(2030, 3, 1, 8, tzinfo=UTC),
        due_at=datetime(2030, 3, 8, 18, tzinfo=UTC),
        cutoff_at=datetime(2030, 3, 10, 18, tzinfo=UTC),
        late_kind="deduction",
        late_percent=10,
        attempts=3,
        reveal="marks",
    )
    page = teacher.get(HERE).text
    assert "is released" in page
    assert all(f'value="{TERMS[name]}"' in page for name in ("opens", "due", "cutoff", "percent", "attempts"))


def test_times_are_the_site_s(visit: Any, school: Any) -> None:
    site = school.settings.site.model_copy(update={"timezone": "Asia/Kolkata"})
    school.settings = school.settings.model_copy(update={"site": site})

    teacher = visit("teacher")
    teacher.post(ONE, **(TERMS | {"late": "none"}))

    assert teacher.get(ONE).text.count("Asia/Kolkata") == 3  # beside both forms and at the foot
    assert school.store.find_release("ict101", "lab-one").due_at == datetime(2030, 3, 8, 12, 30, tzinfo=UTC)


def test_saving_what_was_not_touched_changes_nothing(visit: Any, school: Any) -> None:
    """Browsers send times without seconds."""
    due = datetime(2030, 3, 8, 18, 0, 42, tzinfo=UTC)
    school.store.set_schedule("ict101", "lab-one", Schedule(due_at=due))

    visit("teacher").post(ONE, due="2030-03-08T18:00", late="none", reveal="messages")

    assert schedule_of(school.store.find_release("ict101", "lab-one")) == Schedule(due_at=due)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"cutoff": "2030-03-07T18:00"}, "The cut-off time is before the due time."),
        ({"due": "soon"}, "is no time"),
        ({"due": "0001-01-01T00:00"}, "is no time"),
        ({"percent": "101"}, "100 at most"),
        ({"percent": "nan"}, "not a number"),
        ({"attempts": "0"}, "1 to 1000"),
        ({"late": "fine"}, "Choose a late policy"),
    ],
)
def test_a_form_that_cannot_be_is_shown_again_with_the_reason(
    visit: Any, school: Any, wrong: dict[str, str], why: str
) -> None:
    before = schedule_of(school.store.find_release("ict101", "lab-one"))

    answer = visit("teacher").post(ONE, **(TERMS | wrong))

    assert answer.status_code == 422
    assert why in answer.text
    assert 'value="2030-03-01T08:00"' in answer.text
    assert schedule_of(school.store.find_release("ict101", "lab-one")) == before


def test_before_the_opening_a_student_sees_when_it_opens_and_cannot_start(visit: Any, school: Any) -> None:
    opens = datetime.now(UTC) + DAY
    school.store.set_schedule("ict101", "lab-one", Schedule(opens_at=opens))
    bob = visit("bob")

    for path in ("", "labs/ict101/lab-one"):
        assert "opens <time" in bob.get(path).text
    refused = bob.post("labs/ict101/lab-one/start")

    assert "labs/ict101/lab-one/start" not in bob.get("").text
    assert refused.status_code == 409
    assert "This lab opens on" in refused.text


def test_a_student_sees_their_own_times_attempts_and_what_lateness_costs(visit: Any, school: Any) -> None:
    terms = {"due_at": datetime(2030, 1, 1, tzinfo=UTC), "cutoff_at": datetime(2030, 1, 3, tzinfo=UTC)}
    policy = {"late_kind": "deduction", "late_percent": 10.0, "attempts": 3}
    school.store.set_schedule("ict101", "lab-one", Schedule(**terms, **policy))
    later = {"due_at": datetime(2030, 2, 2, tzinfo=UTC), "cutoff_at": None, "reason": "ill", "by": "teacher"}
    school.store.extend("ict101", "lab-one", username="alice", **later)

    alice, bob = visit("alice").get("labs/ict101/lab-one").text, visit("bob").get("labs/ict101/lab-one").text

    assert 'due <time datetime="2030-02-02' in alice and 'taken until <time datetime="2030-02-02' in alice
    assert 'due <time datetime="2030-01-01' in bob and 'taken until <time datetime="2030-01-03' in bob
    assert "2 attempts left" in bob
    assert "Late: 10% of the points off for each day begun." in bob
    assert "ill" not in alice.replace("will", "")


def test_a_bank_is_told_with_what_is_left_of_it(visit: Any, school: Any) -> None:
    school.store.set_bank("ict101", 3)
    due = datetime.now(UTC) - 30 * HOUR
    school.store.set_schedule("ict101", "lab-one", Schedule(due_at=due, late_kind="bank", late_percent=25))

    assert "you have 1 late day left" in visit("bob").get("labs/ict101/lab-one").text


def test_an_extension_is_given_shown_and_removed(visit: Any, school: Any) -> None:
    school.store.set_schedule("ict101", "lab-one", Schedule(due_at=datetime(2030, 1, 1, tzinfo=UTC)))
    teacher = visit("teacher")

    given = teacher.post(f"{ONE}/extensions", section="A", due="2030-02-01T12:00", reason="The power failed")

    assert given.status_code == 303
    (row,) = school.store.extensions("ict101", "lab-one")
    assert (row.section, row.due_at, row.by) == ("A", datetime(2030, 2, 1, 12, tzinfo=UTC), "teacher")
    page = teacher.get(ONE).text
    assert "Group A has more time." in page and "The power failed" in page

    teacher.post(f"{ONE}/extensions/{row.id}/remove")

    assert school.store.extensions("ict101", "lab-one") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "zoe"}, {"username": "\x00"}, {"username": "", "section": "Z"}, {"username": ""},
        {"section": "A"}, {"due": ""}, {"due": "never"}, {"reason": ""}, {"reason": "x" * 301},
    ],
)  # fmt: skip
def test_an_extension_that_cannot_be_is_refused_and_nothing_is_lost(
    visit: Any, school: Any, wrong: dict[str, str]
) -> None:
    right = {"username": "bob", "due": "2030-02-01T12:00", "reason": "Ill"}

    answer = visit("teacher").post(f"{ONE}/extensions", **(right | wrong))

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert school.store.extensions("ict101", "lab-one") == []


def test_a_class_s_late_marks_are_shown_without_what_lateness_took(visit: Any, school: Any) -> None:
    school.store.enrol("ict101", [MemberRow("bob", section="B")])
    school.store.set_penalties({school.bobs.id: 3.0}, {})

    teacher = visit("teacher")

    assert "<strong>15 / 20</strong>" in teacher.get("courses/ict101").text
    assert "<strong>15</strong> / 20" in teacher.get("courses/ict101/labs/lab-one").text
    assert "15 / 20" in teacher.get("courses/ict101/students/bob").text
    assert "bob,,B,,15" in teacher.get("courses/ict101/marks.csv").text


def test_marks_alone_are_shown_where_messages_are_not_to_be_revealed(visit: Any, school: Any) -> None:
    school.store.set_schedule("ict101", "lab-one", Schedule(reveal="marks"))

    page = visit("alice").get(f"feedback/{school.alices.id}").text

    assert "18 / 20" in page
    assert "Expected /26" not in page


def test_the_preview_has_no_solution_and_no_hidden_check(visit: Any) -> None:
    answer = visit("teacher").get(f"{HERE}/preview/{LAB}.html")

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert "YOUR ANSWER HERE" in answer.text
    assert "HIDDEN TESTS" not in answer.text and "BEGIN SOLUTION" not in answer.text


def test_a_new_version_is_told_apart_released_and_grading_again_is_offered(
    visit: Any, school: Any, tmp_path: Path
) -> None:
    lab, here = tmp_path / "labs" / "net-own", "courses/ict101/labs/net-own/release"
    shutil.copytree(Library().lab(LAB).folder, lab)
    mine = school.settings.labs.model_copy(update={"folders": (Path("labs"),)})
    school.settings = school.settings.model_copy(update={"labs": mine})
    teacher = visit("teacher")
    teacher.post(here, **(TERMS | {"opens": "", "attempts": ""}))
    assert "A new version" not in teacher.get(here).text
    hers = school.store.submit("ict101", "net-own", "alice", pack({"net-own.ipynb": b"{}"}))
    _graded(school, hers)
    text = (lab / "lab.md").read_text()
    (lab / "lab.md").write_text(text.replace(":hidden: last\n\n", ":hidden: last\n\n# stricter\n", 1))

    page = teacher.get(here).text
    assert "A new version is in the library" in page
    assert "the check check-" in page
    assert "Grade all again" not in page

    assert teacher.post(f"{here}/version").status_code == 303
    page = teacher.get(here).text
    assert "The new version is out" in page
    assert "Grade all again" in page
    assert "A new version is in the library" not in page
    assert schedule_of(school.store.find_release("ict101", "net-own")).reveal == "marks"
    assert school.store.submission(hers.id).sha256 == hers.sha256


def _graded(school: Any, submission: Any) -> None:
    job, _ = school.store.open_job("ict101", submission.lab, "teacher")
    school.store.plan_items(job.id, [submission])
    report = Report(
        submission_id=submission.id, job_id=job.id, state="graded", points=1.0, max_points=2.0, exercises=[],
        message="", release_sha256="0" * 64, notebooks={}, graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    school.store.items_finished(job.id, [(report, "worker")])
    school.store.finish_job(job.id, "done")


def test_a_lab_is_withdrawn_after_a_question_and_released_again_on_its_terms(visit: Any, school: Any) -> None:
    teacher = visit("teacher")
    teacher.post(HERE, **TERMS)

    assert "Undone by" in teacher.get(f"{HERE}/withdraw").text
    teacher.post(f"{HERE}/withdraw")

    assert school.store.find_release("ict101", LAB).withdrawn_at is not None
    assert ">Release</button>" in teacher.get(HERE).text
    teacher.post(HERE, **TERMS)
    assert school.store.find_release("ict101", LAB).withdrawn_at is None


def test_the_list_says_what_is_out_and_finds(visit: Any, school: Any) -> None:
    teacher = visit("teacher")

    everything, found = (
        teacher.get("courses/ict101/release").text,
        teacher.get("courses/ict101/release?q=SUBNETTING").text,
    )

    assert 'data-lab="lab-one"' in everything and f'data-lab="{LAB}"' in everything
    assert f'data-lab="{LAB}"' in found and 'data-lab="lab-one"' not in found


def test_pressing_too_often_is_held_back(visit: Any) -> None:
    teacher = visit("teacher")
    csrf = teacher.csrf()

    answers = [teacher.post(ONE, csrf, **(TERMS | {"late": "none"})).status_code for _ in range(11)]

    assert answers == [303] * 10 + [429]
