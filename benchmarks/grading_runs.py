"""The two ways to grade a class: stock nbgrader in a course folder, and `ict grade` on a site of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy import func, select

from benchmarks.grading_meter import Cost, Meter
from grader.archives import pack
from grader.coursefolder import create_course_folder
from grader.models import Report
from grader.release import release_lab
from grader.settings import Places
from grader.store import MemberRow, Store
from labs import build
from labs.model import Lab

COURSE = "ict101"
ROOT = Path(__file__).resolve().parent.parent
STOP_S = 60  # for a grader that was asked to stop, to take its containers and kernels with it


class RunError(Exception):
    """One of the two could not grade at all; the message has what it wrote last."""


@dataclass(frozen=True)
class OurRun:
    """What a run of ours cost, and its parts in seconds, which add up to the whole."""

    cost: Cost
    parts: Mapping[str, float]
    gradebook: Path


def run(command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path) -> int:
    """Run a command to its end, its words in `log`. Interrupted, it takes the command with it."""
    with log.open("ab") as words:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return process.wait()
    except BaseException:
        for sign in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
                break
        raise


def _checked(command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path) -> None:
    if code := run(command, folder, env, log):
        raise RunError(f"`{' '.join(command)}` ended with {code}:\n{tail(log)}")


def tail(log: Path, characters: int = 3000) -> str:
    """Read the last words of a log."""
    return log.read_text(errors="replace")[-characters:]


class StockCourse:
    """A course folder that only nbgrader's own commands have touched."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder = folder
        self.lab = lab
        self.gradebook = folder / "gradebook.db"
        self.log = folder / "nbgrader.log"
        source = folder / "source" / lab.name
        source.parent.mkdir(parents=True)
        config = ["c = get_config()", f"c.CourseDirectory.course_id = {COURSE!r}"]
        if lab.format == "nbgrader":
            shutil.copytree(lab.folder, source)
        else:
            build.write_source(lab, source)
            config.append(f"c.ClearSolutions.code_stub = {build.CODE_STUB!r}")
        (folder / "nbgrader_config.py").write_text("\n".join(config) + "\n")
        _checked(self._command("generate_assignment"), folder, self._environment(), self.log)

    def _command(self, step: str) -> list[str]:
        url = f"sqlite:///{self.gradebook}"
        return [sys.executable, "-m", "nbgrader", step, self.lab.name, "--db", url]

    def _environment(self) -> dict[str, str]:
        """Nothing of this machine's Jupyter settings, so that it is stock."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "USER": "teacher",
            "LANG": "C.UTF-8",
            "JUPYTER_CONFIG_DIR": str(self.folder / "none"),
        }

    def released(self) -> dict[str, bytes]:
        """The files that students fetch."""
        folder = self.folder / "release" / self.lab.name
        return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def hand_in(self, student: str, files: Mapping[str, bytes], received_at: datetime) -> None:
        """Put files where `nbgrader collect` would."""
        folder = self.folder / "submitted" / student / self.lab.name
        folder.mkdir(parents=True)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        (folder / "timestamp.txt").write_text(received_at.strftime("%Y-%m-%d %H:%M:%S.%f UTC"))

    def set_due(self, due_at: datetime) -> None:
        """Set the due time, as Formgrader does."""
        with Gradebook(f"sqlite:///{self.gradebook}", COURSE) as gradebook:
            gradebook.update_or_create_assignment(
                self.lab.name, duedate=due_at.astimezone(UTC).replace(tzinfo=None)
            )

    def grade(self) -> tuple[Cost, int]:
        """Run `nbgrader autograde`; returns its cost and exit code: one bad submission ends it with another than 0."""
        with Meter() as meter:
            code = run(self._command("autograde"), self.folder, self._environment(), self.log)
        return meter.cost, code


class OurSite:
    """A site without a hub: a data folder with the lab released and handed in, graded in copies of it."""

    def __init__(self, folder: Path, lab: Lab, backend: str) -> None:
        self.folder = folder
        self.lab = lab
        self.backend = backend
        self.template = folder / "template"
        self.template.mkdir(parents=True)
        self.places = self._write_settings(self.template)
        self.store = Store.open(self.places.store_url, self.places)
        self.store.create_course(COURSE)
        create_course_folder(self.places, COURSE)
        self._release(None)

    def _write_settings(self, folder: Path) -> Places:
        (folder / "ictlabs.toml").write_text(
            f'[site]\ndata_dir = "var"\n[grader.sandbox]\nbackend = "{self.backend}"\n'
        )
        return Places(data=folder / "var")

    def _release(self, due_at: datetime | None) -> None:
        release_lab(self.store, self.places, self.lab, COURSE, by="teacher", due_at=due_at)

    def released(self) -> dict[str, bytes]:
        """The files that students fetch."""
        folder = self.places.course(COURSE) / "release" / self.lab.name
        return {
            str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()
        }

    def hand_in(self, student: str, files: Mapping[str, bytes]) -> datetime:
        """Enrol a student and hand in; returns the moment on the receipt."""
        self.store.enrol(COURSE, [MemberRow(student)])
        return self.store.submit(COURSE, self.lab.name, student, pack(files)).received_at

    def set_due(self, due_at: datetime) -> None:
        """Set the due time, as an instructor does: by releasing again."""
        self._release(due_at)

    def close(self) -> None:
        """Say that everybody has handed in."""
        self.store.close()

    def grade(self, workers: int) -> OurRun:
        """Run `ict grade` on a fresh copy of the site, from a cold start to its end."""
        folder = self.folder / f"workers-{workers}"
        shutil.copytree(self.template, folder)
        log, settings = folder / "grade.log", str(folder / "ictlabs.toml")
        command = [sys.executable, "-m", "hub.cli", "--settings", settings, "grade", COURSE, self.lab.name]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        began = datetime.now(UTC)
        with Meter() as meter:
            code = run([*command, "--jobs", str(workers)], folder, env, log)
        if code not in (0, 1):  # 1: some were not graded, which the comparison shows
            raise RunError(f"`ict grade` ended with {code}:\n{tail(log)}")
        places = Places(data=folder / "var")
        return OurRun(
            meter.cost,
            self._parts(places, began, meter.cost.seconds),
            places.course(COURSE) / "gradebook.db",
        )

    def _parts(self, places: Places, began: datetime, seconds: float) -> dict[str, float]:
        """Split a run at what the record says of it: job recorded, first report, last report."""
        store = Store.open(places.store_url, places)
        try:
            recorded = store.jobs(COURSE, self.lab.name)[0].created_at
            with store.engine.connect() as connection:
                first, last = connection.execute(
                    select(func.min(Report.graded_at), func.max(Report.graded_at))
                ).one()
        finally:
            store.close()
        moments = [
            0.0,
            *((at - began).total_seconds() for at in (recorded, first or recorded, last or recorded)),
            seconds,
        ]
        names = ("start", "first_report", "reports", "end")
        pairs = itertools.pairwise(moments)
        return {name: round(after - before, 2) for name, (before, after) in zip(names, pairs, strict=True)}


def same_release(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Name what is not the same in two releases: files, cells' text, or nbgrader's metadata with its checksum."""
    wrong = sorted(set(one) ^ set(other))
    for path in sorted(set(one) & set(other)):
        if path.endswith(".ipynb"):
            cells = [json.loads(files[path])["cells"] for files in (one, other)]
            kept = [
                [("".join(c["source"]), c["cell_type"], c["metadata"].get("nbgrader")) for c in notebook]
                for notebook in cells
            ]
            if kept[0] != kept[1]:
                wrong.append(path)
        elif one[path] != other[path]:
            wrong.append(path)
    return wrong
