"""Every knob of the grader: limits on what students send, and walls around what they run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Closed(BaseModel):
    """A settings table: frozen, and an unknown key is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExchangeSettings(Closed):
    """What a submission may be at most. Larger ones get a 413 that names the limit."""

    max_archive_mb: int = Field(default=20, gt=0, description="Size of one submission as sent, in MB.")
    max_unpacked_mb: int = Field(default=60, gt=0, description="Size of its files when unpacked, in MB.")
    max_files: int = Field(default=200, gt=0, description="Files in one submission.")
    max_path_chars: int = Field(default=200, gt=0, description="Length of a file's path in a submission.")
    max_per_hour: int = Field(
        default=60, gt=0, description="Submissions a student may make for one lab in an hour."
    )


class SandboxSettings(Closed):
    """Walls around a submission while it is graded."""

    backend: Literal["auto", "docker", "process"] = Field(
        default="auto",
        description="Outer wall: a container (docker) or none (process); auto asks the machine.",
    )
    memory_mb: int = Field(default=512, gt=0, description="Memory of one submission, in MiB.")
    cpus: float = Field(default=1.0, gt=0, description="CPU cores of one submission.")
    pids: int = Field(default=128, gt=0, description="Processes and threads of one submission.")
    nested_pids: int = Field(
        default=512,
        gt=0,
        description="The same for labs with networks of their own: a router is ten of them.",
    )
    disk_mb: int = Field(default=128, gt=0, description="Files one submission may write, in MiB.")
    cell_timeout_s: int = Field(default=30, gt=0, description="Time for one cell, in seconds.")
    total_timeout_s: int = Field(default=300, gt=0, description="Time for a whole notebook, in seconds.")
    max_output_kb: int = Field(default=1024, gt=0, description="Output kept of one notebook, in KiB.")
    max_notebook_mb: int = Field(default=10, gt=0, description="Largest notebook that is read, in MB.")
    max_cells: int = Field(default=1000, gt=0, description="Most cells a notebook may have.")

    def for_cells_of(self, seconds: int) -> Self:
        """The same, with at least `seconds` for a cell, and for the whole notebook as many times more."""
        factor = max(1.0, seconds / self.cell_timeout_s)
        longer = {
            "cell_timeout_s": round(self.cell_timeout_s * factor),
            "total_timeout_s": round(self.total_timeout_s * factor),
        }
        return self.model_copy(update=longer)

    def with_room(self, memory_mb: int, cpus: float) -> Self:
        """The same, with at least so much memory (MiB) and so many cores for a submission."""
        wider = {"memory_mb": max(self.memory_mb, memory_mb), "cpus": max(self.cpus, cpus)}
        return self.model_copy(update=wider)


class GraderSettings(Closed):
    """The [grader] table."""

    workers: int = Field(
        default=0, ge=0, description="Worker processes of a job on this machine; 0 is one for each core."
    )
    slots: int = Field(default=3, gt=0, description="Submissions that one worker grades at once.")
    scheduler: str = Field(
        default="",
        pattern=r"^((tcp|tls)://\S+)?$",
        description="Dask scheduler whose workers grade, such as tls://10.0.0.5:8786; empty: workers of our own.",
    )
    tls_ca: str = Field(
        default="",
        description="For tls://: file with the certificate authority; these three are relative to ictlabs.toml.",
    )
    tls_cert: str = Field(default="", description="For tls://: file with this machine's certificate.")
    tls_key: str = Field(default="", description="For tls://: file with its key.")

    exchange: ExchangeSettings = ExchangeSettings()
    sandbox: SandboxSettings = SandboxSettings()

    def read_in(self, folder: Path) -> Self:
        """The same, with files that are named from `folder`, where the settings were read."""
        names = ("tls_ca", "tls_cert", "tls_key")
        return self.model_copy(
            update={name: str(folder / file) for name in names if (file := getattr(self, name))}
        )


class Places(Closed):
    """Where things are kept on the server. Everything lives under one folder."""

    data: Path

    @property
    def store_url(self) -> str:
        """The record when no database URL is set."""
        return f"sqlite:///{self.data / 'ictlabs.sqlite'}"

    @property
    def blobs(self) -> Path:
        """Content-addressed bytes of releases, submissions and feedback."""
        return self.data / "blobs"

    @property
    def secrets(self) -> Path:
        """Keys and tokens, one file each, 0600 in a folder of 0700."""
        return self.data / "secrets"

    @property
    def homes(self) -> Path:
        """One home folder a person."""
        return self.data / "homes"

    @property
    def run(self) -> Path:
        """Sockets, pid files and the proxy's routes; worthless after a stop."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """What the services wrote."""
        return self.data / "logs"

    def course(self, course: str) -> Path:
        """The nbgrader course folder of `course`: source, release, submitted, autograded, gradebook.db."""
        return self.data / "courses" / course
