"""`compose.yaml`: a site in containers, by the docker-compose that is installed here, from nothing to marks and away again."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import docker
import nbformat
import pytest
import yaml

from benchmarks.people import COURSE, Person
from benchmarks.site import free_ports
from grader.archives import pack
from hub.images import SITE, image_name
from hub.settings import Settings, load_settings
from hub.site import can_listen, site_label
from labs import build
from labs.library import Library

LAB = "net-subnetting"
SERVICES = {"postgres", "scheduler", "site", "portal", "graders"}
PROJECT_LABEL = "com.docker.compose.project"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


class Compose:
    """A project of its own, with its data below `folder`."""

    def __init__(self, command: list[str], root: Path, folder: Path, engine: docker.DockerClient) -> None:
        self.engine = engine
        self.folder = folder
        self.port, *others, scheduler = free_ports(5)
        self.ports = [self.port, *others, scheduler]
        self.project = f"ictlabs-test-{self.port}"
        self.network = f"ictlabs-{self.port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.passwords: dict[str, str] = {}
        self._command = [*command, "--project-name", self.project, "--file", str(root / "compose.yaml")]
        socket = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path
        self._env = os.environ | {
            "ICTLABS_DATA": str(folder),
            "ICTLABS_SCHEDULER_PORT": str(scheduler),
            "ICTLABS_DOCKER_SOCKET": socket,
        }

    def __call__(self, *words: str) -> str:
        """Run a command of docker-compose; what it printed."""
        done = subprocess.run(
            [*self._command, *words], env=self._env, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{self.logs()}"
        return done.stdout

    def sql(self, query: str) -> list[list[str]]:
        """Ask the record."""
        command = ["psql", "--dbname=ictlabs", "--no-align", "--tuples-only", f"--command={query}"]
        return [line.split("|") for line in self("exec", "-T", "postgres", *command).splitlines()]

    def containers(self) -> dict[str, Any]:
        """The project's containers by their service."""
        found = self.engine.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={self.project}"})
        return {each.labels["com.docker.compose.service"]: each for each in found}

    def servers(self) -> list[Any]:
        """Containers that the site started: students' servers."""
        label = site_label(load_settings(self.folder / "ictlabs.toml"))
        return list(self.engine.containers.list(all=True, filters={"label": f"ictlabs.site={label}"}))

    def logs(self) -> str:
        """The end of what each service said."""
        said = {name: each.logs(tail=30).decode() for name, each in self.containers().items()}
        said |= {file.name: file.read_text()[-3000:] for file in (self.folder / "var/logs").glob("*.log")}
        return "\n".join(f"--- {name}\n{text}" for name, text in said.items())

    def set_up(self) -> None:
        """As an operator who edits the settings before the first start."""
        self("run", "--rm", "--no-deps", "site", "true")
        file = self.folder / "ictlabs.toml"
        text = file.read_text()
        for old, new in (
            ("port = 8000", f'port = {self.port}\nnetwork = "{self.network}"'),
            (":8786", f":{self.ports[-1]}"),
        ):
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)

    def up(self) -> None:
        """Start all services and wait until they are healthy."""
        self("up", "--detach")
        deadline = time.monotonic() + 300
        while True:
            found = {name: _health(each) for name, each in self.containers().items()}
            if found == dict.fromkeys(SERVICES, "healthy"):
                return
            assert time.monotonic() < deadline, f"{found}\n{self.logs()}"
            time.sleep(0.5)

    def clear(self, image: str) -> None:
        """Leave nothing, whatever happened."""
        with_data = {str(self.folder): {"bind": "/data", "mode": "rw"}}
        if (self.folder / "ictlabs.toml").exists():
            for each in self.servers():
                each.remove(force=True, v=True)
        subprocess.run(
            [*self._command, "down", "-v", "--timeout", "20"], env=self._env, capture_output=True, check=False
        )
        for network in self.engine.networks.list(names=[self.network]):
            network.remove()
        # what lies there belongs to root
        clean = ["find", "/data", "-mindepth", "1", "-delete"]
        self.engine.containers.run(image, clean, entrypoint=[], volumes=with_data, remove=True)
        self.folder.rmdir()


@pytest.fixture(scope="module")
def compose(
    docker_engine: docker.DockerClient, base_image: str, root: Path, missing: Callable[[str, str], None]
) -> Iterator[Compose]:
    """A project that is up and healthy."""
    command = [shutil.which("docker-compose") or ""]
    if not command[0]:
        missing("no docker-compose on PATH", "apt-get install docker-compose")
    image = image_name(Settings(), SITE)
    try:
        docker_engine.images.get(image)
    except docker.errors.ImageNotFound:
        missing(f"no image {image}", f"`ict images build {SITE}` builds it")
    # short: a socket's path has 107 characters
    project = Compose(command, root, Path(tempfile.mkdtemp(prefix="ict-", dir="/var/tmp")), docker_engine)
    try:
        project.set_up()
        project.up()
        yield project
    finally:
        project.clear(image)


def _health(container: Any) -> str:
    return str(container.attrs["State"].get("Health", {}).get("Status"))


def test_compose_runs_the_image_of_this_version(root: Path) -> None:
    services = yaml.safe_load((root / "compose.yaml").read_text())["services"]

    assert set(services) == SERVICES
    assert {service["image"] for service in services.values()} == {image_name(Settings(), SITE)}


def test_only_the_site_and_the_graders_hold_the_docker_socket_and_nothing_is_privileged(
    compose: Compose,
) -> None:
    containers = compose.containers()
    hosts = {name: each.attrs["HostConfig"] for name, each in containers.items()}
    mounts = {name: {m["Destination"] for m in each.attrs["Mounts"]} for name, each in containers.items()}

    assert {name for name, inside in mounts.items() if "/var/run/docker.sock" in inside} == {
        "site",
        "graders",
    }
    assert {name for name, inside in mounts.items() if "/run/postgresql" in inside} == {
        "site",
        "portal",
        "postgres",
    }
    assert not any(host["Privileged"] for host in hosts.values())
    assert all(host["CapDrop"] == ["ALL"] for host in hosts.values())
    assert all("no-new-privileges:true" in host["SecurityOpt"] for host in hosts.values())
    assert hosts["postgres"]["NetworkMode"] == "none"


def test_the_portal_reaches_no_engine_no_key_of_the_graders_and_no_settings_to_change(
    compose: Compose,
) -> None:
    tried = """
        python3 -c "import docker; docker.from_env().ping()" 2>/dev/null && echo engine
        ls -A grading
        echo >>ictlabs.toml && echo settings
        touch grading.new && echo folder
        touch var/new && rm var/new && echo data
    """

    said = compose("exec", "-T", "portal", "sh", "-c", tried).split()

    assert said == ["data"]  # that it may, and so the others were really tried


def test_secrets_are_made_at_the_first_start_for_root_alone(compose: Compose) -> None:
    named = compose(
        "exec", "-T", "site", "find", "grading", "var/secrets", "-type", "f", "-printf", "%m %p\n"
    )
    modes = {path: mode for mode, path in (line.split(" ", 1) for line in named.splitlines())}

    assert modes.pop("grading/cert.pem")
    assert "grading/key.pem" in modes
    assert "var/secrets/cookie_secret" in modes
    assert set(modes.values()) == {"600"}


def test_a_student_works_hands_in_and_is_graded_by_the_graders(compose: Compose) -> None:
    lab = Library().lab(LAB)
    wrong = next(each for each in lab.attempts() if each.rest == "solution")
    lost = sum(lab.exercises[name].points - points for name, points in wrong.earns.items())
    script = f"""set -e
        ict course create {COURSE} --instructor teacher
        printf 'alice\\nbob\\n' >roster.csv
        ict course enrol {COURSE} roster.csv
        ict release {COURSE} {LAB}
        for name in teacher alice bob; do ict people add $name; done"""
    said = compose("exec", "-T", "site", "sh", "-c", script).splitlines()
    compose.passwords.update(line.split() for line in said[-3:])
    site: Any = SimpleNamespace(url=compose.url, passwords=compose.passwords, folder=compose.folder)
    person = functools.partial(Person, site)

    with person("alice") as alice, person("bob") as bob, person("teacher") as teacher:
        alice.start_lab(LAB, alice.look(), timeout_s=120)
        opened = alice.in_server("GET", lab.environment, f"ictlab/open?course={COURSE}&lab={LAB}")
        (server,) = compose.servers()
        answers = {"alice": build.solved_notebooks(lab)[LAB], "bob": build.attempt_notebook(lab, wrong)}
        receipts = [
            who.hand_in(LAB, pack({f"{LAB}.ipynb": nbformat.writes(answers[who.name]).encode()}))
            for who in (alice, bob)
        ]
        job = teacher.grade(LAB).raise_for_status().json()
        deadline = time.monotonic() + 120
        while job["state"] in ("waiting", "running") and time.monotonic() < deadline:
            time.sleep(0.5)
            job = teacher.job(LAB, job["id"])
        alice.stop(lab.environment)

    assert opened.status_code == 302, opened.text
    assert server.labels["ictlabs.person"] == "alice"
    assert [answer.status_code for answer in receipts] == [201, 201]
    assert job["state"] == "done", f"{job}\n{compose.logs()}"
    marks = compose.sql(
        "select s.username, r.points, i.worker from report r join submission s on s.id = r.submission_id "
        "join job_item i on i.submission_id = s.id order by s.username"
    )
    assert {name: float(points) for name, points, _ in marks} == {
        "alice": lab.max_points,
        "bob": lab.max_points - lost,
    }
    assert all(worker.startswith("graders:") for _, _, worker in marks), marks
    assert not (compose.folder / "var" / "ictlabs.sqlite").exists()


def test_what_is_recorded_is_there_after_all_services_were_killed(compose: Compose) -> None:
    before = compose.sql("select count(*), max(at) from audit")
    for each in compose.containers().values():
        each.kill()

    compose.up()

    assert compose.sql("select count(*), max(at) from audit") == before


def test_down_leaves_nothing_running(compose: Compose) -> None:
    volumes = {"label": f"{PROJECT_LABEL}={compose.project}"}
    assert len(compose.engine.volumes.list(filters=volumes)) == 2

    compose("down", "--volumes")

    assert compose.containers() == {}
    assert compose.servers() == []
    assert compose.engine.volumes.list(filters=volumes) == []
    assert all(can_listen("127.0.0.1", port) for port in compose.ports)
