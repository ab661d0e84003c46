"""A class at work for a while: students start servers, edit, save and hand in; an instructor grades and gives back.

    python -m benchmarks.soak [--minutes 15] [--students 50] [--spawner docker] [--lab net-subnetting]

Each student presses Start in the portal, opens the lab, and then, again and again: loads the notebook by their server's
contents API, edits an answer, saves it, and hands it in to the exchange with a token of their own; every sixth time they
stop the server and start it again. The instructor presses Grade, waits for the job and presses Release feedback, again
and again. Afterwards everything is graded once more and counted.

Prints one JSON line: {"students": ..., "minutes": ..., "errors": what was answered with anything but success (on standard
error, with its sentence), "losses": receipts without their bytes and marks that are missing or of other work, "receipts":
..., "graded": students with a mark at the end, "seconds": {step: {"count", "p50", "p95"}}, "memory_mb": of hub and portal
when everybody is at work, at the end, and the growth between; "load_before": ...}. Exit code 1 with errors or losses.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.losses import count_losses
from benchmarks.people import COURSE, Person, enrol, memory_mb, percentiles
from benchmarks.site import DemoSite
from grader.archives import pack
from grader.store import Store
from hub.settings import load_settings
from labs.build import solved_notebook
from labs.library import Library

THINK_S = (2.0, 8.0)  # between one hand-in and the next
ROUNDS = 6  # with one server
JOB_S = 900.0  # the longest that a job may take
LIMITS = "[grader.exchange]\nmax_per_hour = 100000\n"


class Soak:
    """What the people do, how long it took them, and what they were told."""

    def __init__(self, site: DemoSite, lab: str, until: float) -> None:
        """until: on time.monotonic()."""
        self.site, self.lab, self.until = site, lab, until
        released = Library().lab(lab)
        self.environment = released.environment
        self.answers = {
            cell.metadata["nbgrader"]["grade_id"]: cell.source
            for cell in solved_notebook(released).cells
            if cell.metadata.get("nbgrader", {}).get("solution")
        }
        self.seconds: dict[str, list[float]] = {}
        self.receipts: list[str] = []
        self.errors: list[str] = []
        self.at_work: set[str] = set()

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long the block takes, when it ends well."""
        began = time.perf_counter()
        yield
        self.seconds.setdefault(step, []).append(time.perf_counter() - began)

    def student(self, name: str) -> None:
        """One student, until the time is over."""
        draw = random.Random(name)
        time.sleep(draw.uniform(0, 5))
        with self._told(name), Person(self.site, name) as person:
            while time.monotonic() < self.until:
                with self._told(name):
                    self._sit_down(person)
                    for _ in range(ROUNDS):
                        self._work(person, draw)
                        time.sleep(draw.uniform(*THINK_S))
                        if time.monotonic() >= self.until:
                            return
                    with self.timed("stop"):
                        person.stop(self.environment)

    def _sit_down(self, person: Person) -> None:
        token = person.look()
        with self.timed("start"):
            person.start_lab(self.lab, token)
        with self.timed("open"):
            opened = person.in_server("GET", self.environment, f"ictlab/open?course={COURSE}&lab={self.lab}")
            if opened.status_code != 302:
                raise RuntimeError(f"the lab did not open: {opened.status_code} {opened.text[:200]}")
        self.at_work.add(person.name)

    def _work(self, person: Person, draw: random.Random) -> None:
        file = f"api/contents/{COURSE}/{self.lab}/{self.lab}.ipynb"
        with self.timed("load"):
            loaded = person.in_server("GET", self.environment, file).raise_for_status()
        notebook: dict[str, Any] = loaded.json()["content"]
        cells = [cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("solution")]
        cell = draw.choice(cells)
        answer = self.answers[cell["metadata"]["nbgrader"]["grade_id"]]
        cell["source"] = f"{answer}\n# {draw.random()}" if cell["cell_type"] == "code" else answer
        with self.timed("save"):
            body = {"type": "notebook", "format": "json", "content": notebook}
            person.in_server("PUT", self.environment, file, json=body).raise_for_status()
        archive = pack({f"{self.lab}.ipynb": json.dumps(notebook).encode()})
        with self.timed("submit"):
            answered = person.hand_in(self.lab, archive).raise_for_status()
        self.receipts.append(answered.json()["receipt"])

    def instructor(self) -> None:
        """The instructor, until the time is over."""
        while time.monotonic() < self.until:
            with self._told("teacher"), Person(self.site, "teacher") as person:
                while time.monotonic() < self.until:
                    if self.receipts:
                        self.grade(person)
                        with self.timed("feedback"):
                            path = f"courses/{COURSE}/labs/{self.lab}/feedback"
                            released = person.press(path, person.look(f"courses/{COURSE}"))
                            if released.status_code != 303:
                                raise RuntimeError(f"no feedback: {released.status_code}")
                    time.sleep(5)

    def grade(self, person: Person) -> None:
        """Press Grade and wait for the job's end."""
        with self.timed("grade"):
            job = person.grade(self.lab).raise_for_status().json()
            deadline = time.monotonic() + JOB_S
            while job["state"] in ("waiting", "running") and time.monotonic() < deadline:
                time.sleep(0.5)
                job = person.job(self.lab, job["id"])
        if job["state"] != "done":
            raise RuntimeError(f"job {job['id']} is {job['state']}: {job['message']}")

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Count what goes wrong, and go on: a person tries again."""
        try:
            yield
        except (httpx.HTTPError, RuntimeError, TimeoutError, KeyError, ValueError) as error:
            self.errors.append(f"{name}: {type(error).__name__}: {error}")
            print(self.errors[-1], file=sys.stderr)
            time.sleep(2)


def soak(site: DemoSite, students: int, minutes: float, lab: str) -> dict[str, Any]:
    """Let them work, and count."""
    names = [f"student{number:03}" for number in range(students)]
    enrol(site.folder, names)
    run = Soak(site, lab, time.monotonic() + minutes * 60)
    threads = [threading.Thread(target=run.student, args=(name,)) for name in names]
    threads.append(threading.Thread(target=run.instructor))
    for thread in threads:
        thread.start()
    while len(run.at_work) < students and time.monotonic() < run.until:
        time.sleep(0.2)
    begin = memory_mb(site.folder)
    for thread in threads:
        thread.join()
    end = memory_mb(site.folder)
    with Person(site, "teacher") as teacher:
        run.grade(teacher)
    lost = count_losses(site.folder, COURSE, lab, run.receipts)
    for said in (*lost.submissions, *lost.marks):
        print(said, file=sys.stderr)
    return {
        "students": students,
        "minutes": minutes,
        "errors": len(run.errors),
        "losses": lost.count,
        "receipts": len(run.receipts),
        "graded": graded(site.folder, lab),
        "seconds": {step: percentiles(took) for step, took in sorted(run.seconds.items())},
        "memory_mb": {
            part: {"at_work": begin[part], "end": end[part], "growth": round(end[part] - begin[part], 1)}
            for part in begin
        },
    }


def graded(folder: Path, lab: str) -> int:
    """Students whose newest submission has a mark."""
    settings = load_settings(folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    marked = {row.id for row, report in store.reports(COURSE, lab) if report.points is not None}
    found = sum(row.id in marked for row in store.newest_submissions(COURSE, lab))
    store.close()
    return found


def main() -> int:
    """Print the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--students", type=int, default=50)
    parser.add_argument("--spawner", choices=["docker", "process"], default="docker")
    parser.add_argument("--lab", default="net-subnetting")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="ictlabs-soak-") as folder,
        DemoSite(Path(folder) / "site", chosen.spawner, hub=LIMITS) as site,
    ):
        found = soak(site, chosen.students, chosen.minutes, chosen.lab)
    print(json.dumps(found | {"spawner": chosen.spawner, "load_before": round(load, 2)}))
    return int(bool(found["errors"] or found["losses"]))


if __name__ == "__main__":
    sys.exit(main())
