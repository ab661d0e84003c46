"""Containers as students' servers are, for the kit that runs in them. A module says which by its own `container`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from grader.sandbox.seccomp import profile_json
from hub.images import environment_of, image_name
from hub.settings import Settings
from hub.spawners.docker import NESTED


@pytest.fixture(scope="module")
def student_container(
    docker_engine: docker.DockerClient, missing: Callable[[str, str], None]
) -> Iterator[Callable[..., Any]]:
    """`student_container(environment)`: a container with a student's walls and nothing running in it.

    nested: whether namespaces may be made in it; by default what the environment says.
    """
    made = []

    def start(environment: str, *, nested: bool | None = None) -> Any:
        name = image_name(Settings(), environment)
        try:
            docker_engine.images.get(name)
        except docker.errors.ImageNotFound:
            missing(f"no image {name}", f"`ict images build {environment}` builds it")
        nested = environment_of(environment).nested if nested is None else nested
        api = docker_engine.api
        config = api.create_host_config(
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", *([f"seccomp={profile_json(nested=True)}"] if nested else [])],
            mem_limit="512m",
            pids_limit=1024 if nested else 256,
            network_mode="bridge",
            tmpfs={"/tmp": "size=256m,mode=1777"},
            init=True,
        )
        if nested:
            config.update(NESTED["host_config"])
        container = api.create_container(name, ["sleep", "infinity"], host_config=config)["Id"]
        made.append(docker_engine.containers.get(container))
        api.start(container)
        return made[-1]

    yield start
    for container in made:
        container.remove(force=True)


@pytest.fixture
def inside(container: Any, head: str) -> Callable[[str], Any]:
    """`inside(code)`: what Python code prints as JSON in the container; with no JSON, all it printed."""

    def run(code: str) -> Any:
        lines = f"import json, os, signal, time\n{head}\n{textwrap.dedent(code)}"
        _, output = container.exec_run(["python3", "-c", lines], workdir="/tmp")
        text = output.decode()
        try:
            return json.loads(text.splitlines()[-1])
        except (ValueError, IndexError):
            return text

    return run


@pytest.fixture
def left(container: Any) -> Callable[[], list[str]]:
    """The processes in the container beside its own two."""

    def look() -> list[str]:
        _, output = container.exec_run(["ps", "-eo", "args="])
        lines = output.decode().splitlines()
        return [
            line for line in lines if line != "sleep infinity" and "ps -eo" not in line and "init" not in line
        ]

    return look
