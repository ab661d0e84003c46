"""A lab as a student sees it: its release in JupyterLab, in its environment's container, with a student's walls."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import nbformat

from grader.sandbox.seccomp import profile_json
from hub.images import environment_of, image_name
from hub.launch import INSIDE_HOME
from hub.settings import Settings
from hub.spawners.docker import NESTED
from labs import build
from labs.model import Lab

COURSE = "preview"  # the folder around the lab's, as a course's name is for students
START_S = 60.0
Say = Callable[[str], None]


class PreviewError(Exception):
    """The lab cannot be shown; the message says what to do."""


def preview(settings: Settings, lab: Lab, *, solved: bool, port: int | None, say: Say) -> None:
    """Serve the lab on 127.0.0.1:port until ^C; nothing is kept. solved: with the reference answers.

    port: a free one if None. Raises PreviewError.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs begin with ^C ignored
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ictlabs-preview-") as folder:
        home = Path(folder)
        _lay(lab, home / COURSE / lab.name, solved=solved)
        notebook = next((home / COURSE / lab.name).glob("*.ipynb")).relative_to(home)
        server = _Server(home, port or _free_port(), secrets.token_urlsafe(16), str(notebook))
        try:
            client = docker.from_env(timeout=60)
            client.ping()
        except docker.errors.DockerException:
            say("No Docker Engine answers: showing it with this machine's own Python, without walls.")
            _here(server, say)
            return
        _in_container(settings, client, lab, server, say)


@dataclass(frozen=True)
class _Server:
    """JupyterLab on 127.0.0.1:port with `home` as its root."""

    home: Path
    port: int
    token: str
    notebook: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/lab/tree/{quote(self.notebook)}?token={self.token}"

    def command(self, *options: str) -> list[str]:
        """What starts it."""
        safe = ["--no-browser", f"--IdentityProvider.token={self.token}", "--ServerApp.port_retries=0"]
        return ["jupyter", "lab", *safe, *options]


def _lay(lab: Lab, folder: Path, *, solved: bool) -> None:
    build.write_source(
        lab, folder
    )  # the files beside the notebooks, and notebooks that the next lines replace
    for name, notebook in (build.solved_notebooks(lab) if solved else build.release_notebooks(lab)).items():
        (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    for path in (folder.parent.parent, *folder.parent.parent.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)  # whoever one is in the container


def _in_container(
    settings: Settings, client: docker.DockerClient, lab: Lab, server: _Server, say: Say
) -> None:
    image, wanted = image_name(settings, lab.environment), environment_of(lab.environment)
    nested = lab.nested or wanted.nested
    memory_mb = max(settings.hub.memory_mb, wanted.memory_mb, lab.memory_mb)
    config = client.api.create_host_config(
        binds={str(server.home): {"bind": f"{INSIDE_HOME}/lab", "mode": "rw"}},
        port_bindings={8888: ("127.0.0.1", server.port)},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", *([f"seccomp={profile_json(nested=True)}"] if nested else [])],
        mem_limit=f"{memory_mb}m",
        pids_limit=max(settings.hub.pids, wanted.pids),
        tmpfs={"/tmp": "size=256m,mode=1777"},  # noqa: S108 (the container's own)
        init=True,
    )
    if nested:
        config.update(NESTED["host_config"])
    command = server.command("--ip=0.0.0.0", "--port=8888", f"--ServerApp.root_dir={INSIDE_HOME}/lab")
    try:
        made = client.api.create_container(image, command, host_config=config, ports=[8888])["Id"]
    except docker.errors.ImageNotFound:
        raise PreviewError(f"no image {image}. `ict images build {lab.environment}` builds it.") from None
    container = client.containers.get(made)
    try:
        container.start()
        _wait(server.port, lambda: _runs(container))
        say(f"{lab.name} as a student sees it, until Ctrl+C: {server.url}")
        container.wait()
    except KeyboardInterrupt:
        say("ended")
    except docker.errors.APIError as error:
        raise PreviewError(f"the container does not start: {error.explanation}") from error
    finally:
        container.remove(force=True)


def _runs(container: Any) -> bool:
    container.reload()
    return bool(container.status == "running")


def _here(server: _Server, say: Say) -> None:
    options = (
        "--ip=127.0.0.1",
        f"--port={server.port}",
        f"--ServerApp.root_dir={server.home}",
        "--allow-root",
    )
    command = [sys.executable, "-m", *server.command(*options)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server.port, lambda: process.poll() is None)
        say(f"as a student sees it, until Ctrl+C: {server.url}")
        process.wait()
    except KeyboardInterrupt:
        say("ended")
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2).close()
            return
        except OSError:
            if not alive():
                break
            time.sleep(0.2)
    raise PreviewError("JupyterLab does not answer. Is the port taken? Choose another one with --port.")
