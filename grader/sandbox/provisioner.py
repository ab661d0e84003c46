"""Starts a Jupyter kernel in a sandbox: what jupyter_client calls a kernel provisioner, by the name ictlabs-sandbox.

The engine gives it a sandbox, a working folder and limits in memory. Stock tools take them from a kernelspec:

    "metadata": {"kernel_provisioner": {"provisioner_name": "ictlabs-sandbox", "config": {
        "backend": "auto", "image": "ictlabs/base:0.1.0", "memory_mb": 512}}}

where every setting of the [grader.sandbox] table may appear; the working folder is the notebook's own. The ZeroMQ
sockets are files (ipc), so the sandbox needs no network; the kernel's files are sealed before a cell can run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from grader.ownership import give
from grader.sandbox import open_sandbox
from grader.sandbox.base import START_S, Command, Limits, Run, Sandbox, SandboxError
from grader.settings import SandboxSettings

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
CONNECTION_FILE = "/run/kernel.json"  # inside; the folder of sockets is read-only by the time it is closed
# -P: a file of the submission that is called like a module must not be run in place of the kernel. The working
# folder joins the path, where IPython itself would put it, once the sockets are sealed.
KERNEL = ("python3", "-P", "-m", "ipykernel_launcher", "-f", CONNECTION_FILE)
OPTIONS = ("--HistoryManager.enabled=False",)
JOIN_PATH = """import os, sys, time
while not os.path.exists({sealed!r}):
    time.sleep(0.002)
sys.path.insert(next((i for i, p in enumerate(sys.path) if p.endswith("-packages")), 0), "")
del os, sys, time"""
SOCKET_PATH_CHARS = 107  # sun_path of unix(7)


class SandboxProvisioner(KernelProvisionerBase):
    """One kernel in one run of a sandbox; after a restart, in another.

    sandbox: where to run; None opens one from the kernelspec's settings and closes it at the end.
    work: host folder that is copied inside; None takes the kernel's cwd.
    sockets: short host folder of mode 0700 in which the sockets' folder is made; None makes one.
    limits: of the run; None takes the settings'. env: further variables inside.
    run: the newest run, kept after its end so that its reason can be read.
    """

    def __init__(self, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in SandboxSettings.model_fields if name in kwargs}
        self.settings = SandboxSettings.model_validate(given)
        self.image: str | None = kwargs.pop("image", None)
        super().__init__(**kwargs)
        self.sandbox: Sandbox | None = None
        self.work: Path | None = None
        self.sockets: Path | None = None
        self.limits: Limits | None = None
        self.env: dict[str, str] = {}
        self.run: Run | None = None
        self._running = False
        self._opened: Sandbox | None = None
        self._leaf: Path | None = None
        self._made: Path | None = None

    @property
    def has_process(self) -> bool:
        """Whether a kernel was started and its end not yet taken note of."""
        return self._running

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Pass on the working folder alone: neither our environment nor the kernelspec's command goes inside."""
        return {"cmd": list(KERNEL), "cwd": kwargs.get("cwd")}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return how to reach it, once its sockets are sealed."""
        work = self.work or (Path(kwargs["cwd"]) if kwargs.get("cwd") else None)
        if work is None:
            raise SandboxError("the kernel has no working folder. Start it with cwd, or set `work`.")
        leaf = self._make_leaf()
        info: dict[str, Any] = {"transport": "ipc", "ip": str(leaf / "k"), "signature_scheme": "hmac-sha256"}
        info |= {port: number for number, port in enumerate(PORTS, start=1)}
        manager: Any = self.parent
        key = manager.session.key.decode()
        command = Command(
            argv=[
                *cmd,
                *OPTIONS,
                "--IPKernelApp.exec_lines=" + JOIN_PATH.format(sealed=str(leaf / "sealed")),
            ],
            work=work,
            limits=self.limits or Limits.of(self.settings),
            sockets=leaf,
            env=self.env,
            files={CONNECTION_FILE: json.dumps(info | {"key": key, "kernel_name": "python3"})},
        )
        self.run = await asyncio.to_thread(self._start, command)
        self._running = True
        await self._await_seal(leaf)
        self.connection_info = cast(KernelConnectionInfo, info | {"key": key.encode()})
        return self.connection_info

    def _make_leaf(self) -> Path:
        """Make this run's own folder of sockets, below one that only we may enter."""
        if self.sockets is None:
            self.sockets = self._made = Path(tempfile.mkdtemp(prefix="ict-k-"))
        self._drop_leaf()
        leaf = self.sockets.resolve() / "s"  # the same after a restart: clients find the new sockets by it
        leaf.mkdir(mode=0o700)
        if len(str(leaf / "k-5")) > SOCKET_PATH_CHARS:
            raise SandboxError(
                f"{leaf}: too long for a socket's path. Set TMPDIR to a short folder such as /tmp."
            )
        give(leaf)
        self._leaf = leaf
        return leaf

    def _drop_leaf(self) -> None:
        if self._leaf is not None:
            shutil.rmtree(self._leaf, ignore_errors=True)
            self._leaf = None

    def _start(self, command: Command) -> Run:
        sandbox = self.sandbox or self._opened
        if sandbox is None:
            sandbox = self._opened = open_sandbox("auto", self.settings, image=self.image)
        return sandbox.start(command)

    async def _await_seal(self, leaf: Path) -> None:
        """Wait for the kernel's sockets: only then may a client connect and code of the submission run."""
        deadline = time.monotonic() + START_S
        while not (leaf / "sealed").exists():
            run = self.run
            if run is None or (ended := run.poll()) is not None or time.monotonic() > deadline:
                said = run.output(2000).decode(errors="replace").strip() if run else ""
                await self.kill()
                raise SandboxError(
                    f"the kernel did not start ({ended if run else 'no run'}): {said or 'no word'}"
                )
            await asyncio.sleep(0.005)

    async def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        ended = self.run.poll() if self.run else None
        if self.run is None:
            return 0
        return ended.code if ended else None

    async def wait(self) -> int | None:
        """Wait for the end."""
        while (code := await self.poll()) is None:
            await asyncio.sleep(0.01)
        self._running = False
        return code

    async def send_signal(self, signum: int) -> None:
        """Hand an interrupt to the kernel; anything that is to end it ends the run."""
        if self.run is None or signum == 0:
            return
        if signum == signal.SIGINT:
            await asyncio.to_thread(self.run.interrupt)
        elif signum in (signal.SIGTERM, signal.SIGKILL):
            await self.kill()

    async def kill(self, restart: bool = False) -> None:
        """End the run."""
        if self.run is not None:
            await asyncio.to_thread(self.run.kill)

    async def terminate(self, restart: bool = False) -> None:
        """End the run: code of a submission is not asked politely."""
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets; close the sandbox if it was opened here."""
        if restart:
            return
        self._drop_leaf()
        if self._made is not None:
            with contextlib.suppress(OSError):
                self._made.rmdir()
            self._made = self.sockets = None
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await asyncio.to_thread(opened.close)
