"""A restart of the Docker Engine, one of this test's own, in the middle of submissions and grading in containers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.people import COURSE

pytestmark = [pytest.mark.slow, pytest.mark.docker]
BRIDGE = "ict-faults0"
FILE = "api/contents/mine.txt"


class Engine:
    """A dockerd with folders, socket and bridge of its own. It leaves the firewall to the machine's Engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder / 'docker.sock'}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        # It must have a bridge of its own and no address pools: without a bridge, or at a second start with pools, it
        # takes docker0 away, which is the machine's Engine's. Docker looks by itself which addresses are free.
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=False, capture_output=True)
        subprocess.run(["ip", "addr", "replace", "10.212.0.1/24", "dev", BRIDGE], check=True)
        command = ["dockerd", "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
                   "-H", self.host, "-p", str(self.folder / "pid"), f"--bridge={BRIDGE}", "--iptables=false",
                   "--ip6tables=false"]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while subprocess.run(
            ["docker", "-H", self.host, "info"], capture_output=True, check=False
        ).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, (
                self.folder / "log"
            ).read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it as systemd does; its containers stop with it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False)

    def load(self, image: str) -> None:
        """Copy an image of the machine's Engine."""
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "-H", self.host, "load"], stdin=save.stdout, check=True, capture_output=True
        )
        assert save.wait() == 0


@pytest.fixture
def engine(base_image: str, missing: Callable[[str, str], None]) -> Iterator[Engine]:
    """An Engine to harm, with the base image in it."""
    if os.geteuid() or not shutil.which("dockerd"):
        missing("no Docker Engine can be started here", "run the tests as root, with docker.io installed")
    folder = Path(tempfile.mkdtemp(prefix="ict-eng-", dir="/var/tmp"))  # a socket's path is short
    own = Engine(folder)
    own.start()
    try:
        own.load(base_image)
        yield own
    finally:
        own.stop()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def test_a_restart_of_the_engine_loses_nothing(
    open_school: Any, waiting: Any, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    more = "[grader]\nworkers = 1\nslots = 2\n[grader.exchange]\nmax_per_hour = 100000\n"
    with open_school(tmp_path, "docker", more=more) as school:
        ada = school.people["ada"]
        before = ada.start("base")
        content = {"type": "file", "format": "text", "content": "mine"}
        ada.in_server("PUT", "base", FILE, json=content).raise_for_status()
        with school.at_work():
            (job,) = school.store.jobs(COURSE, "sums", only_open=True)
            engine.stop()
            engine.start()
            school.go_on()
        waiting(lambda: not school.store.jobs(COURSE, only_open=True), "the job's end", timeout_s=150)
        after = ada.start("base")

        school.assert_nothing_lost()
        assert school.store.job(job.id).state == "done"
        assert after["started"] != before["started"]
        assert ada.in_server("GET", "base", FILE).json()["content"] == "mine"
        assert "is tried again: " in school.log(f"grade-{COURSE}-sums")
        assert "ada server stopped, with exit code" in school.log("hub")
