"""Starts one fresh kernel in a sandbox for the engine, and knows how it ended."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from grader.sandbox.base import Limits, Sandbox
from grader.sandbox.provisioner import SandboxProvisioner
from grader.settings import SandboxSettings

START_S = 60  # to start Python, on a busy machine too; not the submission's time


class _Manager(AsyncKernelManager):
    """A manager whose kernelspec is ours, whatever is installed on the machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )


class SandboxKernel:
    """One kernel, ended with everything it started when the `with` block is left."""

    def __init__(self, sandbox: Sandbox, work: Path, settings: SandboxSettings) -> None:
        self.sandbox = sandbox
        self.work = work
        self.limits = Limits(
            memory_mb=settings.memory_mb,
            pids=settings.pids,
            disk_mb=settings.disk_mb,
            cpus=settings.cpus,
            wall_s=settings.total_timeout_s + START_S,
        )
        self.provisioner: SandboxProvisioner | None = None

    def __enter__(self) -> Self:
        # ipc paths hold about 100 characters, so not below the data folder
        self._sockets = tempfile.TemporaryDirectory(prefix="ict-k-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.provisioner is not None and self.provisioner.run is not None:
            self.provisioner.run.kill()
        self._sockets.cleanup()

    def manager(self) -> AsyncKernelManager:
        """Make the manager; the kernel starts when nbclient asks for it."""
        manager = _Manager(client_class="grader.engine.execute.BoundedClient")
        self.provisioner = SandboxProvisioner(parent=manager, kernel_id="grading")
        self.provisioner.sandbox = self.sandbox
        self.provisioner.work = self.work
        self.provisioner.sockets = Path(self._sockets.name)
        self.provisioner.limits = self.limits
        self.provisioner.env = {"NBGRADER_EXECUTION": "autograde"}
        manager.provisioner = self.provisioner
        return manager

    def how_it_ended(self) -> str:
        """The sandbox's reason (base.Exit.reason), or "running"."""
        run = self.provisioner.run if self.provisioner is not None else None
        end = run.wait(timeout_s=2) if run is not None else None
        return end.reason if end is not None else "running"
