"""Grading that the portal starts: a process of its own for each job, and what is said when one dies."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from grader.models import Job
from grader.settings import Places
from grader.store import Store
from hub.settings import Settings

UNDER_WAY = ("waiting", "running")
_GRACE = timedelta(seconds=60)  # until a job that somebody else recorded must have begun
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
        self._lock = threading.Lock()  # two presses at once start one job

    def grade(self, course: str, lab: str, by: str) -> Job:
        """Start to grade a lab, or share the job that does it already."""
        with self._lock:
            for job in self.history(course, lab):
                if job.state in UNDER_WAY:
                    return job
            job = self._store.create_job(course, lab, by)
            try:
                self._children[job.id] = self._spawn(job)
            except OSError as error:
                message = f"Grading could not be started: {error.strerror}. Tell the operator."
                return self._store.finish_job(job.id, failed=True, message=message)
        return job

    def history(self, course: str, lab: str | None = None) -> list[Job]:
        """Jobs, newest first; those whose process is gone are said to have failed."""
        return [self._checked(job) for job in self._store.jobs(course, lab)]

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
        now = self._store.job(job.id)  # it may have ended while we looked
        if now.state not in UNDER_WAY:
            return now
        message = f"Grading stopped without saying why; {self.log(job).name} may. Grade again: what is graded stays."
        return self._store.finish_job(job.id, failed=True, message=message)

    def _lives(self, job: Job) -> bool:
        child = self._children.get(job.id)
        if child is not None:
            if child.poll() is None:
                return True
            del self._children[job.id]
            return False
        if job.state == "waiting" and datetime.now(UTC) - job.created_at < _GRACE:
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
