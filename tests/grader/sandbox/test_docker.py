"""What the outer wall does by itself, when the inner one has not looked yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.sandbox import docker, open_sandbox
from grader.sandbox.base import Command, Exit, Limits, Sandbox
from grader.sandbox.kernels import KernelEnded

pytestmark = pytest.mark.docker
HOG = "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1"
LIMITS = Limits(memory_mb=128, pids=64, disk_mb=32, cpus=1.0, wall_s=60)


@pytest.fixture
def blind(base_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Containers whose jails look at memory once an hour, so that the container's own limit is met first."""

    def with_closed_eyes(made: dict[str, Any]) -> dict[str, Any]:
        (made.get("jail") or made)["watch_s"] = 3600
        return made

    jail_spec, zygote_spec = docker.jail_spec, docker.zygote_spec
    monkeypatch.setattr(docker, "jail_spec", lambda *given: with_closed_eyes(jail_spec(*given)))
    monkeypatch.setattr(docker, "zygote_spec", lambda *given: with_closed_eyes(zygote_spec(*given)))
    walls = open_sandbox("docker", image=base_image)
    yield walls
    walls.close()


def test_a_kill_by_the_containers_memory_limit_reads_as_memory(blind: Sandbox, tmp_path: Path) -> None:
    run = blind.start(Command(["python3", "-c", HOG], tmp_path, LIMITS))
    assert run.wait(60) == Exit(137, "memory")


def test_so_it_does_for_a_kernel(blind: Sandbox) -> None:
    kernels = blind.kernels(LIMITS)
    kernel = kernels.start({})
    with pytest.raises(KernelEnded) as ended:
        kernel.run(1, HOG, check=False, timeout_s=60, grace_s=1, heard=lambda *_: None)
    assert ended.value.exit == Exit(137, "memory")
    kernel.close()
    kernels.close()


def test_a_kill_by_its_own_hand_still_reads_as_killed(blind: Sandbox, tmp_path: Path) -> None:
    run = blind.start(Command(["sh", "-c", "kill -9 $$"], tmp_path, LIMITS))
    assert run.wait(60) == Exit(137, "killed")
