"""A whole demo site for a measurement or an end-to-end test: started by `ict up --demo`, stopped by Ctrl-C."""

from __future__ import annotations

import os
import random
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from hub.site import can_listen

READY = " is up:"
ACCOUNT = re.compile(r"^\s*(teacher|alice|bob)\s+(?:password\s+)?(\S{8,})\s*$", re.MULTILINE)


def free_ports(count: int) -> list[int]:
    """Find `count` TCP ports in a row that a server can listen on.

    They lie below the range from which the kernel gives ports to connections: a site takes seconds to start, and a
    connection made meanwhile could get one of them.
    """
    for base in random.sample(range(12_000, 32_000 - count), 500):
        if all(can_listen("127.0.0.1", port) for port in range(base, base + count)):
            return list(range(base, base + count))
    raise RuntimeError("no free ports between 12000 and 32000")


class DemoSite:
    """A demo site in `folder` with spawner `docker` or `process`; a context manager.

    After it is entered: `url`, `passwords` (name -> password), `started_s` (seconds from nothing to ready).
    """

    def __init__(
        self,
        folder: Path,
        spawner: str,
        timeout_s: float = 300,
        *,
        site: str = "",
        hub: str = "",
        host: str = "127.0.0.1",
        before: tuple[str, ...] = (),
        authority: Path | None = None,
    ) -> None:
        """site, hub: further lines of the tables [site] and [hub]; `hub` may go on with other tables.

        before: words before the command, such as nsenter's. authority: PEM file of the CA of a site with https.
        """
        self.host = host
        self.before = before
        self.folder = folder
        self.site = site
        self.hub = hub
        self.spawner = spawner
        self.timeout_s = timeout_s
        self.port = free_ports(4)[0]
        self.url = f"{'https' if authority else 'http'}://{host}:{self.port}"
        self.trust = ssl.create_default_context(cafile=authority)
        self.passwords: dict[str, str] = {}
        self.started_s = 0.0
        self.log = folder / "up.log"

    def __enter__(self) -> DemoSite:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "ictlabs.toml"
        settings.write_text(
            f'[site]\ndata_dir = "var"\n{self.site}\n[hub]\nhost = "{self.host}"\nport = {self.port}\n'
            f'spawner = "{self.spawner}"\nnetwork = "ictlabs-{self.port}"\n'
            f"{self.hub}\n"
        )
        began = time.perf_counter()
        said_before = self.text().count(READY)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "hub.cli", "--settings", str(settings), "up", "--demo"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            self._wait_until_ready(began, said_before)
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_until_ready(self, began: float, said_before: int) -> None:
        while time.perf_counter() - began < self.timeout_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"`ict up` ended with {self.process.returncode}:\n{self.text()[-4000:]}")
            if self.text().count(READY) > said_before and self.answers():
                self.passwords |= dict(ACCOUNT.findall(self.text()))
                self.started_s = time.perf_counter() - began
                return
            time.sleep(0.1)
        raise TimeoutError(f"the site was not ready after {self.timeout_s} s:\n{self.text()[-4000:]}")

    def text(self) -> str:
        """What `ict up` has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def answers(self) -> bool:
        """Whether the portal answers through the proxy."""
        try:
            with urllib.request.urlopen(  # noqa: S310 (loopback)
                f"{self.url}/services/portal/health", timeout=5, context=self.trust
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def ict(self, *arguments: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run an `ict` command on this site."""
        return subprocess.run(
            [sys.executable, "-m", "hub.cli", "--settings", str(self.folder / "ictlabs.toml"), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def stop(self) -> int:
        """Press Ctrl-C and wait; returns the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
