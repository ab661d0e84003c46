"""What this machine has, what that allows, and what to do about what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import docker

from hub.settings import Settings
from hub.tls import flaws

MIN_DISK_GB = 5.0
MIN_MEMORY_GB = 2.0


@dataclass(frozen=True)
class Problem:
    """Something missing: what it costs, and what to do."""

    what: str
    consequence: str
    remedy: str


@dataclass(frozen=True)
class Findings:
    """What was found. `mode` is docker, process (each server in a jail) or process-unjailed."""

    mode: str
    why: str
    docker: dict[str, Any]
    userns: dict[str, Any]
    overlay: bool
    chromium: str | None
    python: str
    disk_free_gb: float
    memory_total_gb: float
    memory_available_gb: float
    cores: int
    kernel: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data for `ict doctor --json`."""
        return asdict(self)


def told(problems: Sequence[Problem]) -> list[str]:
    """Problems as lines for a person, numbered."""
    lines = []
    for number, problem in enumerate(problems, 1):
        lines += [f"{number}. {problem.what}", f"   so:  {problem.consequence}", f"   do:  {problem.remedy}"]
    return lines


def examine(settings: Settings) -> Findings:
    """Look at the machine. Changes nothing; takes about a second."""
    engine = find_engine()
    userns = find_userns()
    mode, why = choose_mode(settings, engine, userns)
    data = settings.places.data
    disk = shutil.disk_usage(next(p for p in (data, *data.parents) if p.exists()))
    memory = memory_kb()
    found = Findings(
        mode=mode,
        why=why,
        docker=engine,
        userns=userns,
        overlay=_kernel_has_filesystem("overlay"),
        chromium=next(
            filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
        ),
        python=sys.version.split()[0],
        disk_free_gb=round(disk.free / 1e9, 1),
        memory_total_gb=round(memory.get("MemTotal", 0) / 1e6, 1),
        memory_available_gb=round(memory.get("MemAvailable", 0) / 1e6, 1),
        cores=len(os.sched_getaffinity(0)),
        kernel={"release": os.uname().release, "cgroups": _cgroups(), "seccomp": _has_seccomp()},
    )
    found.problems.extend(_problems(settings, found))
    return found


def find_engine() -> dict[str, Any]:
    """Ask the Docker Engine for its version: {"available", "version", "endpoint", "error"}."""
    endpoint = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        client = docker.from_env(timeout=10)
        try:
            version = client.version()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as error:
        return {"available": False, "version": None, "endpoint": endpoint, "error": _first_line(error)}
    return {"available": True, "version": version.get("Version"), "endpoint": endpoint, "error": None}


def find_userns() -> dict[str, Any]:
    """Try a jail of namespaces as it would be used: {"available", "error"}."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    command = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        error = tried.stderr.strip() if tried.returncode else None
    except (OSError, subprocess.TimeoutExpired) as failure:
        error = _first_line(failure)
    return {
        "available": error is None,
        "error": error,
        "max": int(limit.read_text()) if limit.exists() else None,
    }


def choose_mode(settings: Settings, engine: dict[str, Any], userns: dict[str, Any]) -> tuple[str, str]:
    """Say in which mode the site runs, and why, in one sentence."""
    wanted = settings.hub.spawner
    if wanted in ("docker", "swarm") or (wanted == "auto" and engine["available"]):
        mode = "docker" if wanted == "auto" else wanted
        if engine["available"]:
            return mode, f"Docker Engine {engine['version']} answers on {engine['endpoint']}"
        return mode, f"hub.spawner asks for it, but no Docker Engine answers on {engine['endpoint']}"
    asked = (
        "hub.spawner asks for it"
        if wanted == "process"
        else f"no Docker Engine answers on {engine['endpoint']}"
    )
    if userns["available"]:
        return "process", f"{asked}; each server runs in a jail of namespaces"
    return "process-unjailed", f"{asked}, and the kernel allows no user namespaces ({userns['error']})"


def _problems(settings: Settings, found: Findings) -> list[Problem]:
    problems = []
    if not found.docker["available"]:
        denied = "ermission" in (found.docker["error"] or "")
        problems.append(
            Problem(
                f"no Docker Engine: {found.docker['error']}",
                "the site cannot start"
                if settings.hub.spawner in ("docker", "swarm")
                else "students' servers are local processes",
                "`sudo usermod -aG docker $USER`, then log in again"
                if denied
                else "`sudo make docker` installs and starts one",
            )
        )
    if not found.userns["available"]:
        problems.append(
            Problem(
                f"user namespaces are refused: {found.userns['error']}",
                "no jails: without Docker, students' servers see the whole machine, and grading is refused",
                _userns_remedy(found.userns),
            )
        )
    if not found.overlay:
        problems.append(
            Problem(
                "the kernel does not offer overlayfs",
                "Docker copies whole images (slow, large)",
                "`sudo modprobe overlay`",
            )
        )
    if not found.chromium:
        problems.append(
            Problem(
                "no Chromium",
                "the browser tests cannot run; the site does not need it",
                "`sudo apt-get install chromium`",
            )
        )
    if not (shutil.which("setfacl") and shutil.which("getfacl")):
        problems.append(
            Problem(
                "no setfacl and getfacl",
                "the lab linux-permissions needs them in process mode",
                "`sudo apt-get install acl`",
            )
        )
    if found.disk_free_gb < MIN_DISK_GB:
        problems.append(
            Problem(
                f"{found.disk_free_gb} GB of disk are free",
                f"an image and a class need {MIN_DISK_GB:.0f} GB or more",
                "free some, or set site.data_dir to a larger disk",
            )
        )
    if found.memory_available_gb < MIN_MEMORY_GB:
        problems.append(
            Problem(
                f"{found.memory_available_gb} GB of memory are available",
                "about 0.3 GB go to each student at work and 0.5 GB to the site",
                "stop something, or lower hub.memory_mb and the number of students at once",
            )
        )
    problems.extend(Problem(*flaw) for flaw in flaws(settings))
    return problems


def _userns_remedy(userns: dict[str, Any]) -> str:
    if userns["max"] == 0:
        return "`sudo sysctl user.max_user_namespaces=15000`"
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
        return "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or use Docker"
    return "`sudo sysctl kernel.unprivileged_userns_clone=1`, or use Docker"


def _kernel_has_filesystem(name: str) -> bool:
    return any(
        line.split()[-1] == name
        for line in Path("/proc/filesystems").read_text().splitlines()
        if line.strip()
    )


def _cgroups() -> str:
    return "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"


def _has_seccomp() -> bool:
    return "Seccomp:" in Path("/proc/self/status").read_text()


def memory_kb() -> dict[str, int]:
    """The kernel's own account of the memory, in KiB."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) for parts in lines if len(parts) >= 2}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
