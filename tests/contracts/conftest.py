"""Every sandbox backend, and the jail as an ordinary user runs it, behind one fixture."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from grader.sandbox import BACKENDS, open_sandbox, runfolder
from grader.sandbox.base import KILLED, Command, Exit, Limits, Run, Sandbox
from grader.sandbox.process import ProcessRun, ProcessSandbox
from grader.sandbox.runfolder import JAIL, RunFolder, jail_spec

NOBODY_IN_PARTICULAR = 4321  # an id without an account
UNPRIVILEGED = "process-unprivileged"


class UnprivilegedSandbox(ProcessSandbox):
    """The process backend as a user without any power gets it: one mapped id, Debian's own Python."""

    def start(self, command: Command) -> Run:
        """Start the jail as that user, by way of a copy of what it may otherwise not read."""
        folder = RunFolder()
        subprocess.run(["cp", "-a", str(command.work), str(folder.path / "work")], check=True)
        shutil.copy(JAIL, folder.path / "jail.py")
        spec = jail_spec(command, {"path": "/usr/bin:/bin", "work": str(folder.path / "work")})
        spec_path = folder.write_spec(spec)
        owned = [
            folder.path.parent,
            *folder.path.parent.rglob("*"),
            *((command.sockets.parent, command.sockets) if command.sockets else ()),
        ]
        for path in owned:
            os.chown(path, NOBODY_IN_PARTICULAR, NOBODY_IN_PARTICULAR, follow_symlinks=False)
        guard = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-S", str(folder.path / "jail.py"), str(spec_path)],
            stderr=(folder.path / "guard").open("wb"),
            user=NOBODY_IN_PARTICULAR,
            group=NOBODY_IN_PARTICULAR,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
        )
        folder.await_start(lambda: None if guard.poll() is None else (folder.path / "guard").read_text())
        run = ProcessRun(guard, folder)
        self._runs.append(run)
        return run


@pytest.fixture(
    params=[
        *(pytest.param(n, marks=pytest.mark.docker) if n == "docker" else n for n in BACKENDS),
        UNPRIVILEGED,
    ]
)
def sandbox(request: pytest.FixtureRequest, missing: Callable[[str, str], None]) -> Iterator[Sandbox]:
    """An open sandbox of each backend; all its runs end with the test."""
    image = None
    if request.param == "docker":
        image = os.environ.get("ICTLABS_TEST_IMAGE") or request.getfixturevalue("base_image")
    if request.param == UNPRIVILEGED:
        if os.geteuid() != 0:
            pytest.skip("the tests do not run as root: the process backend is unprivileged already")
        opened: Sandbox = UnprivilegedSandbox()
    else:
        opened = open_sandbox(request.param, image=image)
    opened.label = request.param  # type: ignore[attr-defined]  # which of the three, for what differs by id map
    yield opened
    opened.close()


class Inside(Protocol):
    """Run Python code inside and wait for its end."""

    def __call__(self, code: str, **limits: float) -> tuple[Exit, str]:
        """Returns how it ended and what it printed. limits: fields of Limits that differ from `roomy`."""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder with one file in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


@pytest.fixture
def command(work: Path) -> Callable[..., Command]:
    """Make a Command for Python code with limits that ordinary work never meets."""

    def make(
        code: str, *, sockets: Path | None = None, env: dict[str, str] | None = None, **limits: float
    ) -> Command:
        roomy: dict[str, float] = {"memory_mb": 256, "pids": 64, "disk_mb": 32, "cpus": 1.0, "wall_s": 60}
        return Command(
            ["python3", "-c", code],
            work,
            Limits(**(roomy | limits)),
            sockets=sockets,
            env=env or {},  # type: ignore[arg-type]
        )

    return make


@pytest.fixture
def inside(sandbox: Sandbox, command: Callable[..., Command]) -> Inside:
    """Run code in the sandbox at hand, at most a minute and a half."""

    def run(code: str, **limits: float) -> tuple[Exit, str]:
        started = sandbox.start(command(code, **limits))
        ended = started.wait(90)
        if ended is None:
            started.kill()
        return ended or Exit(-1, "the test gave up waiting"), started.output(
            runfolder.OUTPUT_KB << 10
        ).decode()

    return run


@pytest.fixture
def processes_with() -> Callable[[str], list[int]]:
    """List the host's processes that have a word in their arguments."""

    def search(word: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if word.encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    return search


@pytest.fixture
def killed() -> Exit:
    """What a run that was killed from outside says."""
    return KILLED
