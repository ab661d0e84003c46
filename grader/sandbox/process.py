"""The inner wall alone: a jail on the host itself, for machines without a Docker Engine."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from grader.sandbox import jail
from grader.sandbox.base import KILLED, Command, Exit, Limits, Run, Sandbox, SandboxError
from grader.sandbox.kernels import Kernels, ZygoteProcess
from grader.sandbox.runfolder import JAIL, ZYGOTE, RunFolder, jail_spec, zygote_spec

OURS = ("hub", "grader", "labs")  # the trusted packages: labs/catalog holds solutions


def interpreter_places() -> list[str]:
    """Return the folders that make up this Python: environment, base interpreter, and the kit when it lies elsewhere.

    The base interpreter is found through the environment's link too, since the two may be written differently.
    """
    places = [sys.prefix, sys.base_prefix, str(Path(os.path.realpath(sys.executable)).parent.parent)]
    kit = importlib.util.find_spec("ictlab")  # finds it without running it
    for folder in (kit.submodule_search_locations or []) if kit else []:
        places.append(str(Path(folder).parent))
    wanted: list[str] = []
    for place in map(os.path.abspath, places):
        covered = any(
            place == other or place.startswith(other + "/") for other in [*jail.DEFAULT_RO, *wanted]
        )
        if not covered:
            wanted.append(place)
    return wanted


def hidden_places(shown: list[str]) -> list[str]:
    """Return the folders of our own packages that lie below a shown one (an install into the environment)."""
    found = []
    for name in OURS:
        package = importlib.util.find_spec(name)
        for folder in (package.submodule_search_locations or []) if package else []:
            if any(Path(folder).is_relative_to(place) for place in shown):
                found.append(folder)
    return found


def inside_path() -> str:
    """Return the PATH inside: `python3` is this environment's own."""
    return f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class ProcessRun(Run):
    """A jail that is a child of this process."""

    def __init__(self, guard: subprocess.Popen[bytes], folder: RunFolder) -> None:
        self.guard, self.folder = guard, folder
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """Say how it ended, or None."""
        if self._exit is None and self.guard.poll() is not None:
            self._exit = self.folder.exit() or KILLED
        return self._exit

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.guard.wait(timeout_s)
        return self.poll()

    def kill(self) -> None:
        """End it: SIGTERM lets the guard see the whole namespace dead before it goes."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.poll() is not None:
                return
            self.guard.send_signal(number)
            self.wait(5)

    def interrupt(self) -> None:
        """Hand SIGINT to the command, through the guard."""
        if self.poll() is None:
            self.guard.send_signal(signal.SIGINT)

    def output(self, limit_bytes: int = 65536) -> bytes:
        """Return the start of what it printed."""
        return self.folder.output(limit_bytes)


class ChildZygote(ZygoteProcess):
    """A zygote that is a child of this process."""

    def __init__(self, folder: RunFolder, spec: Path) -> None:
        self.folder = folder
        with (folder.path / "output").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(ZYGOTE), str(spec)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )

    def last_words(self) -> str | None:
        """Say what it printed if it is gone, else None."""
        if self.process.poll() is None:
            return None
        with contextlib.suppress(FileNotFoundError):  # removed by `kill`
            if said := self.folder.output(4000).decode(errors="replace"):
                return said
        return f"exit code {self.process.returncode}"

    def kill(self) -> None:
        """End it; its kernels' guards see that and end too."""
        self.process.kill()
        self.process.wait()
        self.folder.remove()


class ProcessSandbox(Sandbox):
    """Jails on the host: the environment inside is the Python that runs this."""

    name = "process"

    def __init__(self) -> None:
        self._runs: list[ProcessRun] = []

    def start(self, command: Command) -> Run:
        """Start `command` in a jail of its own."""
        shown = [*jail.DEFAULT_RO, *interpreter_places()]
        inside = {
            "path": inside_path(),
            "ro": shown,
            "hide": hidden_places(shown),
            "work": os.path.realpath(command.work),
        }
        folder = RunFolder()
        spec = folder.write_spec(jail_spec(command, inside))
        try:
            with (folder.path / "guard").open("wb") as last_words:
                guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(JAIL), str(spec)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=last_words,
                    env={"PATH": os.defpath},
                    cwd="/",
                    start_new_session=True,  # Ctrl-C at a terminal is for us to handle
                )
        except OSError as error:
            folder.remove()
            raise SandboxError(f"{JAIL}: {error.strerror}. Mend the installation.") from error
        run = ProcessRun(guard, folder)
        self._runs.append(run)  # ended ones too: their output may still be asked for

        def ended() -> str | None:
            if guard.poll() is None:
                return None
            return (folder.path / "guard").read_text(errors="replace") or f"exit code {guard.returncode}"

        try:
            folder.await_start(ended)
        except SandboxError:
            run.kill()
            folder.remove()
            raise
        return run

    def kernels(
        self, limits: Limits, *, preload: Sequence[str] = (), slots: int = 1, fork: bool = True
    ) -> Kernels:
        """Fork kernels from a zygote that is a child of this process."""

        def launch(modules: Sequence[str]) -> tuple[ZygoteProcess, str]:
            shown = [*jail.DEFAULT_RO, *interpreter_places()]
            inside = {"path": inside_path(), "ro": shown, "hide": hidden_places(shown)}
            folder = RunFolder()
            path = str(folder.path / "zygote")
            spec = folder.write_spec(zygote_spec(limits, modules, path, inside))
            return ChildZygote(folder, spec), path

        return Kernels(launch, limits, preload, fork)

    def close(self) -> None:
        """End every run."""
        for run in self._runs:
            run.kill()
            run.folder.remove()
        self._runs.clear()


@functools.cache
def available() -> str:
    """Return "" if jails work here, else what is in the way."""
    started = time.monotonic()
    try:
        found = jail.probe()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the trial jail failed after {time.monotonic() - started:.0f} s: {error}"
    return "" if found["works"] else str(found["why"])
