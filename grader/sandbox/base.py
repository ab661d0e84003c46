"""What every sandbox owes: run one command of a submission inside walls, and say how it ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from grader.settings import SandboxSettings

if TYPE_CHECKING:  # kernels.py builds on this file
    from grader.sandbox.kernels import Kernels


START_S = 60  # to start Python, on a busy machine too; not the submission's time


class SandboxError(Exception):
    """The walls could not be set up: a fault of ours, which never costs marks."""


@dataclass(frozen=True)
class Limits:
    """What one run may use at most. nested: it may make namespaces of its own, for networks."""

    memory_mb: int
    pids: int
    disk_mb: int
    cpus: float
    wall_s: float
    nested: bool = False

    @classmethod
    def of(cls, settings: SandboxSettings, *, nested: bool = False) -> Self:
        """Return the limits that `settings` give to one notebook."""
        return cls(
            memory_mb=settings.memory_mb,
            pids=max(settings.pids, settings.nested_pids) if nested else settings.pids,
            disk_mb=settings.disk_mb,
            cpus=settings.cpus,
            wall_s=settings.total_timeout_s + START_S,
            nested=nested,
        )


@dataclass(frozen=True)
class Command:
    """One command to run inside the walls.

    argv: as seen inside. `python3` is the environment's own interpreter.
    work: host folder whose content is copied to the run's working folder; nothing is written back to it.
    sockets: host folder (empty, of this run alone, the site user's) that is shared with the inside at the same
        path, for the kernel's five ipc sockets; None for a plain command. Once they are there it is made
        read-only inside and a file `sealed` appears in it: until then nothing of the submission may run.
    files: text files to lay inside, by absolute path in one of its writable folders.
    """

    argv: Sequence[str]
    work: Path
    limits: Limits
    sockets: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """How a run ended. reason: exited | killed | memory | time | pids | disk.

    memory, time, pids: that limit was broken and everything was killed. disk: it ended with an error and its
    disk was full. killed: by a signal, from us or from itself; `code` is then 128 + the signal.
    """

    code: int
    reason: str


KILLED = Exit(137, "killed")  # by SIGKILL, before anything could be said


class Run(ABC):
    """A command that is running inside the walls."""

    @abstractmethod
    def poll(self) -> Exit | None:
        """Say how it ended, or None while it runs."""

    @abstractmethod
    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end, at most `timeout_s`; None if it still runs."""

    @abstractmethod
    def kill(self) -> None:
        """End it and everything it started, at once. Safe to call again."""

    @abstractmethod
    def interrupt(self) -> None:
        """Send SIGINT to the command itself."""

    @abstractmethod
    def output(self, limit_bytes: int = 65536) -> bytes:
        """The first `limit_bytes` of what it printed."""


class Sandbox(ABC):
    """A place where untrusted code runs. One file each in this folder; tests/contracts tries them all."""

    name: str

    @abstractmethod
    def start(self, command: Command) -> Run:
        """Start `command`. Raises SandboxError if the walls cannot be set up."""

    @abstractmethod
    def kernels(
        self, limits: Limits, *, preload: Sequence[str] = (), slots: int = 1, fork: bool = True
    ) -> Kernels:
        """Return a source of kernels, each in a jail of its own with these `limits`; the caller closes it.

        preload: modules that kernels find loaded. slots: how many kernels run at once, for the outer wall's limits.
        fork: see Kernels.
        """

    @abstractmethod
    def close(self) -> None:
        """End every run and free what is held."""
