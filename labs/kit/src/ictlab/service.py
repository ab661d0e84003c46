"""Servers as your own processes: databases, brokers, web servers, on this machine and for as long as the notebook runs.

    from ictlab.service import Service, free_port

    port = free_port()
    store = Service("store", ["redis-server", "--port", str(port), "--save", ""], port=port)
    store.start()
    print(store.log())
    store.stop()

A service ends with the notebook's kernel, however that ends. The same name again ends the old one. Each has a folder
of its own, `service.folder`, which goes when it does.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

START_S = 20.0  # for a service to answer, on a busy machine
STOP_S = 5.0  # from the polite signal to the other one
LONGEST_LOG = 100_000  # characters of a log that are shown
_open: dict[str, Service] = {}  # by name: the same name again means a fresh start


class ServiceError(Exception):
    """A service does not start or has ended; the message has its last words."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """One server. `running` tells whether it is."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        port: int | None = None,
        ready: Callable[[], object] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Nothing is started yet.

        command: the program and its arguments; it must stay in the foreground. port: TCP port on 127.0.0.1 that
        answers when it has started. ready: asked instead of a port; true, and no error, when it has started.
        """
        if name in _open:
            _open.pop(name).close()
        self.name = name
        self.command = [str(word) for word in command]
        self.port = port
        self.environment = environment or {}
        self.folder = Path(tempfile.mkdtemp(prefix=f"ictlab-{name}-"))
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        _open[name] = self

    def __repr__(self) -> str:
        where = f" on port {self.port}" if self.port else ""
        return f"{self.name}{where}: {'running' if self.running else 'stopped'}"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The number of its process, while it is running."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServiceError with what it said if it does not."""
        if self.running:
            return
        with self._log_file.open("ab") as log:
            try:
                # ends it when we end, however we end; in a session of its own, ^C in a notebook does not reach it
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                    env={**os.environ, **self.environment},
                )  # fmt: skip
            except OSError as error:
                raise ServiceError(f"{self.name}: {error}") from error
        deadline = time.monotonic() + START_S
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                what = "does not answer" if self.running else f"ended with status {self._process.poll()}"
                self.stop()
                raise ServiceError(f"{self.name}: {what}. It said:\n{self.log(20).rstrip() or '(nothing)'}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it and what it started: politely, and after a while for sure."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have it read its configuration again (SIGHUP, which most servers understand so)."""
        if not self.running or self._process is None:
            raise ServiceError(f"{self.name}: it is not running. Start it first.")
        self._process.send_signal(signal.SIGHUP)

    def log(self, lines: int | None = None) -> str:
        """What it printed, or the last `lines` of it."""
        if not self._log_file.exists():
            return ""
        text = self._log_file.read_text(errors="replace")[-LONGEST_LOG:]
        return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:])

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        if os.getpid() == self._owner:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _log_file(self) -> Path:
        return self.folder / "log"

    def _answers(self) -> bool:
        if not self.running:
            return False
        if self._ready is not None:
            try:
                return bool(self._ready())
            except Exception:  # not yet, whatever it says
                return False
        if self.port is None:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@atexit.register
def _end_all() -> None:
    for service in list(_open.values()):
        service.close()
