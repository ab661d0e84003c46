"""A grading job: once each, whatever is handed in, killed anywhere, run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from grader.pipeline import GradingError
from grader.settings import SandboxSettings


def test_a_class_is_graded_and_one_bad_submission_stops_nobody(course: Any) -> None:
    course.solved("alice", why="So it is.")
    course.hand_in("bob", b"\x00 not a notebook")
    course.hand_in("carol", course.notebook(add="import os; os._exit(0)"))
    course.hand_in("dave", course.notebook(add="def add(a, b):\n    return 3"))
    result = course.grade()
    assert (result.total, result.graded, result.needs_manual, result.failed) == (4, 4, 1, ())
    assert course.marks() == {"alice": (2, True), "bob": (0, False), "carol": (0, False), "dave": (0, False)}
    messages = {step.username: step.report.message for step in course.steps}
    assert messages["alice"] == messages["dave"] == ""
    assert "JSON cannot be read" in messages["bob"]
    assert "ended Python" in messages["carol"]
    job = course.store.job(result.job_id)
    assert (job.state, job.total, job.done) == ("done", 4, 4)


def test_each_is_graded_with_their_own_values(course: Any) -> None:
    """Whose seed an answer was written for is what counts, not what was sent with it."""
    seed = course.store.variants.seed("ict101", "sums", "alice")
    answer = f"assert open('.variant').read() == {seed!r}\ndef add(a, b):\n    return a + b"
    course.hand_in("alice", course.notebook(add=answer))
    course.hand_in("bob", course.notebook(add=answer), **{".variant": seed.encode()})
    course.grade()
    assert course.marks() == {"alice": (2, False), "bob": (0, False)}


def test_a_second_job_runs_nothing_again_and_a_new_submission_only(course: Any) -> None:
    course.solved("alice")
    course.solved("bob")
    course.grade()
    course.hand_in("bob", course.notebook())
    course.grade()
    assert [(step.username, step.fresh) for step in course.steps] == [("alice", False), ("bob", True)]
    assert course.marks() == {"alice": (2, False), "bob": (0, False)}


@pytest.mark.parametrize(("asked_again", "graded"), [(False, ["alice"]), (True, ["alice", "bob"])])
def test_what_comes_in_while_a_job_runs_is_in_it_only_if_somebody_asks_again(
    course: Any, asked_again: bool, graded: list[str]
) -> None:
    course.solved("alice")

    def meanwhile(step: Any) -> None:
        if step.username == "alice":
            course.solved("bob")
            if asked_again:
                course.store.open_job("ict101", "sums", "teacher")

    result = course.grade(progress=meanwhile)

    assert result.graded == len(graded)
    assert sorted(item.username for item in course.store.items(result.job_id)) == graded
    assert len(course.store.jobs("ict101", "sums")) == 1
    assert course.store.job(result.job_id).state == "done"


def test_nothing_new_needs_no_workers(course: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    course.solved("alice")
    course.grade()
    monkeypatch.setattr("grader.pipeline.open_client", None)
    assert course.grade().graded == 1


def test_regrade_runs_again_and_only_whom_is_asked_for(course: Any) -> None:
    course.solved("alice")
    course.solved("bob")
    course.grade()
    course.grade(students=["bob"], regrade=True)
    assert [(step.username, step.fresh) for step in course.steps] == [("bob", True)]


def test_a_changed_hidden_test_makes_reports_stale(course: Any) -> None:
    """Students' files are the same then, so the archive alone would not tell."""
    course.solved("alice")
    course.grade()
    course.release(hidden="assert add(1, 1) == 3, 'stricter'")
    course.grade()
    assert course.steps[0].fresh
    assert course.marks()["alice"] == (0, False)


def test_marks_and_comments_by_hand_outlive_another_grading(course: Any) -> None:
    course.solved("alice", why="So it is.")
    course.grade()
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        gradebook.find_grade("why", "sums", "sums", "alice").manual_score = 1
        gradebook.find_comment("why", "sums", "sums", "alice").manual_comment = "Well said."
        gradebook.db.commit()
    course.grade(regrade=True)
    assert course.marks()["alice"][0] == 3
    assert course.gradebook.submission_marks("sums", "alice").cells["sums"]["why"].comment == "Well said."


def test_lateness_is_by_the_servers_time_and_the_releases_due_time(course: Any) -> None:
    course.release(due_at=datetime.now(UTC) - timedelta(hours=2))
    submission = course.solved("alice")
    raw = course.notebook()
    course.hand_in("bob", raw, **{"timestamp.txt": b"2000-01-01 00:00:00 UTC"})
    course.grade()
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        for student in ("alice", "bob"):
            row = gradebook.find_submission("sums", student)
            assert 7190 < row.total_seconds_late < 7300
        alice = gradebook.find_submission("sums", "alice")
        assert alice.timestamp == submission.received_at.replace(tzinfo=None)
    stamp = course.places.course("ict101") / "submitted/bob/sums/timestamp.txt"
    assert not stamp.read_text().startswith("2000")


def test_a_fault_of_ours_costs_nothing_is_said_and_is_tried_again(course: Any) -> None:
    course.solved("alice")

    bytes_of_alice = course.store.blob(course.store.newest_submissions("ict101", "sums")[0].sha256)
    away = bytes_of_alice.rename(bytes_of_alice.with_suffix(".away"))
    result = course.grade()
    assert result.failed == ("alice",)
    assert course.marks() == {}
    report = course.steps[0].report
    assert (report.state, report.points) == ("failed", None)
    assert "costs nothing" in report.message
    assert course.store.job(result.job_id).state == "failed"
    assert [item.state for item in course.store.items(result.job_id)] == ["failed"]
    away.rename(bytes_of_alice)
    again = course.store.retry_job(result.job_id, "teacher")
    assert course.grade(job_id=again.id).failed == ()
    assert course.marks() == {"alice": (2, False)}


@pytest.mark.parametrize(("lab", "students"), [("nope", ()), ("sums", ("zoe",))])
def test_what_cannot_be_graded_is_refused_with_what_there_is(
    course: Any, lab: str, students: tuple[str, ...]
) -> None:
    from grader.pipeline import grade_job

    with pytest.raises(GradingError, match=r"Released: sums|No submission of zoe"):
        grade_job(
            course.store, course.settings, course.places, "ict101", lab,
            requested_by="teacher", image_of=lambda _release: "none", students=students,
        )  # fmt: skip
    assert not course.store.jobs("ict101")


def test_a_job_of_another_lab_is_not_carried_on(course: Any) -> None:
    job = course.store.open_job("ict101", "other", "teacher")[0].id
    with pytest.raises(GradingError, match="is about other of ict101"):
        course.grade(job_id=job)


JOB = """
import os, signal, sys
from pathlib import Path
from grader import pipeline
from grader.gradebook import CourseGradebook
from grader.settings import GraderSettings, Places, SandboxSettings
from grader.store import Store
places, where, count = Places(data=Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
calls = 0
def dies(owner, name):
    before = getattr(owner, name)
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls > count:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*args, **kwargs)
    setattr(owner, name, wrapped)
from grader import gradebook as module
targets = {
    "hand out": (Store, "items_started"), "reports": (Store, "items_finished"),
    "gradebook": (CourseGradebook, "write_reports"), "rows": (module, "write_batch"),
    "folder": (module, "replace_folder"), "mark": (Store, "mark_in_gradebook"),
    "finish": (Store, "finish_job"),
}
if __name__ == "__main__":
    if where:
        dies(*targets[where])
    walls = SandboxSettings(backend="process", cell_timeout_s=3, total_timeout_s=25, memory_mb=400, pids=64)
    result = pipeline.grade_job(
        Store.open(places.store_url, places), GraderSettings(sandbox=walls, workers=1), places, "ict101", "sums",
        requested_by="teacher", image_of=lambda release: "none", job_id=int(sys.argv[4]),
    )
    print(result.graded)
"""


@pytest.mark.parametrize("where", ["hand out", "reports", "folder", "gradebook", "rows", "mark", "finish"])
def test_a_job_killed_anywhere_and_started_again_gives_the_same_marks_once_each(
    course: Any, where: str
) -> None:
    """A real process, killed with SIGKILL at a step of its work, then the same job again."""
    course.solved("alice", why="So it is.")
    course.solved("bob")
    course.hand_in("carol", course.notebook())
    job = course.store.open_job("ict101", "sums", "teacher")[0].id
    count = {"folder": 3}.get(where, 0)

    def run(at: str) -> subprocess.CompletedProcess[str]:
        arguments = [
            sys.executable,
            "-c",
            textwrap.dedent(JOB),
            str(course.places.data),
            at,
            str(count),
            str(job),
        ]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)

    assert run(where).returncode == -signal.SIGKILL
    again = run("")
    assert again.stdout.strip() == "3", again.stderr
    assert course.marks() == {"alice": (2, True), "bob": (2, False), "carol": (0, False)}
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert len(gradebook.assignment_submissions("sums")) == 3
        assert len(gradebook.notebook_submissions("sums", "sums")) == 3
    reports = course.store.reports("ict101", "sums")
    assert len(reports) == 3
    assert all(report.in_gradebook_at for _, report in reports)
    assert course.store.job(job).state == "done"
    assert not [path for path in course.places.course("ict101").rglob(".*-*") if path.is_dir()]


def test_two_who_ask_at_once_share_one_job(course: Any) -> None:
    for name in ("alice", "bob", "carol"):
        course.solved(name)
    jobs = [course.store.open_job("ict101", "sums", by)[0].id for by in ("teacher", "other")]
    assert jobs[0] == jobs[1]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(JOB), str(course.places.data), "", "0", str(job)],
            stdout=subprocess.PIPE, text=True,
        )
        for job in jobs
    ]  # fmt: skip
    assert [process.communicate(timeout=120)[0].strip() for process in running] == ["3", "3"]
    assert {item.attempts for item in course.store.items(jobs[0])} == {1}
    assert course.marks() == {"alice": (2, False), "bob": (2, False), "carol": (2, False)}


def test_a_kernel_of_a_killed_job_does_not_live_on(course: Any) -> None:
    course.hand_in("alice", course.notebook(add="import time; time.sleep(600.25)"))
    job = course.store.open_job("ict101", "sums", "teacher")[0].id
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(JOB), str(course.places.data), "", "0", str(job)],
    )
    deadline = time.monotonic() + 30
    while not (kernels := _descendants(process.pid, "zygote.py")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert kernels
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in kernels) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in kernels if Path(f"/proc/{pid}").exists()]


def _descendants(pid: int, word: str) -> list[int]:
    """Processes below `pid` whose command line has `word`."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found = []
    for candidate in parents:
        above = candidate
        while above in parents and above != pid:
            above = parents[above]
        try:
            if above == pid and word.encode() in Path(f"/proc/{candidate}/cmdline").read_bytes():
                found.append(candidate)
        except OSError:
            continue
    return [p for p in found if p != os.getpid()]


def test_a_lab_s_slow_cells_get_their_time_and_the_whole_notebook_as_many_times_more() -> None:
    """What a lab asks for is a floor: a site that gives more keeps it."""
    usual = SandboxSettings(cell_timeout_s=30, total_timeout_s=300)

    assert usual.for_cells_of(0) == usual.for_cells_of(30) == usual
    assert usual.for_cells_of(120).cell_timeout_s == 120
    assert usual.for_cells_of(120).total_timeout_s == 1200


def test_a_lab_that_asks_for_memory_gets_it(course: Any) -> None:
    """What it asks for is a floor, as with time."""
    large = "whole = bytearray(500 * 2**20)\ndef add(a, b):\n    return a + b"
    course.hand_in("alice", course.notebook(add=large))
    course.grade()
    before = course.marks()
    course.release(memory_mb=900)
    course.grade(regrade=True)

    assert (before, course.marks()) == ({"alice": (0, False)}, {"alice": (2, False)})


def test_a_lab_that_asks_for_time_gets_it(course: Any) -> None:
    course.release(cell_seconds=4)
    slow = "import time\ntime.sleep(3)\ndef add(a, b):\n    return a + b"
    course.hand_in("alice", course.notebook(add=slow))
    course.settings = course.settings.model_copy(
        update={"sandbox": course.settings.sandbox.model_copy(update={"cell_timeout_s": 1})}
    )
    course.grade()
    assert course.marks() == {"alice": (2, False)}
