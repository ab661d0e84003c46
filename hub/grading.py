"""`python -m hub.grading`: starts the grading jobs that the record has open, a process of its own for each.

The hub keeps it up beside the portal, which only writes down what is asked for: whoever starts grading holds the Docker
socket, and the portal, which reads what students send, shall not.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from grader.joblog import OPEN
from grader.models import Job
from grader.settings import Places
from grader.store import Store
from hub.settings import Settings, SettingsError, load_settings
from hub.site import is_held

log = logging.getLogger("ictlabs.grading")

MOST_STARTS = 3  # of one job, when its process dies without a word
LOOK_S = 0.25  # an instructor waits for it
_WATCHED_S = 60.0
# Everything else stays out of the grading process, the token that the hub gives to its services above all.
_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH",
    "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR", "ICTLABS_SETTINGS",
)  # fmt: skip


class Grading:
    """The processes that grade."""

    def __init__(self, store: Store, settings: Settings, command: tuple[str, ...] = ()) -> None:
        """`command` starts `ict`; by default this environment's own."""
        self._store = store
        self._places: Places = settings.places
        self._folder = settings.root
        self._command = command or (sys.executable, "-m", "hub.cli")
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._begun_here: dict[int, int] = {}

    def watch(self) -> None:
        """Start what is asked for, and go on with every job whose process is gone; for ever."""
        while True:
            try:
                self.look()
            except (
                Exception
            ):  # a record that does not answer: the next look does better, and nothing may end the watch
                log.exception("looking after grading jobs")
                time.sleep(5)
            time.sleep(LOOK_S)

    def look(self) -> None:
        """Look once after all open jobs, and say that somebody does."""
        for job in reversed(self._store.jobs(only_open=True)):
            self._look_after(job)
        mark = _mark(self._places)
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.touch()

    def log(self, job: Job) -> Path:
        """Where a job's process writes."""
        return self._places.logs / f"grade-{job.course}-{job.lab}.log"

    def _look_after(self, job: Job) -> None:
        if self._lives(job):
            return
        job = self._store.job(job.id)  # it may have ended while we looked
        if job.state not in OPEN:
            return
        begun = max(job.starts, self._begun_here.get(job.id, 0))
        if job.cancel_requested_at is not None:
            self._store.finish_job(job.id, "cancelled", "Cancelled.")
        elif begun >= MOST_STARTS:
            message = f"Grading stopped {MOST_STARTS} times without saying why; {self.log(job).name} may. Grade again: what is graded stays."
            log.error("job %s: %s", job.id, message)
            self._store.finish_job(job.id, "failed", message)
        else:
            if begun:
                log.warning("job %s of %s has no process any more; starting it again", job.id, job.lab)
            self._begin(job)

    def _begin(self, job: Job) -> None:
        self._begun_here[job.id] = self._begun_here.get(job.id, 0) + 1
        try:
            self._children[job.id] = self._spawn(job)
        except OSError as error:
            message = f"Grading could not be started: {error.strerror}. Tell the operator."
            self._store.finish_job(job.id, "failed", message)

    def _spawn(self, job: Job) -> subprocess.Popen[bytes]:
        settings = os.environ.get("ICTLABS_SETTINGS")
        named = ("--settings", str(Path(settings).absolute())) if settings else ()
        self._places.logs.mkdir(parents=True, exist_ok=True)
        with self.log(job).open("ab") as log:
            log.write(f"--- job {job.id}, asked for by {job.requested_by}\n".encode())
            log.flush()
            return subprocess.Popen(
                [*self._command, *named, "grade", "--job", str(job.id), "--", job.course, job.lab],
                cwd=self._folder,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a restart of the hub does not stop it
            )

    def _lives(self, job: Job) -> bool:
        child = self._children.get(job.id)
        if child is not None:
            if child.poll() is None:
                return True
            del self._children[job.id]
        # the lock under which some other process grades the lab: see grader.pipeline
        return is_held(self._places.run / f"grading-{job.course}-{job.lab}.lock")


def is_watched(places: Places) -> bool:
    """Whether somebody has looked after grading jobs lately."""
    try:
        # abs: a clock that was set back must not make an old look a fresh one for hours
        return abs(time.time() - _mark(places).stat().st_mtime) < _WATCHED_S
    except FileNotFoundError:
        return False


def _mark(places: Places) -> Path:
    return places.run / "grading.looked"


def main() -> int:
    """Look after jobs until told to stop. Exit code 2 when the settings are not right."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    Grading(Store.open(settings.database_url, settings.places), settings).watch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
