"""Students' servers on many machines: three Docker Engines, each in a network namespace of its own, joined in a swarm."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from benchmarks.machines import Cluster, Node, run, until
from benchmarks.site import DemoSite
from grader.archives import pack
from grader.ownership import give
from grader.release import release_lab
from grader.store import Store
from hub.images import SITE, image_name
from hub.settings import Settings, load_settings
from labs.build import solved_notebooks
from labs.library import Library

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]  # three Engines take a while to start
Visit = Callable[[DemoSite, str], Any]
PEOPLE = ("teacher", "alice", "bob", "carol")
LABEL = "ictlabs.environment.ai"
PLACEMENT = f'placement = {{ ai = ["node.labels.{LABEL} == yes"] }}'


@pytest.fixture(scope="module")
def machines(
    tmp_path_factory: pytest.TempPathFactory, base_image: str, root: Path, missing: Callable[[str, str], None]
) -> Iterator[tuple[Cluster, DemoSite]]:
    """Three machines, and a site on the first."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("dockerd", "ip", "iptables"))):
        missing("machines of one's own need root, dockerd and ip", "apt-get install docker.io iproute2")
    # not below /tmp of pytest: an Engine's folders are large, and must be gone afterwards
    cluster = Cluster(Path(f"/var/tmp/ictlabs-swarm-{secrets.token_hex(4)}"))
    cluster.folder.mkdir(mode=0o711)
    first = cluster.nodes[0]
    try:
        cluster.wire()
        before = (*first.inside, "env", f"DOCKER_HOST={first.host}")
        folder = tmp_path_factory.mktemp("swarm")
        site = DemoSite(folder, "swarm", host=first.address, before=before, hub=PLACEMENT)
        cluster.join(base_image, root, f"{site.port + 1},{site.port + 2}", f"ictlabs-{site.port}")
        with site:
            yield cluster, site
    finally:
        cluster.clear()


def tasks(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Who has a running task: person -> task."""
    with cluster.nodes[0].client() as client:
        found = client.api.tasks(filters={"desired-state": "running"})
    return {
        task["Spec"]["ContainerSpec"]["Labels"]["ictlabs.person"]: task
        for task in found
        if task["Status"]["State"] == "running"
    }


@pytest.fixture(scope="module")
def people(machines: tuple[Cluster, DemoSite], visit: Visit) -> dict[str, Any]:
    """Four people with servers; the instructor's is where the course folder is."""
    _, site = machines
    added = site.ict("people", "add", "carol")
    site.passwords["carol"] = added.stdout.split()[-1]
    found = {name: visit(site, name) for name in PEOPLE}
    for visitor in found.values():
        visitor.login()
        visitor.start_server()
    return found


def inside(cluster: Cluster, person: str, code: str) -> Any:
    """Run Python in the person's container as they could in a terminal; what it says."""
    head = """
import errno, json, os, pathlib, socket, urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse
hub = urlparse(os.environ["JUPYTERHUB_API_URL"])
def reach(host, port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex((host, port)) == 0
def says(result):
    print(json.dumps(result))
"""
    with container(cluster, tasks(cluster)[person]) as found:
        environment = dict(line.split("=", 1) for line in found.attrs["Config"]["Env"])
        done = found.exec_run(["python3", "-c", head + textwrap.dedent(code)], environment=environment)
    assert done.exit_code == 0, done.output.decode()
    return json.loads(done.output.decode().splitlines()[-1])


def failed_start(visitor: Any, environment: str) -> str:
    """Start a server that cannot start; what the person is told."""
    visitor.api("POST", f"users/{visitor.name}/servers/{environment}")
    path = f"users/{visitor.name}/servers/{environment}/progress"
    told = until(lambda: "failed" in (text := visitor.api("GET", path).text) and text, 60)
    return str(json.loads(told.split("data:")[-1])["message"])


@contextlib.contextmanager
def container(cluster: Cluster, task: dict[str, Any]) -> Iterator[Any]:
    """The container of a task, on whichever machine it is."""
    with cluster.node_of(task).client() as client:
        yield client.containers.get(task["Status"]["ContainerStatus"]["ContainerID"])


def test_servers_are_spread_over_the_machines_and_an_instructors_is_where_the_course_folder_is(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any]
) -> None:
    cluster, _ = machines

    placed = {person: task["NodeID"] for person, task in tasks(cluster).items()}

    assert set(placed) == set(PEOPLE)
    assert len({placed[name] for name in ("teacher", "alice", "bob")}) == 3
    assert "gradebook.db" in inside(cluster, "teacher", "says(os.listdir('/home/student/courses/ict101'))")
    assert inside(cluster, "alice", "says(os.path.exists('/home/student/courses'))") is False


def test_a_service_has_the_walls_of_a_container(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any]
) -> None:
    cluster, _ = machines
    with container(cluster, tasks(cluster)["alice"]) as found:
        host = found.attrs["HostConfig"]

    server = inside(
        cluster,
        "alice",
        """
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            if b"ictlab.server" in (entry / "cmdline").read_bytes().split(b"\\0"):
                status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
        places = []
        for top, folders, _ in os.walk("/"):
            folders[:] = [f for f in folders if os.path.join(top, f) not in ("/proc", "/sys")]
            try:
                open(os.path.join(top, ".try"), "w").close(); os.remove(os.path.join(top, ".try"))
                places.append("/".join(top.split("/")[:3]))
            except OSError:
                pass
        says([status["NoNewPrivs"].strip(), status["CapBnd"].strip(), status["CapPrm"].strip(), status["Seccomp"].strip(),
              status["Uid"].split()[0], os.listdir("/home"), sorted(set(places))])
        """,
    )

    assert server[:4] == ["1", "0" * 16, "0" * 16, "2"]
    assert server[4] != "0"
    assert server[5] == ["student"]
    assert set(server[6]) <= {"/home/student", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (1024 * 2**20, 2 * 10**9, 512)
    assert host["Ulimits"] == [{"Name": "fsize", "Hard": 2048 * 2**20, "Soft": 2048 * 2**20}]
    assert host["ReadonlyRootfs"]
    assert host["IpcMode"] == "private"


def test_a_server_reaches_the_portal_and_neither_a_neighbour_nor_a_machine_nor_the_internet(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any]
) -> None:
    cluster, site = machines
    there = tasks(cluster)
    neighbour = next(n for n in PEOPLE[:3] if there[n]["NodeID"] == there["carol"]["NodeID"])
    published = {n: there[n]["Status"]["PortStatus"]["Ports"][0]["PublishedPort"] for n in there}
    with container(cluster, there[neighbour]) as found:
        network = next(iter(found.attrs["NetworkSettings"]["Networks"].values()))
    doors = [
        (network["IPAddress"], 8888),
        ("169.254.169.254", 80),
        ("192.0.2.1", 80),
        (f"{cluster.net}.254", 22),
    ]
    doors += [(cluster.nodes[0].address, port) for port in (2377, 7946, site.port)]
    doors += [(node.address, published[n]) for node in cluster.nodes for n in (neighbour, "carol")]
    doors += [(network["Gateway"], 7946)]

    found = inside(
        cluster,
        "carol",
        f"""
        portal = os.environ["ICTLABS_EXCHANGE_URL"].removesuffix("api/exchange") + "health"
        says([urllib.request.urlopen(portal, timeout=10).status, reach(hub.hostname, hub.port),
              [door for door, open in zip({doors!r}, ThreadPoolExecutor(20).map(lambda d: reach(*d), {doors!r})) if open]])
        """,
    )

    assert found == [200, True, []]
    for task in there.values():  # from outside, only the hub reaches a server
        node = cluster.node_of(task)
        with socket.socket() as probe:
            probe.settimeout(2)
            port = task["Status"]["PortStatus"]["Ports"][0]["PublishedPort"]
            assert probe.connect_ex((node.address, port)) != 0


def test_an_early_death_is_told_in_a_sentence_and_leaves_no_service(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any]
) -> None:
    cluster, site = machines
    bob = people["bob"]
    bob.api("DELETE", "users/bob/servers/base")
    until(lambda: "base" not in bob.api("GET", "users/bob").json()["servers"])
    config = site.folder / "var" / "homes" / "bob" / ".jupyter" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("import os; print('my last words', flush=True); os._exit(3)\n")
    give(config.parent)

    told = failed_start(bob, "base")
    with cluster.nodes[0].client() as client:
        services = [service.name for service in client.services.list() if "bob" in service.name]
    config.unlink()

    assert "stopped while it was starting" in told
    assert services == []
    assert "my last words" in (site.folder / "var" / "logs" / "hub.log").read_text()
    assert bob.start_server()["ready"]


def test_an_environment_keeps_to_the_machines_with_its_label_and_waits_for_one(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any], base_image: str
) -> None:
    cluster, _ = machines
    first, chosen = cluster.nodes[0], cluster.nodes[2]
    identity = chosen.docker("info", "--format", "{{.Swarm.NodeID}}")
    for node in cluster.nodes:  # under this name, since only where it goes is asked
        node.docker("tag", base_image, image_name(Settings(), "ai"))

    def task() -> Any:
        with first.client() as client:
            found = client.api.tasks(filters={"desired-state": "running"})
        return next((each for each in found if each["Spec"]["ContainerSpec"]["Hostname"] == "ai"), None)

    people["carol"].api("POST", "users/carol/servers/ai")
    waits = until(lambda: (now := task()) and now["Status"].get("Err") and now)
    first.docker("node", "update", "--label-add", f"{LABEL}=yes", identity)
    people["carol"].start_server("ai")
    runs = task()
    people["carol"].api("DELETE", "users/carol/servers/ai")
    until(lambda: task() is None)

    assert waits["Status"]["State"] == "pending"
    assert "NodeID" not in waits
    assert runs["NodeID"] == identity


def test_an_environment_that_a_service_cannot_run_is_refused_in_a_sentence(people: dict[str, Any]) -> None:
    told = failed_start(people["carol"], "network")

    assert "needs networks of its own" in told


def test_a_site_says_what_the_swarm_lacks(machines: tuple[Cluster, DemoSite], tmp_path: Path) -> None:
    cluster, site = machines
    settings = tmp_path / "ictlabs.toml"

    said = []
    for node in cluster.nodes[:2]:
        hub = f'host = "{node.address}"\nport = {site.port + 20}\nspawner = "swarm"\nnetwork = "another"\n'
        settings.write_text(f"[hub]\n{hub}")
        command = [sys.executable, "-m", "hub.cli", "--settings", str(settings), "up"]
        before = [*node.inside, "env", f"DOCKER_HOST={node.host}"]
        done = subprocess.run([*before, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        said.append(done.stderr)

    first = cluster.nodes[0].address
    assert f"deploy/swarm-node.sh {first} {site.port + 21},{site.port + 22} another" in said[0]
    assert "docker swarm init" in said[1]


@pytest.fixture
def graders(
    machines: tuple[Cluster, DemoSite], root: Path, missing: Callable[[str, str], None]
) -> Iterator[Node]:
    """The machine with the workers of the site's jobs: a service of the swarm, as deploy/swarm-graders.sh makes it."""
    cluster, site = machines
    first, second = cluster.nodes[:2]
    image = image_name(Settings(), SITE)
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        missing(f"no image {image}", "`ict images build site` builds it")
    packed, runs = cluster.folder / "site.tar", Path(f"/var/tmp/{cluster.name}-graders")
    run("docker", "save", image, "-o", packed)
    for node in (first, second):
        node.docker("load", "-i", packed)
    packed.unlink()
    runs.mkdir(mode=0o700)
    keys = 'tls_ca = "grading/cert.pem"\ntls_cert = "grading/cert.pem"\ntls_key = "grading/key.pem"\n'
    with (site.folder / "ictlabs.toml").open("a") as settings:
        settings.write(f'[grader]\nscheduler = "tls://{first.address}:8786"\n{keys}')
        settings.write('[grader.sandbox]\nbackend = "docker"\n')
    node_id = second.docker("info", "--format", "{{.Swarm.NodeID}}")
    told = (f"DOCKER_HOST={first.host}", f"DOCKER_SOCKET={second.folder}/docker.sock", f"SITE_IMAGE={image}",
            f"SERVICE_NAME={cluster.name}")  # fmt: skip
    try:
        run("env", *told, root / "deploy" / "swarm-graders.sh", site.folder, first.address,
            "--constraint", f"node.id=={node_id}")  # fmt: skip
        until(lambda: site.ict("worker", "--check").returncode == 0)
        yield second
    finally:
        for service in ("graders", "scheduler"):
            first.docker("service", "rm", f"{cluster.name}-{service}")
        until(lambda: "graders" not in second.docker("ps", "--format", "{{.Names}}"))
        shutil.rmtree(runs, ignore_errors=True)


def test_grading_runs_on_another_machine_of_the_swarm(
    machines: tuple[Cluster, DemoSite], graders: Node
) -> None:
    _, site = machines
    settings = load_settings(site.folder / "ictlabs.toml")
    store = Store.open(settings.database_url, settings.places)
    lab = Library().lab("net-subnetting")
    release_lab(store, settings.places, lab, "ict101", by="teacher")
    solved = {f"{name}.ipynb": nbformat.writes(each).encode() for name, each in solved_notebooks(lab).items()}
    store.submit("ict101", lab.name, "alice", pack(solved))

    done = site.ict("grade", "ict101", lab.name)

    assert done.returncode == 0, done.stderr
    ((row, report),) = store.reports("ict101", lab.name)
    assert (row.username, report.points) == ("alice", lab.max_points)
    (item,) = store.items(report.job_id)
    assert item.worker.startswith(f"graders-{graders.docker('info', '--format', '{{.Swarm.NodeID}}')}")
    store.close()


def test_a_machine_that_goes_down_gives_its_students_back_on_another_with_their_work(
    machines: tuple[Cluster, DemoSite], people: dict[str, Any]
) -> None:
    cluster, _ = machines
    before = tasks(cluster)
    inside(cluster, "alice", "says(pathlib.Path('/home/student/work.txt').write_text('subnet 10.0.0.0/30'))")
    lost = cluster.node_of(before["alice"])
    others = {n: task["ID"] for n, task in before.items() if task["NodeID"] != before["alice"]["NodeID"]}

    lost.power_off()

    after = until(
        lambda: (
            set(now := tasks(cluster)) == set(before)
            and now["alice"]["NodeID"] != before["alice"]["NodeID"]
            and now
        )
    )
    alice = people["alice"]
    url = alice.api("GET", "users/alice").json()["servers"]["base"]["url"]

    def read() -> str:
        alice.http.get(f"{url}lab")  # the server's own login
        answer = alice.http.get(f"{url}api/contents/work.txt")
        return str(answer.json()["content"]) if answer.status_code == 200 else ""

    work = until(read)
    assert work == "subnet 10.0.0.0/30"
    assert {n: after[n]["ID"] for n in others} == others
