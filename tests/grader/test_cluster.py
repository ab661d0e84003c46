"""Grading on several workers: one that is killed half-way costs nothing, on this machine and behind a scheduler."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from grader import cluster
from grader.pipeline import GradingError

SLOW = "import time\ntime.sleep(0.5)\ndef add(a, b):\n    return a + b"
STUDENTS = [f"student{number:02}" for number in range(16)]


def killer(course: Any, killed: list[int]) -> Any:
    """A progress callback that kills the worker of the third submission that is done."""

    def progress(step: Any) -> None:
        course.steps.append(step)
        if step.done == 3:
            items = {i.username: i for i in course.store.items(step.report.job_id)}
            pid = int(items[step.username].worker.rpartition(":")[2])
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    return progress


def grade(course: Any, **options: Any) -> Any:
    from grader.pipeline import grade_job

    course.steps = []
    return grade_job(
        course.store, course.settings, course.places, "ict101", "sums",
        requested_by="teacher", image_of=lambda _release: "none", **options,
    )  # fmt: skip


def assert_each_graded_once(course: Any, job: int, killed: list[int]) -> None:
    assert course.marks() == dict.fromkeys(STUDENTS, (2, False))
    assert sorted(step.username for step in course.steps) == STUDENTS
    items = course.store.items(job)
    assert {item.state for item in items} == {"graded"}
    workers = {int(item.worker.rpartition(":")[2]) for item in items}
    assert killed and len(workers - set(killed)) >= 1
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert len(gradebook.assignment_submissions("sums")) == len(STUDENTS)
        assert len(gradebook.notebook_submissions("sums", "sums")) == len(STUDENTS)


def test_a_worker_killed_in_mid_job_costs_no_submission_and_grades_none_twice(course: Any) -> None:
    for name in STUDENTS:
        course.hand_in(name, course.notebook(add=SLOW))
    course.settings = course.settings.model_copy(update={"workers": 2, "slots": 1})
    killed: list[int] = []
    result = grade(course, progress=killer(course, killed))
    assert (result.graded, result.failed) == (len(STUDENTS), ())
    assert_each_graded_once(course, result.job_id, killed)


def test_a_fork_server_that_answers_nobody_costs_no_job(course: Any, tmp_path: Path) -> None:
    course.hand_in("alice", course.notebook())
    cluster.get_ready()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        forkserver._forkserver._forkserver_address = str(tmp_path / "deaf")

        result = grade(course)

    assert (result.graded, result.failed) == (1, ())


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler of its own, as an operator starts one."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
               "--no-dashboard", "--no-show", "--preload", cluster.STEADY, "--scheduler-file", str(file)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (said := file.read_text() if file.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.05)  # it appears a moment before it is written, in one go
    yield json.loads(said)["address"]
    process.terminate()
    process.wait(20)


def test_workers_of_a_scheduler_elsewhere_grade_too(course: Any, scheduler: str, tmp_path: Path) -> None:
    for name in STUDENTS:
        course.hand_in(name, course.notebook(add=SLOW))
    course.settings = course.settings.model_copy(update={"scheduler": scheduler})
    with pytest.raises(GradingError, match="it has no workers"):
        grade(course)
    settings = tmp_path / "ictlabs.toml"
    settings.write_text(
        f'[site]\ndata_dir = "{course.places.data}"\n[grader]\nworkers = 2\nslots = 1\n'
        '[grader.sandbox]\nbackend = "process"\n'
    )
    command = [sys.executable, "-m", "hub.cli", "--settings", str(settings), "worker", scheduler]
    check = [*command[:-1], "--check", scheduler]
    before = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (before.returncode, "has no workers" in before.stderr) == (1, True)
    workers = subprocess.Popen(command)
    try:
        _await_workers(scheduler, 2)
        assert "workers: 2" in subprocess.run(check, capture_output=True, text=True, check=True).stdout
        killed: list[int] = []
        result = grade(course, progress=killer(course, killed))
        assert_each_graded_once(course, result.job_id, killed)
    finally:
        workers.send_signal(signal.SIGINT)
        workers.wait(30)


def _await_workers(scheduler: str, count: int) -> None:
    from distributed import Client

    with Client(scheduler) as client:
        client.wait_for_workers(count, timeout=60)
