"""Two walls: a container of the environment's image for every run, and the jail inside it."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.types import LogConfig

from grader.sandbox import jail
from grader.sandbox.base import KILLED, Command, Exit, Limits, Run, Sandbox, SandboxError
from grader.sandbox.kernels import Kernels, ZygoteProcess
from grader.sandbox.runfolder import INSIDE, RunFolder, jail_spec, zygote_spec
from grader.sandbox.seccomp import MASKED_PATHS, profile_json

LABEL = "ictlabs.sandbox"
ENGINE_FAULTS = (DockerException, OSError)  # docker-py lets what requests raises through: OSErrors
IN, IN_RUN, IN_WORK = "/ictlabs", Path("/ictlabs/run"), "/ictlabs/work"
SPARE_MB = 96  # for the guards and the page cache: the jail, which can say why, is to meet its limit first
SPARE_PIDS = 64  # the guards, and what the jail allows over its limit before it ends a run


def engine() -> docker.DockerClient:
    """Return a client of the Docker Engine. Raises SandboxError if none answers."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except ENGINE_FAULTS as error:
        raise SandboxError(f"no Docker Engine answers ({error}). `ict doctor` says what to do.") from error
    return client


def host_config(
    client: docker.DockerClient, limits: Limits, folder: RunFolder, binds: Sequence[str] = (), slots: int = 1
) -> dict[str, Any]:
    """Return what the Engine is told about the outer wall around `slots` jails."""
    binds = [
        *(f"{file}:{IN}/{file.name}:ro" for file in folder.lay(INSIDE)),
        f"{folder.path}:{IN_RUN}:rw",
        *binds,
    ]
    security = ["no-new-privileges", f"seccomp={profile_json(nested=limits.nested)}"]
    if any("apparmor" in option for option in client.info().get("SecurityOptions") or []):
        security.append("apparmor=unconfined")  # docker-default forbids mount, which the jail is made of
    memory = slots * (limits.memory_mb + SPARE_MB) << 20
    config: dict[str, Any] = client.api.create_host_config(
        binds=binds,
        network_mode="none",
        ipc_mode="private",
        read_only=True,
        tmpfs={"/tmp": "size=1m,mode=1777"},  # noqa: S108  (a place to mount on; the jail brings its own)
        cap_drop=["ALL"],
        # only the guard has these, to give the jail a range of ids; the command has none
        cap_add=["SETUID", "SETGID", "SETFCAP"],
        security_opt=security,
        mem_limit=memory,
        memswap_limit=memory,  # no swap on top
        nano_cpus=int(min(slots * limits.cpus, max(limits.cpus, os.cpu_count() or 1)) * 1e9),
        pids_limit=slots * (limits.pids + SPARE_PIDS),
        log_config=LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
    )
    # A new /proc may be mounted only where the present one is not covered in places; docker-py has no keyword
    # for these two. Nothing of a submission ever runs in the container's own /proc, nor as its root.
    config["MaskedPaths"] = list(MASKED_PATHS)
    config["ReadonlyPaths"] = []
    return config


class DockerRun(Run):
    """A container with one jail in it."""

    def __init__(self, client: docker.DockerClient, container: str, folder: RunFolder) -> None:
        self.client, self.container, self.folder = client, container, folder
        self._exit: Exit | None = None
        self._looked = 0.0

    def state(self) -> dict[str, Any] | None:
        """Return the Engine's word on the container, asked at most ten times a second; None between."""
        if time.monotonic() - self._looked < 0.1:
            return None
        self._looked = time.monotonic()
        try:
            return dict(self.client.api.inspect_container(self.container)["State"])
        except ENGINE_FAULTS:
            return {"Running": False}

    def ended(self) -> str | None:
        """Return the guard's last words if the container is gone."""
        state = self.state()
        if state is None or state.get("Running"):
            return None
        with contextlib.suppress(*ENGINE_FAULTS):
            return self.client.api.logs(self.container).decode(errors="replace") or str(state)
        return str(state)

    def poll(self) -> Exit | None:
        """Say how it ended, or None."""
        if self._exit is None:
            told = self.folder.exit()
            if told is None and (state := self.state()) is not None and not state.get("Running"):
                told = self.folder.exit() or KILLED
            if told:
                self._exit = told
                self._remove()
        return self._exit

    def _remove(self) -> None:
        with contextlib.suppress(*ENGINE_FAULTS):
            self.client.api.remove_container(self.container, force=True, v=True)

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (found := self.poll()) is None and (deadline is None or time.monotonic() < deadline):
            time.sleep(0.01)
        return found

    def kill(self) -> None:
        """Remove the container, which ends everything in it."""
        if self._exit is None:
            self._remove()
            self._exit = self.folder.exit() or KILLED

    def interrupt(self) -> None:
        """Hand SIGINT to the command, through the guard."""
        with contextlib.suppress(*ENGINE_FAULTS):
            self.client.api.kill(self.container, "SIGINT")

    def output(self, limit_bytes: int = 65536) -> bytes:
        """Return the start of what it printed."""
        return self.folder.output(limit_bytes)


class ContainerZygote(ZygoteProcess):
    """A container with a zygote and the jails forked from it."""

    def __init__(self, client: docker.DockerClient, container: str, folder: RunFolder) -> None:
        self.client, self.container, self.folder = client, container, folder

    def last_words(self) -> str | None:
        """Say what it printed if it is gone, else None."""
        try:
            state = self.client.api.inspect_container(self.container)["State"]
            if state.get("Running"):
                return None
            return self.client.api.logs(self.container).decode(errors="replace") or str(state)
        except ENGINE_FAULTS as error:
            return str(error)

    def kill(self) -> None:
        """Remove the container, which ends everything in it."""
        with contextlib.suppress(*ENGINE_FAULTS):
            self.client.api.remove_container(self.container, force=True, v=True)
        self.folder.remove()


class DockerSandbox(Sandbox):
    """A container per run; containers that an earlier process left behind are swept at the start."""

    name = "docker"

    def __init__(self, image: str) -> None:
        self.client = engine()
        try:
            found = self.client.images.get(image)
        except ImageNotFound as error:
            raise SandboxError(f"no image {image}. `ict images build` builds it.") from error
        self.image = image
        env = dict(entry.partition("=")[::2] for entry in found.attrs["Config"].get("Env") or [])
        self.path = env.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._runs: list[DockerRun] = []
        for left in self.client.containers.list(
            all=True, ignore_removed=True, filters={"label": LABEL, "status": ["exited", "dead"]}
        ):
            with contextlib.suppress(*ENGINE_FAULTS):
                left.remove(force=True, v=True)

    def start(self, command: Command) -> Run:
        """Start `command` in a container of its own."""
        folder = RunFolder()
        spec = folder.write_spec(jail_spec(command, self._inside() | {"work": IN_WORK}), IN_RUN)
        binds = [f"{os.path.realpath(command.work)}:{IN_WORK}:ro"]
        if command.sockets:
            binds.append(f"{command.sockets}:{command.sockets}:rw")
        config = host_config(self.client, command.limits, folder, binds)
        made = self._create(["python3", "-I", "-S", f"{IN}/jail.py", str(spec)], config, folder)
        api = self.client.api
        run = DockerRun(self.client, made, folder)
        self._runs.append(run)  # ended ones too: their output may still be asked for
        try:
            api.start(made)
            folder.await_start(run.ended)
        except (*ENGINE_FAULTS, SandboxError) as error:
            run.kill()
            folder.remove()
            raise SandboxError(f"container of {self.image}: {error}") from error
        return run

    def _inside(self) -> dict[str, Any]:
        return {"path": self.path, "ro": [*jail.DEFAULT_RO, "/opt"]}

    def _create(self, command: list[str], config: dict[str, Any], folder: RunFolder) -> str:
        """Make a container that is not started yet and return its id."""
        try:
            return str(
                self.client.api.create_container(
                    self.image,
                    entrypoint=command,
                    command=[],
                    user="0:0",
                    working_dir="/",
                    network_disabled=True,
                    labels={LABEL: str(os.getpid())},
                    host_config=config,
                )["Id"]
            )
        except ENGINE_FAULTS as error:
            folder.remove()
            raise SandboxError(f"the Engine made no container of {self.image}: {error}.") from error

    def kernels(
        self, limits: Limits, *, preload: Sequence[str] = (), slots: int = 1, fork: bool = True
    ) -> Kernels:
        """Fork kernels from a zygote in a container; `slots` of them share its limits, each within its own."""

        def launch(modules: Sequence[str]) -> tuple[ZygoteProcess, str]:
            folder = RunFolder()
            folder.path.chmod(0o777)  # root of the container has no power over our files
            spec = folder.write_spec(
                zygote_spec(limits, modules, str(IN_RUN / "zygote"), self._inside()), IN_RUN
            )
            config = host_config(self.client, limits, folder, slots=slots if fork else 1)
            made = self._create(["python3", "-I", f"{IN}/zygote.py", str(spec)], config, folder)
            zygote = ContainerZygote(self.client, made, folder)
            try:
                self.client.api.start(made)
            except ENGINE_FAULTS as error:
                zygote.kill()
                raise SandboxError(f"container of {self.image}: {error}") from error
            return zygote, str(folder.path / "zygote")

        return Kernels(launch, limits, preload, fork)

    def close(self) -> None:
        """End every run."""
        for run in self._runs:
            run.kill()
            run.folder.remove()
        self._runs.clear()
        self.client.close()


def answers() -> bool:
    """Say whether a Docker Engine answers: then containers are the way to run, and nothing weaker stands in."""
    try:
        engine().close()
    except SandboxError:
        return False
    return True


@functools.cache
def available(image: str) -> str:
    """Return "" if a jail in a container of `image` works here, else what is in the way. Tried once a process."""
    try:
        sandbox = DockerSandbox(image)
    except SandboxError as error:
        return str(error)
    try:
        with tempfile.TemporaryDirectory(prefix="ict-try-") as work:
            found = sandbox.start(Command(["true"], Path(work), Limits(64, 32, 16, 1.0, 30.0))).wait(30)
        return "" if found == Exit(0, "exited") else f"a trial run ended with {found}."
    except SandboxError as error:
        return str(error)
    finally:
        sandbox.close()
