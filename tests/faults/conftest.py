"""A site at work while a part of it is killed: students hand in, an instructor grades, and afterwards all is counted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.losses import count_losses
from benchmarks.people import COURSE, Person, enrol
from benchmarks.site import DemoSite
from grader.archives import pack
from grader.database import RecordError
from grader.release import release_lab
from grader.settings import Places
from grader.store import Store
from hub.settings import Settings, load_settings
from hub.site import load_site
from labs.model import Lab

LAB = "sums"
STUDENTS = ("ada", "ben", "cleo", "dan")
PATIENCE_S = 90.0
# small, quick and without a limit that many submissions of few students would meet
QUICK = "[grader]\nworkers = 2\nslots = 2\n[grader.exchange]\nmax_per_hour = 100000\n"
IN_JAILS = QUICK + '[grader.sandbox]\nbackend = "process"\n'
IN_CONTAINERS = QUICK + "[grader.sandbox]\nmemory_mb = 256\n"


def wait_until(true: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait; `what` is missing if it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still not: {what}"
        time.sleep(0.1)


class Sums:
    """A lab with one check of 2 points, and what is handed in of it."""

    def __init__(self, folder: Path) -> None:
        """Write the lab into `folder`."""
        self.folder = folder
        self.earns: dict[str, float] = {}  # by the SHA-256 of what was made to be handed in
        made = {"solution": False, "task": False, "schema_version": 3}
        answer = made | {"grade_id": "add", "grade": False, "solution": True, "locked": False}
        check = made | {"grade_id": "check", "grade": True, "locked": True, "points": 2}
        solution = "### BEGIN SOLUTION\ndef add(a, b):\n    return a + b\n### END SOLUTION"
        cells = [
            nbformat.v4.new_code_cell(solution, metadata={"nbgrader": answer}),
            nbformat.v4.new_code_cell("assert add(1, 2) == 3", metadata={"nbgrader": check}),
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        folder.mkdir(parents=True)
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))

    def release(self, store: Store, places: Places) -> None:
        """Offer it to the course."""
        release_lab(store, places, Lab.load(self.folder), COURSE, by="teacher")
        raw = (places.course(COURSE) / "release" / LAB / f"{LAB}.ipynb").read_text()
        self.notebook: dict[str, Any] = json.loads(raw)

    def answer(self, number: int) -> bytes:
        """A submission like no other; those with even numbers are right. Each takes a while to grade."""
        result, points = ("a + b", 2.0) if number % 2 == 0 else ("a - b", 0.0)
        source = f"# {number}\nimport time\ntime.sleep(0.3)\ndef add(a, b):\n    return {result}"
        first, *others = self.notebook["cells"]
        notebook = {**self.notebook, "cells": [{**first, "source": source}, *others]}
        archive = pack({f"{LAB}.ipynb": json.dumps(notebook).encode()})
        self.earns[hashlib.sha256(archive).hexdigest()] = points
        return archive

    def assert_marks_are_right(self, store: Store) -> None:
        """Each student's newest submission has the mark that its answer earns."""
        newest = {row.id: row for row in store.newest_submissions(COURSE, LAB)}
        marks = {row.id: report.points for row, report in store.reports(COURSE, LAB)}
        assert {row.username for row in newest.values()} == set(STUDENTS)
        assert {each: marks[each] for each in newest} == {
            each: self.earns[row.sha256] for each, row in newest.items()
        }


class School:
    """A site, its students and its instructor, and what they were told."""

    def __init__(self, site: DemoSite) -> None:
        """Release the lab and let everybody log in."""
        self.site = site
        self.settings: Settings = load_settings(site.folder / "ictlabs.toml")
        self.site_plan = load_site(self.settings)
        self.store = Store.open(self.settings.database_url, self.settings.places)
        self.sums = Sums(site.folder / LAB)
        self.sums.release(self.store, self.settings.places)
        enrol(site.folder, STUDENTS)
        self.people = {name: Person(site, name) for name in (*STUDENTS, "teacher")}
        for person in self.people.values():
            person.login()
        self.receipts: list[str] = []
        self.refused: list[str] = []
        self.troubles: list[str] = []
        self._stop = threading.Event()

    def close(self) -> None:
        """Close all connections."""
        for person in self.people.values():
            person.http.close()
        self.store.close()

    # What people do

    def hand_in(self, name: str) -> httpx.Response:
        """Hand in once, and keep the receipt."""
        answer = self.people[name].hand_in(LAB, self.sums.answer(time.monotonic_ns()))
        if answer.status_code == 201:
            self.receipts.append(answer.json()["receipt"])
        else:
            self.refused.append(f"{answer.status_code} {answer.text}")
        return answer

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Everybody at work while the block runs; what fails meanwhile is tried again, as people do."""
        self._stop = threading.Event()
        work = [*((self._hand_in_often, name) for name in STUDENTS), (self._grade_often, "teacher")]
        threads = [threading.Thread(target=what, args=(name,)) for what, name in work]
        threads.append(threading.Thread(target=self._ask_often))
        for thread in threads:
            thread.start()
        try:
            self.go_on()
            wait_until(self.under_way, "grading has begun")
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        assert not self.troubles, self.troubles

    def go_on(self) -> None:
        """Wait until more was handed in since now."""
        enough = len(self.receipts) + 2 * len(STUDENTS)
        wait_until(lambda: len(self.receipts) >= enough, "more receipts")

    def under_way(self) -> bool:
        """Whether submissions are with workers at this moment."""
        jobs = self.store.jobs(COURSE, LAB, only_open=True)
        return any(item.state == "running" for job in jobs for item in self.store.items(job.id))

    def _hand_in_often(self, name: str) -> None:
        self._often(lambda: self.hand_in(name), 0.4)

    def _grade_often(self, _name: str) -> None:
        self._often(lambda: self.people["teacher"].grade(LAB), 3.5)

    def _ask_often(self) -> None:
        """More often than the portal lets anybody press: grading goes on as long as a block of at_work."""

        def ask() -> None:
            with contextlib.suppress(RecordError, SQLAlchemyError):  # the record is away: nobody was refused
                self.store.open_job(COURSE, LAB, "teacher")

        self._often(ask, 0.3)

    def _often(self, act: Callable[[], object], every_s: float) -> None:
        while not self._stop.wait(every_s):
            try:
                act()
            except httpx.TransportError as error:  # nobody answers: that is what these tests are about
                self.refused.append(repr(error))
            except Exception as error:
                self.troubles.append(repr(error))
                raise

    # What is left afterwards

    def assert_nothing_lost(self) -> None:
        """After one last grading, see that every receipt's bytes are there and that every mark is there, once and right."""
        self.grade_the_rest()
        lost = count_losses(self.site.folder, COURSE, LAB, self.receipts)
        assert (lost.submissions, lost.marks) == ((), ()), lost
        self.sums.assert_marks_are_right(self.store)

    def grade_the_rest(self) -> None:
        """Press Grade once more and wait for its end."""
        wait_until(self.site.answers, "the portal")
        wait_until(lambda: self.people["teacher"].grade(LAB).status_code == 201, "a job")
        wait_until(lambda: not self.store.jobs(COURSE, LAB, only_open=True), "the job's end")
        assert self.store.jobs(COURSE, LAB)[0].state == "done", self.store.jobs(COURSE, LAB)[0].message

    def log(self, name: str) -> str:
        """What a part has logged; `up` is the supervisor."""
        if name == "up":
            return self.site.text()
        return (self.settings.places.logs / f"{name}.log").read_text(errors="replace")


@contextlib.contextmanager
def opened_school(folder: Path, spawner: str, *, site: str = "", more: str = IN_JAILS) -> Iterator[School]:
    """A demo site in `folder` with its School."""
    with DemoSite(folder, spawner, site=site, hub=f"idle_s = 0\n{more}") as up:
        school = School(up)
        try:
            yield school
        finally:
            school.close()


@pytest.fixture(scope="session")
def open_school() -> Callable[..., contextlib.AbstractContextManager[School]]:
    """`open_school(folder, spawner, site=…, more=…)`: a demo site in `folder` with its School."""
    return opened_school


@pytest.fixture
def sums(tmp_path: Path) -> Sums:
    """The lab, written and not released."""
    return Sums(tmp_path / LAB)


@pytest.fixture(scope="session")
def waiting() -> Callable[..., None]:
    """`waiting(true, what, timeout_s)`: wait until it is true."""
    return wait_until


@pytest.fixture(scope="session")
def kill() -> Callable[[int], None]:
    """`kill(pid)`: without a word of warning."""
    return lambda pid: os.kill(pid, signal.SIGKILL)
