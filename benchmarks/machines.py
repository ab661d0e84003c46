"""Machines for a test or a measurement of a swarm: network namespaces, each with a Docker Engine of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker

# As docs/operator.md asks, but for no-new-privileges: a server must not have them without that either.
ENGINE = ["dockerd", "--userland-proxy=false"]


def run(*command: str | Path) -> str:
    """Run a command that has to succeed; what it printed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.strip()


def until(what: Callable[[], Any], timeout_s: float = 120) -> Any:
    """Wait until `what()` is true; what it is then."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.2)
    raise TimeoutError(what)


class Node:
    """A machine: a network namespace with an Engine of its own."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.name = f"{cluster.name}n{number}"
        self.address = f"{cluster.net}.{number}"
        self.folder = cluster.folder / self.name
        self.inside = ("nsenter", f"--net=/run/netns/{self.name}")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Where its Engine answers."""
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        """Start the Engine."""
        self.folder.mkdir(exist_ok=True)
        places = ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        command = [*self.inside, *ENGINE, *places, "-H", self.host, "-p", self.folder / "pid"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: (self.folder / "docker.sock").exists() and self.answers())

    def answers(self) -> bool:
        """Whether the Engine does."""
        with contextlib.suppress(docker.errors.DockerException), self.client() as client:
            return bool(client.ping())
        return False

    @contextlib.contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A client of the Engine."""
        client = docker.DockerClient(base_url=self.host, timeout=60)
        try:
            yield client
        finally:
            client.close()

    def docker(self, *words: str | Path) -> str:
        """`docker` on this machine."""
        return run("docker", "-H", self.host, *words)

    def power_off(self) -> None:
        """End every process of the machine at once: nothing says goodbye."""
        if self.process is None:
            return
        ours = {self.process.pid, *self._processes()}
        while ours:  # who was just being started too
            for pid in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
            ours = self._processes()
        self.process.wait()
        self.process = None

    def _processes(self) -> set[int]:
        """Engine, containerd, shims, by their folder; and what is in the containers, by its parents."""
        parents, ours = {}, set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
                    if str(self.folder).encode() in (entry / "cmdline").read_bytes():
                        ours.add(int(entry.name))
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return ours - {os.getpid()}


class Cluster:
    """A switch with three machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"ict{secrets.token_hex(2)}"
        self.net = f"10.231.{secrets.randbelow(200) + 10}"
        self.nodes = [Node(self, number) for number in (1, 2, 3)]

    def wire(self) -> None:
        """A bridge in a namespace of its own, where nobody filters; a cable to each machine, and one to this one."""
        switch = self.name
        run("ip", "netns", "add", switch)
        run("ip", "-n", switch, "link", "add", "switch", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "switch", "up")
        for number, node in enumerate(self.nodes, 1):
            run("ip", "netns", "add", node.name)
            run("ip", "-n", node.name, "link", "set", "lo", "up")
            peer = ("peer", "name", f"port{number}", "netns", switch)
            run("ip", "-n", node.name, "link", "add", "eth0", "type", "veth", *peer)
            run("ip", "-n", node.name, "address", "add", f"{node.address}/24", "dev", "eth0")
            run("ip", "-n", node.name, "link", "set", "eth0", "up")
            run("ip", "-n", node.name, "route", "add", "default", "via", f"{self.net}.254")
            run("ip", "-n", switch, "link", "set", f"port{number}", "master", "switch", "up")
        run("ip", "link", "add", switch, "type", "veth", "peer", "name", "port0", "netns", switch)
        run("ip", "-n", switch, "link", "set", "port0", "master", "switch", "up")
        run("ip", "address", "add", f"{self.net}.254/24", "dev", switch)
        run("ip", "link", "set", switch, "up")

    def join(self, image: str, root: Path, hub_ports: str, network: str) -> None:
        """Start the Engines with the image, make a swarm of them, and make each a node as an operator does."""
        run("docker", "save", image, "-o", self.folder / "image.tar")
        first = self.nodes[0]
        script = root / "deploy" / "swarm-node.sh"
        for node in self.nodes:
            run(*node.inside, script, "boot", first.address, hub_ports, network)
            node.start()
            node.docker("load", "-i", self.folder / "image.tar")
        first.docker("swarm", "init", "--advertise-addr", first.address, "--dispatcher-heartbeat", "1s")
        token = first.docker("swarm", "join-token", "-q", "worker")
        for node in self.nodes[1:]:
            node.docker("swarm", "join", "--token", token, "--advertise-addr", node.address, first.address)
        for node in [*self.nodes[1:], first]:
            run(*node.inside, "env", f"DOCKER_HOST={node.host}", script, first.address, hub_ports, network)

    def node_of(self, task: dict[str, Any]) -> Node:
        """The machine that has a task of a service."""
        for node in self.nodes:
            if node.process is not None:
                with node.client() as client:
                    if client.info()["Swarm"]["NodeID"] == task["NodeID"]:
                        return node
        raise LookupError(task)

    def clear(self) -> None:
        """End all of it, whatever state it is in."""
        for node in self.nodes:
            node.power_off()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(self.folder))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        subprocess.run(["ip", "link", "delete", self.name], capture_output=True, check=False)
        for name in [*(node.name for node in self.nodes), self.name]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
