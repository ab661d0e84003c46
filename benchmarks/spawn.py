"""What a student's server costs from click to ready: stock DockerSpawner beside ours, in one run on one Engine.

    python -m benchmarks.spawn [--students 1,8,30] [--environment base]

prints one JSON line: {"students": {"1": {"stock": {...}, "ours": {...}, "ratio": {...}}, ...}, "load_before": ...}. Of each
side: ready_p50_s and ready_p95_s (from the click of each student, all at once, until the hub calls the server ready),
storm_s (until the last one is), cpu_s (CPU of a student's container until two seconds after that, the mean),
hub_cpu_s (of the hub's process, a student), memory_mb (of a container, without what the page cache can give back, the
mean), failed. ratio: ours divided by stock.

Stock is JupyterHub with DockerSpawner as its documentation sets it up, Traefik, and an image of the same packages as ours
with nothing tuned: no configuration of ours, and the packages that ours leaves out put back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx

from benchmarks.site import DemoSite, free_ports
from grader.store import MemberRow, Store
from hub.accounts import Accounts
from hub.images import image_name
from hub.settings import Settings, load_settings
from hub.site import site_label

PASSWORD = "a-password-for-a-while"  # noqa: S105 (of sites that live for a minute)
SETTLE_S = 2.0  # what a server still does once it answers belongs to its start
# jsonschema tries them; our image does not have them
LEFT_OUT = ("rfc3987_syntax", "lark", "rfc3986_validator.py")
PATIENCE_S = 600.0
STOCK_IMAGE = "ictlabs-stock:benchmark"
STOCK_CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_bind_url = "http://{gateway}:{hub_port}"
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.pid_file = ""
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allow_all = True
c.JupyterHub.proxy_class = "traefik_file"
c.TraefikProxy.traefik_api_url = "http://127.0.0.1:{api_port}"
c.TraefikProxy.traefik_api_username = "hub"
c.TraefikProxy.traefik_api_password = "{password}"
c.TraefikFileProviderProxy.dynamic_config_file = "{folder}/routes.toml"
c.TraefikProxy.static_config_file = "{folder}/traefik.toml"
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "{network}"
c.DockerSpawner.mem_limit = "{memory_mb}M"
c.Spawner.start_timeout = 600
c.Spawner.http_timeout = 600
"""


@dataclass
class Side:
    """One hub that is up. api_server: path of a student's server below users/NAME/, as the API has it."""

    url: str
    hub_pid: int
    api_server: str
    container_filter: dict[str, str]


@contextlib.contextmanager
def stock(engine: docker.DockerClient, folder: Path, settings: Settings, image: str) -> Iterator[Side]:
    """A stock hub."""
    port, hub_port, api_port = free_ports(3)
    name = f"ictlabs-stock-{port}"
    network = engine.networks.create(name, driver="bridge")
    network.reload()
    config = folder / "stock.py"
    config.write_text(
        STOCK_CONFIG.format(
            port=port, hub_port=hub_port, api_port=api_port, gateway=network.attrs["IPAM"]["Config"][0]["Gateway"],
            folder=folder, password=PASSWORD, image=image, network=name, memory_mb=settings.hub.memory_mb,
        )
    )  # fmt: skip
    with (folder / "stock.log").open("wb") as log:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            start_new_session=True,
        )
    try:
        side = Side(f"http://127.0.0.1:{port}", hub.pid, "server", {"name": name})
        _wait(side, folder / "stock.log")
        yield side
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(hub.pid, signal.SIGINT)
        hub.wait(120)
        for each in engine.containers.list(all=True, filters={"name": name}):
            each.remove(force=True)
        network.remove()


@contextlib.contextmanager
def ours(folder: Path, people: int, environment: str) -> Iterator[Side]:
    """A demo site of ours, with so many more students."""
    site = DemoSite(folder, "docker")
    with site:
        settings = load_settings(folder / "ictlabs.toml")
        store, accounts = Store.open(settings.database_url, settings.places), Accounts(settings)
        store.enrol("ict101", [MemberRow(_name(number)) for number in range(people)])
        for number in range(people):
            accounts.add(_name(number), PASSWORD)
        store.close()
        hub = _child(site.process.pid, "jupyterhub_config.py")
        label = f"ictlabs.site={site_label(settings)}"
        yield Side(site.url, hub, f"servers/{environment}", {"label": label})


def _name(number: int) -> str:
    return f"student{number:03}"


def _child(parent: int, word: str) -> int:
    """The process below `parent` whose command line has `word`."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if int(stat[1]) == parent and word in command:
                return int(entry.name)
    raise RuntimeError(f"there is no process with {word} below {parent}")


def _wait(side: Side, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{side.url}/hub/api/").status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the hub did not come up:\n{log.read_text()[-3000:]}")


async def _login(side: Side, name: str) -> httpx.AsyncClient:
    """A browser's cookies of somebody who is logged in."""
    client = httpx.AsyncClient(base_url=side.url, follow_redirects=False, timeout=httpx.Timeout(PATIENCE_S))
    await client.get("/hub/login")
    form = {"username": name, "password": PASSWORD, "_xsrf": _xsrf(client)}
    answer = await client.post("/hub/login", data=form)
    if answer.status_code != 302:
        raise RuntimeError(f"{name} could not log in: {answer.status_code}\n{answer.text[:500]}")
    await client.get("/hub/home")  # the token of the forms of who is logged in
    return client


def _xsrf(client: httpx.AsyncClient) -> str:
    return next(
        each.value or "" for each in client.cookies.jar if each.name == "_xsrf" and each.path == "/hub/"
    )


async def _click(side: Side, client: httpx.AsyncClient, name: str) -> float | None:
    """Ask for the server and follow the hub's messages until it is ready: seconds, or None if it failed."""
    began = time.perf_counter()
    headers = {"X-XSRFToken": _xsrf(client)}
    path = f"/hub/api/users/{name}/{side.api_server}"
    answer = await client.post(path, headers=headers)
    while answer.status_code == 429:  # "too many students at once": a person presses again
        await asyncio.sleep(1)
        answer = await client.post(path, headers=headers)
    if answer.status_code not in (201, 202):
        return None
    async with client.stream("GET", f"{path}/progress", headers=headers) as events:
        async for line in events.aiter_lines():
            event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if event.get("failed"):
                return None
            if event.get("ready"):
                return time.perf_counter() - began
    return None


async def _storm(side: Side, names: list[str]) -> dict[str, Any]:
    clients = [await _login(side, name) for name in names]
    cpu_before, began = _cpu_s(side.hub_pid), time.perf_counter()
    took = await asyncio.gather(*(_click(side, c, n) for c, n in zip(clients, names, strict=True)))
    storm_s = time.perf_counter() - began
    await asyncio.sleep(SETTLE_S)
    hub_cpu_s = _cpu_s(side.hub_pid) - cpu_before
    for client in clients:
        await client.aclose()
    ready = [each for each in took if each is not None]
    return {
        "ready_p50_s": round(statistics.median(ready), 2) if ready else None,
        "ready_p95_s": round(sorted(ready)[max(0, -(-len(ready) * 95 // 100) - 1)], 2) if ready else None,
        "storm_s": round(storm_s, 2),
        "hub_cpu_s": round(hub_cpu_s / len(names), 2),
        "failed": len(names) - len(ready),
    }


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _containers(engine: docker.DockerClient, side: Side) -> dict[str, float]:
    """Mean CPU seconds and memory of the side's containers, which are removed afterwards."""
    found = engine.containers.list(filters=side.container_filter)
    stats = [each.stats(stream=False, one_shot=True) for each in found]
    cpu = [each["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 for each in stats]
    memory = [
        (each["memory_stats"]["usage"] - each["memory_stats"]["stats"].get("inactive_file", 0)) / 2**20
        for each in stats
    ]
    return {"cpu_s": round(statistics.mean(cpu), 2), "memory_mb": round(statistics.mean(memory), 1)}


def measure(engine: docker.DockerClient, side: Side, students: int, first: int) -> dict[str, Any]:
    """Let so many students, from number `first` on, click at once; stop their servers afterwards."""
    names = [_name(number) for number in range(first, first + students)]
    found = asyncio.run(_storm(side, names)) | _containers(engine, side)
    asyncio.run(_stop(side, names))
    return found


async def _stop(side: Side, names: list[str]) -> None:
    async def one(name: str) -> None:
        client = await _login(side, name)
        path = f"/hub/api/users/{name}/{side.api_server}"
        while (await client.delete(path, headers={"X-XSRFToken": _xsrf(client)})).status_code == 202:
            await asyncio.sleep(0.3)
        await client.aclose()

    await asyncio.gather(*(one(name) for name in names))


def build_stock_image(engine: docker.DockerClient, base: str) -> str:
    """The packages of our image without its tuning."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site-packages").mkdir()
        for left_out in LEFT_OUT:
            there = Path(sysconfig.get_path("purelib")) / left_out
            copy = shutil.copytree if there.is_dir() else shutil.copy
            copy(there, folder / "site-packages" / left_out)
        (folder / "Dockerfile").write_text(
            f"FROM {base}\nUSER root\n"
            "COPY site-packages/ /usr/local/lib/python3.11/site-packages/\n"
            f"RUN cd /usr/local/lib/python3.11/site-packages && python3 -m compileall -q {' '.join(LEFT_OUT)} "
            "&& rm -rf /etc/jupyter /usr/local/share/jupyter/labextensions/ictlab-ahead\n"
            'USER 1000:1000\nCMD ["jupyterhub-singleuser"]\n'
        )
        engine.images.build(path=name, tag=STOCK_IMAGE, rm=True, network_mode="none")
    return STOCK_IMAGE


def _ratio(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    names = ("ready_p50_s", "ready_p95_s", "storm_s", "cpu_s", "hub_cpu_s", "memory_mb")
    return {
        name: round(found["ours"][name] / found["stock"][name], 3)
        for name in names
        if found["ours"][name] and found["stock"][name]
    }


def main() -> int:
    """Print the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", default="1,8,30", help="how many click at once, in turn")
    parser.add_argument("--environment", default="base")
    chosen = parser.parse_args()
    counts = [int(each) for each in chosen.students.split(",")]
    engine, load = docker.from_env(timeout=120), os.getloadavg()[0]
    found: dict[str, dict[str, Any]] = {str(count): {} for count in counts}
    image = build_stock_image(engine, image_name(Settings(), chosen.environment))
    with tempfile.TemporaryDirectory(prefix="ictlabs-spawn-") as name:
        folder = Path(name)
        for kind in ("stock", "ours"):
            place = folder / kind
            place.mkdir()
            hub = (
                stock(engine, place, Settings(), image)
                if kind == "stock"
                else ours(place, sum(counts), chosen.environment)
            )
            with hub as side:
                first = 0
                for count in counts:
                    found[str(count)][kind] = measure(engine, side, count, first)
                    first += count
                    print(f"{kind}, {count}: {found[str(count)][kind]}", file=sys.stderr)
    engine.images.remove(image)
    for each in found.values():
        each["ratio"] = _ratio(each)
    print(json.dumps({"students": found, "environment": chosen.environment, "load_before": round(load, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
