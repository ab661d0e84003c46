"""Where untrusted code runs. A new backend is a file here and a line in BACKENDS; tests/contracts tries them all."""

from __future__ import annotations

import time
from collections.abc import Callable

from grader.sandbox.base import Sandbox, SandboxError
from grader.sandbox.runfolder import sweep
from grader.settings import SandboxSettings

AWAY_S = 60.0  # an Engine that restarts gives containers 15 s to stop, and comes up within seconds


def _docker(image: str | None) -> Sandbox:
    from grader.sandbox.docker import DockerSandbox

    if not image:
        raise SandboxError("the docker sandbox needs an image. Name the lab's environment.")
    return DockerSandbox(image)


def _process(image: str | None) -> Sandbox:
    from grader.sandbox.process import ProcessSandbox

    return ProcessSandbox()


# name -> (make it for an image, say "" or what is in the way)
BACKENDS: dict[str, Callable[[str | None], Sandbox]] = {"docker": _docker, "process": _process}


def unavailable(name: str, image: str | None = None) -> str:
    """Return "" if the backend works on this machine, else what is in the way and what to do."""
    if name == "docker":
        from grader.sandbox import docker

        return docker.available(image) if image else "it needs an image. Name the lab's environment."
    from grader.sandbox import process

    return process.available()


def choose() -> str:
    """Return what `auto` means here: docker where an Engine answers, else process."""
    from grader.sandbox import docker

    return "docker" if docker.answers() else "process"


def await_walls(name: str) -> None:
    """Wait while the Docker Engine is away, as at its restart: not for ever, and not where it is not needed."""
    from grader.sandbox import docker

    deadline = time.monotonic() + AWAY_S
    while name == "docker" and not docker.answers() and time.monotonic() < deadline:
        time.sleep(1)


def open_sandbox(name: str, settings: SandboxSettings | None = None, *, image: str | None = None) -> Sandbox:
    """Return the sandbox `name`: docker, process or auto.

    `name` "auto" gives way to `settings.backend`. `image`: the environment's image, for docker.
    Raises SandboxError that says what is in the way. It never falls back: another backend is another environment,
    and marks could differ.
    """
    if name == "auto" and settings is not None:
        name = settings.backend
    if name == "auto":
        name = choose()
    if name not in BACKENDS:
        raise SandboxError(f"no sandbox is called {name}. Known: auto, {', '.join(BACKENDS)}.")
    if reason := unavailable(name, image):
        raise SandboxError(f"the {name} sandbox does not work here: {reason}")
    sweep()
    return BACKENDS[name](image)
