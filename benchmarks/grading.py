"""Grades one class with nbgrader and with ours, in one run on the same cores, and compares every mark.

    python -m benchmarks.grading --submissions 100 --workers 1,2

The class hands in nbgrader's own quickstart assignment and a lab of ours (grading_mix.py says what). Stock is the command
`nbgrader autograde` as it comes: one process, no walls. Ours is the command `ict grade`, cold start and sandbox included.
One JSON line comes out at the end; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook

from benchmarks.grading_compare import differences, graded_count
from benchmarks.grading_meter import Cost, Meter
from benchmarks.grading_mix import Mix
from grader.archives import pack
from grader.models import Submission
from grader.release import release_lab
from grader.sandbox import choose
from grader.settings import Places
from grader.store import Store
from labs import build
from labs.model import Lab

COURSE = "bench101"
DUE = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parent.parent
SHOWN = 12  # differences that are printed
MOST_STOCK = 100  # submissions that stock grades, unless it is told otherwise: it takes a minute for fifty


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(text, file=sys.stderr, flush=True)


def labs_to_grade() -> list[Lab]:
    """nbgrader's quickstart and a lab of ours."""
    package = find_spec("nbgrader")
    if package is None or package.origin is None:
        raise SystemExit("nbgrader is not installed.")
    quickstart = Path(package.origin).parent / "docs/source/user_guide/source/ps1"
    return [Lab.load(quickstart), Lab.load(ROOT / "labs/catalog/net-subnetting")]


def received(mix: Mix, index: int) -> datetime:
    """When a student handed in."""
    return DUE + timedelta(hours=5 if mix.late(index) else -5, seconds=index)


class Ours:
    """A site's data with a released lab and its submissions, graded by `ict grade`."""

    def __init__(self, folder: Path, lab: Lab, backend: str) -> None:
        self.lab, self.folder = lab, folder
        self.places = Places(data=folder / "var")
        self.settings = folder / "ictlabs.toml"
        self.settings.write_text(
            f'[site]\ndata_dir = "{self.places.data}"\n[grader.sandbox]\nbackend = "{backend}"\n'
        )
        self.store = Store.open(self.places.store_url, self.places)
        self.store.create_course(COURSE, "Benchmark")
        release_lab(self.store, self.places, lab, COURSE, by="bench", due_at=DUE)
        self.released = {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for folder in [self.places.course(COURSE) / "release" / lab.name]
            for file in folder.rglob("*")
            if file.is_file()
        }

    @property
    def gradebook(self) -> Path:
        """Where the marks are."""
        return self.places.course(COURSE) / "gradebook.db"

    def hand_in(self, mix: Mix, count: int) -> None:
        """Hand in for every student, at the time of the mix."""
        for index in range(count):
            made = mix.hand_in(index)
            row = self.store.submit(COURSE, self.lab.name, made.student, pack(made.files))
            with self.store.engine.begin() as connection:
                connection.execute(
                    Submission.__table__.update()  # type: ignore[attr-defined]
                    .where(Submission.id == row.id)
                    .values(received_at=received(mix, index))
                )

    def grade(self, workers: int) -> Cost:
        """Grade them all anew."""
        command = ["-m", "hub.cli", "--settings", str(self.settings), "grade", COURSE, self.lab.name]
        return _measured([*command, "--regrade", "--jobs", str(workers)], self.folder, ROOT)


class Stock:
    """A course folder of nbgrader's with the same submissions, graded by `nbgrader autograde`."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder, self.lab = folder, lab
        source = folder / "source" / lab.name
        source.mkdir(parents=True)
        for path, file in build.data_files(lab).items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, source / path)
        for name, notebook in build.source_notebooks(lab).items():
            (source / f"{name}.ipynb").write_text(nbformat.writes(notebook))
        config = f"c = get_config()\nc.CourseDirectory.course_id = {COURSE!r}\n"
        if lab.format != "nbgrader":  # so that both release the very same notebook
            config += f"c.ClearSolutions.code_stub = {build.CODE_STUB!r}\n"
        (folder / "nbgrader_config.py").write_text(config)
        _measured(["-m", "nbgrader", "generate_assignment", lab.name], folder, folder)
        with Gradebook(f"sqlite:///{self.gradebook}", COURSE) as gradebook:
            gradebook.update_or_create_assignment(lab.name, duedate=DUE.replace(tzinfo=None))

    @property
    def gradebook(self) -> Path:
        """Where the marks are."""
        return self.folder / "gradebook.db"

    def hand_in(self, mix: Mix, count: int) -> None:
        """Lay down what the class handed in."""
        for index in range(count):
            made = mix.hand_in(index)
            target = self.folder / "submitted" / made.student / self.lab.name
            for path, content in made.files.items():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(content)
            stamp = received(mix, index).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
            (target / "timestamp.txt").write_text(stamp)

    def grade(self) -> Cost:
        """Grade them all."""
        return _measured(
            ["-m", "nbgrader", "autograde", self.lab.name], self.folder, self.folder, strict=False
        )


def _measured(arguments: list[str], home: Path, cwd: Path, *, strict: bool = True) -> Cost:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "USER": "bench",
        "JUPYTER_CONFIG_DIR": str(home / "none"), "PYTHONPATH": str(ROOT),
        **{name: os.environ[name] for name in ("DOCKER_HOST", "TMPDIR") if name in os.environ},
    }  # fmt: skip
    log = home / "log"
    with Meter() as meter, log.open("ab") as out:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=environment, stdout=out, stderr=out, check=False
        )
    if done.returncode and strict:
        say(log.read_text(errors="replace")[-3000:])
        raise SystemExit(f"{' '.join(arguments[1:4])} ended with {done.returncode}.")
    return meter.cost


def _figures(cost: Cost, count: int) -> dict[str, float]:
    return {
        "seconds": round(cost.seconds, 2),
        "submissions_per_minute": round(60 * count / cost.seconds, 1),
        "cpu_s_per_submission": round(cost.cpu_s / count, 3),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
    }


def measure(lab: Lab, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Grade one lab with both; returns what was measured and how many values differ."""
    count = options.submissions
    stock_count = min(count, options.stock if options.stock is not None else MOST_STOCK)
    ours = Ours(_made(folder / "ours"), lab, options.backend)
    mix = Mix(lab, ours.released, options.seed)
    say(f"{lab.name}: {count} submissions are handed in")
    ours.hand_in(mix, count)
    stock = Stock(_made(folder / "stock"), lab)
    stock.hand_in(mix, stock_count)
    say(f"{lab.name}: nbgrader autograde grades {stock_count}")
    stock_cost = stock.grade()
    found: dict[str, Any] = {
        "stock": {"submissions": stock_count} | _figures(stock_cost, stock_count), "ours": {},
    }  # fmt: skip
    say(f"{lab.name}: {found['stock']}")
    differ = 0
    for workers in options.workers:
        cost = ours.grade(workers)
        figures = _figures(cost, count)
        stock_rate = found["stock"]["submissions_per_minute"]
        figures["ratio_to_nbgrader"] = round(figures["submissions_per_minute"] / stock_rate, 2)
        found["ours"][str(workers)] = figures
        say(f"{lab.name}: ours with {workers} workers: {figures}")
        differ += _differ(mix, stock, ours, lab, stock_count)
    found["differences"] = differ
    found["graded"] = {
        "stock": graded_count(stock.gradebook, COURSE, lab.name),
        "ours": graded_count(ours.gradebook, COURSE, lab.name),
    }
    ours.store.close()
    return found


def _differ(mix: Mix, stock: Stock, ours: Ours, lab: Lab, count: int) -> int:
    students = [mix.student(index) for index in range(count)]
    found = list(differences(stock.gradebook, ours.gradebook, COURSE, lab.name, students))
    for difference in islice(found, SHOWN):
        index = students.index(difference.place[0])
        say(f"  {mix.hand_in(index).kind}: {difference}")
    return len(found)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading", description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=100, help="students, each with both assignments")
    parser.add_argument("--workers", default=str(len(os.sched_getaffinity(0))), help="such as 1,2")
    parser.add_argument("--backend", choices=["auto", "docker", "process"], default="auto")
    parser.add_argument("--stock", type=int, help=f"submissions that stock grades; {MOST_STOCK} at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.workers = [int(number) for number in str(options.workers).split(",")]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ict-bench-") as folder:
        labs = {lab.name: measure(lab, options, Path(folder) / lab.name) for lab in labs_to_grade()}
    best = [found["ours"][str(options.workers[-1])] for found in labs.values()]
    ours_s = sum(one["seconds"] for one in best)
    stock_s = sum(
        found["stock"]["seconds"] * options.submissions / found["stock"]["submissions"]
        for found in labs.values()
    )
    rate = 60 * options.submissions * len(labs) / ours_s
    print(
        json.dumps(
            {
                "benchmark": "grading",
                "submissions": options.submissions * len(labs),
                "submissions_per_minute": round(rate, 1),
                "ratio_to_nbgrader": round(stock_s / ours_s, 2),
                "identical": all(not found["differences"] for found in labs.values()),
                "cpu_s_per_submission": round(
                    sum(one["cpu_s_per_submission"] for one in best) / len(best), 3
                ),
                "peak_memory_mb": max(one["peak_memory_mb"] for one in best),
                "backend": choose() if options.backend == "auto" else options.backend,
                "cores": len(os.sched_getaffinity(0)),
                "workers": options.workers,
                "seed": options.seed,
                "labs": labs,
                "took_s": round(time.monotonic() - began, 1),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
