"""Grading that the portal starts: a process of its own for each job, started again when it dies."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from grader.models import Job
from grader.settings import Places
from grader.store import Store
from hub.settings import Settings

log = logging.getLogger("ictlabs.jobs")

UNDER_WAY = ("waiting", "running")
MOST_STARTS = 3  # of one job, when its process dies without a word
_GRACE = timedelta(seconds=60)  # until a job that somebody else recorded must have begun
_LOOK_S = 5.0
_WATCHED_S = 60.0
# Everything else stays out of the grading process, the portal's hub token above all.
_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH",
    "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR", "ICTLABS_SETTINGS", "ICTLABS_MODE",
)  # fmt: skip


class Jobs:
    """Starts grading jobs and keeps an eye on them."""

    def __init__(self, store: Store, settings: Settings, command: tuple[str, ...] = ()) -> None:
        """`command` starts `ict`; by default this environment's own."""
        self._store = store
        self._places: Places = settings.places
        self._folder = settings.root
        self._command = command or (sys.executable, "-m", "hub.cli")
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._begun_here: dict[int, int] = {}
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()  # two presses at once start one job

    def grade(
        self, course: str, lab: str, by: str, students: Collection[str] = (), *, regrade: bool = False
    ) -> Job:
        """Start to grade a lab, or share the job that does it already. students: empty for everybody."""
        with self._lock:
            job, new = self._store.open_job(course, lab, by, students=students, regrade=regrade)
            if new:
                return self._begun(job)
            return job if self._lives(job) else self._begun_again(job)

    def retry(self, job_id: int, by: str) -> Job:
        """Grade again what a job left."""
        with self._lock:
            job = self._store.retry_job(job_id, by)
            return job if job.starts and self._lives(job) else self._begun(job)

    async def watch(self) -> None:
        """Go on with every job whose process is gone, as after a restart of the machine; until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.under_way)
                self._looked_at = time.monotonic()
            except (
                Exception
            ):  # a record that does not answer: the next look does better, and nothing may end the watch
                log.exception("looking after grading jobs")
            await asyncio.sleep(_LOOK_S)

    def is_watched(self) -> bool:
        """Whether `watch` has looked lately."""
        return time.monotonic() - self._looked_at < _WATCHED_S

    def under_way(self) -> list[Job]:
        """Open jobs of all courses, newest first."""
        return [self._checked(job) for job in self._store.jobs(only_open=True)]

    def history(self, course: str, lab: str | None = None) -> list[Job]:
        """Jobs, newest first; those whose process is gone are started again."""
        return [self._checked(job) for job in self._store.jobs(course, lab)]

    def newest(self, course: str) -> dict[str, Job]:
        """The newest job of each lab, by lab; one whose process is gone is started again."""
        return {job.lab: self._checked(job) for job in self._store.newest_jobs(course)}

    def _begun_again(self, job: Job) -> Job:
        log.warning("job %s of %s has no process any more; starting it again", job.id, job.lab)
        return self._begun(job)

    def _begun(self, job: Job) -> Job:
        self._begun_here[job.id] = self._begun_here.get(job.id, 0) + 1
        try:
            self._children[job.id] = self._spawn(job)
        except OSError as error:
            message = f"Grading could not be started: {error.strerror}. Tell the operator."
            return self._store.finish_job(job.id, "failed", message)
        return job

    def log(self, job: Job) -> Path:
        """Where a job's process writes."""
        return self._places.logs / f"grade-{job.course}-{job.lab}.log"

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
                start_new_session=True,  # a restart of the portal does not stop it
            )

    def _checked(self, job: Job) -> Job:
        if job.state not in UNDER_WAY or self._lives(job):
            return job
        with self._lock:
            now = self._store.job(job.id)  # it may have ended while we looked
            if now.state not in UNDER_WAY or self._lives(now):
                return now
            if now.cancel_requested_at is not None:
                return self._store.finish_job(job.id, "cancelled", "Cancelled.")
            if max(now.starts, self._begun_here.get(job.id, 0)) >= MOST_STARTS:
                message = f"Grading stopped {MOST_STARTS} times without saying why; {self.log(job).name} may. Grade again: what is graded stays."
                log.error("job %s: %s", job.id, message)
                return self._store.finish_job(job.id, "failed", message)
            return self._begun_again(now)

    def _lives(self, job: Job) -> bool:
        child = self._children.get(job.id)
        if child is not None:
            if child.poll() is None:
                return True
            self._children.pop(job.id, None)  # another thread may have looked too
            return False
        # abs: a clock that was set back must not make a job fresh for hours
        fresh = job.state == "waiting" and abs(datetime.now(UTC) - job.created_at) < _GRACE
        if fresh and job.id not in self._begun_here:
            return True
        return self._is_graded_now(job)

    def _is_graded_now(self, job: Job) -> bool:
        """Whether some process holds the lock under which a lab is graded (see grader.pipeline)."""
        try:
            with (self._places.run / f"grading-{job.course}-{job.lab}.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
