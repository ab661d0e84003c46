"""Students' servers as local processes, each in a jail of namespaces where the kernel allows it; loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.utils import random_port

from grader.sandbox import jail
from grader.sandbox.process import hidden_places, interpreter_places
from hub.images import IMAGES, base_of
from hub.launch import INSIDE_HOME, LaunchPlan
from hub.spawners.base import LabSpawner


class LabProcessSpawner(LabSpawner, SimpleLocalProcessSpawner):
    """One process a person and environment, which sees its own home and the system read-only."""

    env_keep: list[str]

    async def start(self) -> tuple[str, int]:
        """Start the server and wait until it answers."""
        self._stages.clear()
        launch = self.launch_plan()
        self.stage(5, "Preparing your home")
        self.prepare_home(launch)
        self.port = random_port()
        self.ip = "127.0.0.1"
        jailed = self.site.mode == "process"
        home = str(INSIDE_HOME) if jailed else str(launch.home)
        self.notebook_dir = home
        argv = [sys.executable, "-m", "ictlab.server", *self.get_args()]
        if jailed:  # the jails share one network: on TCP, anybody could read what another one's kernel prints
            argv.append("--KernelManager.transport=ipc")
        env = self._environment(launch, home)
        if jailed:  # whole sentences, for the portal's catalogues
            self.stage(20, "Starting the server in a jail")
        else:
            self.stage(20, "Starting the server")
        self.proc = self._popen_jailed(launch, argv, env) if jailed else self._popen(launch, argv, env)
        self.pid = self.proc.pid
        await self.wait_until_ready(self.ip, self.port)
        return self.ip, self.port

    def _environment(self, launch: LaunchPlan, home: str) -> dict[str, str]:
        """Only what a server needs: nothing of the hub's own environment."""
        self.env_keep = []
        asked = {k: v for k, v in self.get_env().items() if k.startswith(("JUPYTER", "JPY", "MEM_", "CPU_"))}
        return {
            **asked,
            **launch.env,
            "HOME": home,
            "USER": "student",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "JUPYTER_CONFIG_PATH": str(_etc(launch) / "jupyter"),
        }

    def _popen(self, launch: LaunchPlan, argv: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._log_file(launch).open("wb") as log:
            return subprocess.Popen(
                argv,
                env=env,
                cwd=launch.home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _popen_jailed(
        self, launch: LaunchPlan, argv: list[str], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        inside = str(INSIDE_HOME)
        shown = [*jail.DEFAULT_RO, *interpreter_places()]
        spec: dict[str, Any] = {
            "argv": argv,
            "env": env,
            "cwd": inside,
            "home": inside,
            "rw": {inside: str(launch.home)}
            | {f"{inside}/courses/{course}": str(folder) for course, folder in launch.courses.items()},
            "ro": [*shown, str(_etc(launch))],
            "hide": hidden_places(shown),  # the catalog holds solutions
            "memory_mb": launch.memory_mb,
            "pids": launch.pids,
            "file_mb": launch.file_mb,
            "nested": launch.nested,
            "watch_s": 1,
            "share_net": True,
            "outlive_parent": True,
            "grace_s": 5,
            "disk_mb": 256,
        }
        # on standard input: the environment holds a token, and anybody may read a process's argv
        with self._log_file(launch).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, jail.__file__, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
                start_new_session=True,
            )
        assert process.stdin is not None  # noqa: S101 (for the type checker: it is a pipe)
        process.stdin.write(json.dumps(spec).encode())
        process.stdin.close()
        return process

    def _log_file(self, launch: LaunchPlan) -> Path:
        folder = self.settings.places.logs
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(folder / f"server-{launch.person}-{launch.environment}.log")

    async def last_words(self) -> str:
        """The end of the server's log."""
        file = self._log_file(self.launch_plan())
        if not file.exists():
            return "(no log)"
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 4000))
            return stream.read().decode(errors="replace")


def _etc(launch: LaunchPlan) -> Path:
    """Where the settings of an environment's notebook servers lie; those on top of `base` have base's."""
    return IMAGES / (base_of(launch.environment) or launch.environment) / "etc"
