"""Real demo sites, one for each way to run, and people who are logged in to them without a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest

from benchmarks.site import DemoSite


@dataclass
class Visitor:
    """Somebody with a cookie jar at a site."""

    site: DemoSite
    name: str
    http: httpx.Client

    def xsrf(self) -> str:
        """The hub's anti-forgery token of this jar."""
        return next(c.value or "" for c in self.http.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")

    def login(self, password: str | None = None) -> httpx.Response:
        """Log in at the hub with its own form."""
        self.http.get("/hub/login")
        form = {
            "username": self.name,
            "password": password or self.site.passwords[self.name],
            "_xsrf": self.xsrf(),
        }
        return self.http.post("/hub/login", data=form)

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form of the hub."""
        return self.http.post(path, data={"_xsrf": self.xsrf(), **form})

    def api(self, method: str, path: str) -> httpx.Response:
        """Ask the hub's API as the browser does."""
        return self.http.request(method, f"/hub/api/{path}", headers={"X-XSRFToken": self.xsrf()})

    def start_server(self, environment: str = "base", timeout_s: float = 120) -> dict[str, object]:
        """Start a server, unless it runs, and wait until the hub calls it ready; returns what the hub says of it."""
        started = self.api("POST", f"users/{self.name}/servers/{environment}")
        assert started.status_code in (201, 202) or "already running" in started.text, started.text
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            servers = self.api("GET", f"users/{self.name}").json()["servers"]
            if servers.get(environment, {}).get("ready"):
                return dict(servers[environment])
            time.sleep(0.2)
        raise TimeoutError(self.site.text())

    def stop_server(self, environment: str = "base", timeout_s: float = 60) -> None:
        """Stop a server, if it runs, and wait until it is gone: tests of several files share a site."""
        self.api("DELETE", f"users/{self.name}/servers/{environment}")
        deadline = time.monotonic() + timeout_s
        while environment in self.api("GET", f"users/{self.name}").json()["servers"]:
            assert time.monotonic() < deadline, self.site.text()
            time.sleep(0.2)


@pytest.fixture(scope="session")
def visit() -> Iterator[Callable[[DemoSite, str], Visitor]]:
    """`visit(site, name)`: a new cookie jar; it is closed at the end."""
    jars: list[httpx.Client] = []

    def make(site: DemoSite, name: str) -> Visitor:
        jars.append(httpx.Client(base_url=site.url, follow_redirects=True, timeout=120, verify=site.trust))
        return Visitor(site, name, jars[-1])

    yield make
    for jar in jars:
        jar.close()


@pytest.fixture
def make_deep() -> Iterator[Callable[[Path], None]]:
    """`make_deep(top)`: a folder of folders, deeper than a path can name and Python can call itself."""
    made: list[Path] = []

    def make(top: Path) -> None:
        made.append(top)
        top.mkdir(parents=True)
        above = os.open(top, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d", dir_fd=above)
            below = os.open("d", os.O_RDONLY, dir_fd=above)
            os.close(above)
            above = below
        os.close(above)

    yield make
    for top in made:  # pytest itself could not
        subprocess.run(["rm", "-r", str(top)], check=True)


@pytest.fixture(scope="session")
def process_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A demo site without Docker."""
    with DemoSite(tmp_path_factory.mktemp("process"), "process") as site:
        yield site


@pytest.fixture(scope="session")
def docker_site(tmp_path_factory: pytest.TempPathFactory, base_image: str) -> Iterator[DemoSite]:
    """A demo site with Docker."""
    with DemoSite(tmp_path_factory.mktemp("docker"), "docker") as site:
        yield site


def site_containers(engine: docker.DockerClient, folder: Path) -> list[docker.models.containers.Container]:
    """The containers of the site in `folder`."""
    from hub.settings import load_settings
    from hub.site import site_label

    label = site_label(load_settings(folder / "ictlabs.toml"))
    return list(engine.containers.list(all=True, filters={"label": f"ictlabs.site={label}"}))


@pytest.fixture(scope="session")
def containers_of(
    docker_engine: docker.DockerClient,
) -> Callable[[DemoSite], list[docker.models.containers.Container]]:
    """`containers_of(site)`: every container of that site, running or not."""
    return lambda site: site_containers(docker_engine, site.folder)


@pytest.fixture(scope="session")
def processes_of() -> Callable[[DemoSite], list[str]]:
    """`processes_of(site)`: command lines of the site's processes: by its folder, or by its portal's address."""

    def find(site: DemoSite) -> list[str]:
        found = []
        plan = json.loads((site.folder / "var" / "run" / "site.json").read_text())
        portal = f"{plan['inner_ip']}:{plan['portal_port']}/services/portal"
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                cwd = str((entry / "cwd").readlink())
            except OSError:
                continue  # ended meanwhile, or not ours to see
            folder = str(site.folder)
            if folder in command or folder in environment or cwd.startswith(folder) or portal in environment:
                found.append(re.sub(r"\s+", " ", command))
        return found

    return find
