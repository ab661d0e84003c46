"""The folder of one run on the host: the jail's spec goes in, its report and output come back. Both backends use it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grader.ownership import site_gid, site_uid
from grader.sandbox.base import Command, Exit, Limits, SandboxError

JAIL = Path(__file__).with_name("jail.py")
ZYGOTE = Path(__file__).with_name("zygote.py")
INSIDE = tuple(Path(__file__).with_name(f"{name}.py") for name in ("jail", "zygote", "cells"))
HOME = "/home/student"
WORK = f"{HOME}/work"
REPORT_BYTES = 65536  # the jail writes two lines; nothing longer is read
OUTPUT_KB = 1024
PREFIX = "ict-run-"  # then the id of the process that it belongs to
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def jail_spec(command: Command, inside: dict[str, Any]) -> dict[str, Any]:
    """Translate a Command into the jail's spec. `inside`: what only the backend knows (paths, PATH, ids)."""
    limits = command.limits
    threads = str(max(1, int(limits.cpus)))
    env = {"PATH": inside.pop("path"), "PYTHONDONTWRITEBYTECODE": "1"}
    # numerical libraries would start a thread for every core of the host and so break `pids`
    env |= dict.fromkeys(THREADS, threads)
    return {
        "argv": list(command.argv),
        "env": env | dict(command.env),
        "uid": site_uid(),
        "gid": site_gid(),
        "home": HOME,
        "files": dict(command.files),
        "sockets": str(command.sockets) if command.sockets else None,
        "memory_mb": limits.memory_mb,
        "pids": limits.pids,
        "disk_mb": limits.disk_mb,
        "wall_s": limits.wall_s,
        "nested": limits.nested,
        "output_kb": OUTPUT_KB,
    } | inside


def zygote_spec(
    limits: Limits, preload: Sequence[str], socket: str, inside: dict[str, Any]
) -> dict[str, Any]:
    """Translate limits and modules into the zygote's spec. `inside`: what only the backend knows (path, ro, hide)."""
    threads = str(max(1, int(limits.cpus)))
    env = {"PATH": inside.pop("path"), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= dict.fromkeys(THREADS, threads)
    return {
        "socket": socket,
        "preload": list(preload),
        "env": env,
        "jail": {"env": env, "uid": site_uid(), "gid": site_gid(), "home": HOME} | inside,
    }


def sweep() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


class RunFolder:
    """Spec, report and output of one run, below a folder of 0700: nobody else on the host reads or writes them."""

    def __init__(self) -> None:
        self._closed = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        # In a container the jail's guard is root without its powers, so not the owner when we are not root: what
        # it is given is open to all, and the folder around it is not.
        self.path = self._closed / "run"
        self.path.mkdir()
        self.path.chmod(0o755)
        for name in ("report", "output"):
            (self.path / name).touch()
            (self.path / name).chmod(0o666)

    def write_spec(self, spec: dict[str, Any], seen_as: Path | None = None) -> Path:
        """Write the spec; `seen_as`: where the guard sees this folder. Returns the path of the spec there."""
        folder = seen_as or self.path
        full = spec | {"report": str(folder / "report"), "output": str(folder / "output")}
        (self.path / "spec.json").write_text(json.dumps(full), encoding="utf-8")
        (self.path / "spec.json").chmod(0o644)
        return folder / "spec.json"

    def lay(self, files: Sequence[Path]) -> list[Path]:
        """Copy files beside the folder that the run sees: the Engine binds what lies in TMPDIR.

        Where we run in a container ourselves, our own files are not on the Engine's machine.
        """
        copies = [Path(shutil.copyfile(file, self._closed / file.name)) for file in files]
        for copy in copies:
            copy.chmod(0o644)
        return copies

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines of the report."""
        with (self.path / "report").open("rb") as report:
            text = report.read(REPORT_BYTES).decode(errors="replace")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def await_start(self, ended: Callable[[], str | None], timeout_s: float = 60) -> None:
        """Wait until the walls stand. `ended`: what the guard said if it is gone, else None.

        Raises SandboxError with the jail's own reason.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            last_words = ended()
            lines = self.lines()
            if lines and "error" in lines[-1]:
                raise SandboxError(
                    f"the jail could not be built: {lines[-1]['error']} `ict doctor` says more."
                )
            if lines:
                return
            if last_words is not None:
                raise SandboxError(
                    f"the jail ended before it began: {last_words.strip() or 'it said nothing'}"
                )
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"the jail did not start within {timeout_s:.0f} s. The machine may be overloaded."
                )
            time.sleep(0.005)

    def exit(self) -> Exit | None:
        """Return how the run ended; None while the report does not say, or if the guard was killed first."""
        lines = self.lines()
        if not lines or "code" not in lines[-1]:
            return None
        return Exit(code=int(lines[-1]["code"]), reason=str(lines[-1]["reason"]))

    def output(self, limit_bytes: int) -> bytes:
        """Return the start of what the command printed."""
        with (self.path / "output").open("rb") as output:
            return output.read(limit_bytes)

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self._closed, ignore_errors=True)
