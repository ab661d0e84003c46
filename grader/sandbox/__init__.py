"""Where untrusted code runs. A new backend is a file here and a line in BACKENDS; tests/contracts tries them all."""

from __future__ import annotations

from collections.abc import Callable

from grader.sandbox.base import Sandbox, SandboxError
from grader.settings import SandboxSettings


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

        return docker.available(image)
    from grader.sandbox import process

    return process.available()


def open_sandbox(name: str, settings: SandboxSettings | None = None, *, image: str | None = None) -> Sandbox:
    """Return the sandbox `name`: docker, process, or auto for the first of them that works here.

    `name` "auto" gives way to `settings.backend`. `image`: the environment's image, for docker.
    Raises SandboxError that says what is in the way. Never falls back from a backend that was named.
    """
    if name == "auto" and settings is not None:
        name = settings.backend
    if name != "auto" and name not in BACKENDS:
        raise SandboxError(f"no sandbox is called {name}. Known: auto, {', '.join(BACKENDS)}.")
    reasons = []
    for candidate in BACKENDS if name == "auto" else [name]:
        reason = unavailable(candidate, image)
        if not reason:
            return BACKENDS[candidate](image)
        reasons.append(f"{candidate}: {reason}")
    raise SandboxError("no sandbox works here. " + " ".join(reasons))
