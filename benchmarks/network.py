"""Networks of OSPF routers in a container with a student's walls: seconds to build, converge and tear down, and memory.

    python -m benchmarks.network [--routers 3 --routers 10 --routers 20 --routers 30] [--memory-mb 512] [--cpus 1]

prints one JSON line: {"network": [{"routers": 3, "build_s": ..., "converge_s": ..., "teardown_s": ...,
"memory_mb": ..., "processes": ...}, ...], "container": {...}}. A notebook server runs beside them, as a student's does;
server_mb is its memory. The routers stand in a ring with a host at two opposite
ones; built is when all daemons run and are configured, converged when every router knows every network and the hosts
ping each other, torn down when no process is left. memory_mb is what the network adds to the container's cgroup,
without file cache. No peer is measured: the network emulators we know want root or a privileged container.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import docker

from grader.sandbox.seccomp import profile_json
from hub.images import image_name
from hub.settings import Settings
from hub.spawners.docker import NESTED

# Runs in the container. A line of JSON at each stage; then it waits until the file GO is there.
INSIDE = """
import json, os, sys, time
from ictlab.net import Topology
count, go = int(sys.argv[1]), "/tmp/go"

def stage(**told):
    print(json.dumps(told), flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    os.unlink(go)

def processes():
    return sum(name.isdigit() for name in os.listdir("/proc"))

stage(stage="ready")
begin, before = time.monotonic(), processes()
net = Topology("ring")
routers = [net.router(f"r{n}", "ospfd") for n in range(count)]
for n in range(count):
    after = (n + 1) % count
    net.link(f"r{n}:next", f"r{after}:before", f"10.0.{n}.1/30", f"10.0.{n}.2/30")
ends = [0, count // 2]
for n in ends:
    net.host(f"h{n}")
    net.link(f"h{n}:eth0", f"r{n}:room", f"192.168.{n}.10/24", f"192.168.{n}.1/24")
    net[f"h{n}"].run(f"ip route add default via 192.168.{n}.1")
net.start()
for n, router in enumerate(routers):
    router.vtysh(f"configure terminal\\nrouter ospf\\n ospf router-id 1.1.1.{n + 1}\\n"
                 " network 10.0.0.0/8 area 0\\n network 192.168.0.0/16 area 0\\n passive-interface room")
built = time.monotonic()
wanted = {f"10.0.{n}.0/30" for n in range(count)} | {f"192.168.{n}.0/24" for n in ends}
while not all(wanted <= router.routes().keys() for router in routers):
    assert time.monotonic() - built < 120, "no convergence in two minutes"
    time.sleep(0.05)
assert net[f"h{ends[0]}"].ping(f"192.168.{ends[1]}.10")
converged = time.monotonic()
stage(stage="converged", build_s=round(built - begin, 2), converge_s=round(converged - built, 2),
      processes=processes() - before)
ending = time.monotonic()
net.close()
while processes() > before:
    time.sleep(0.01)
stage(stage="over", teardown_s=round(time.monotonic() - ending, 2))
"""


def measure(container: Any, routers: int) -> dict[str, Any]:
    """One network, built once in `container`."""
    _, output = container.exec_run(["python3", "-c", INSIDE, str(routers)], stream=True)
    row: dict[str, Any] = {"routers": routers}
    before = 0.0
    for told in _lines(output):
        stage = told.pop("stage")
        row |= told
        if stage == "ready":
            before = memory_mb(container)
        elif stage == "converged":
            row["memory_mb"] = round(memory_mb(container) - before, 1)
        container.exec_run(["touch", "/tmp/go"])  # noqa: S108 (the container's own)
    if "teardown_s" not in row:
        raise SystemExit(f"{routers} routers: the network was not finished: {row}")
    return row


def memory_mb(container: Any) -> float:
    """What the container's processes have, without file cache that could go."""
    told = container.stats(stream=False)["memory_stats"]
    cache = told["stats"].get("inactive_file", told["stats"].get("total_inactive_file", 0))
    return float(told["usage"] - cache) / 2**20


def _lines(output: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    kept = b""
    for piece in output:
        kept += piece
        while b"\n" in kept:
            line, _, kept = kept.partition(b"\n")
            if not line.startswith(b"{"):
                sys.exit(f"in the container: {line.decode(errors='replace')} {kept.decode(errors='replace')}")
            yield json.loads(line)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--routers", type=int, action="append", help="3, 10, 20 and 30 if left out")
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--cpus", type=float, default=1.0)
    given = parser.parse_args()
    client = docker.from_env()
    image = image_name(Settings(), "network")
    config = client.api.create_host_config(
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", f"seccomp={profile_json(nested=True)}"],
        mem_limit=f"{given.memory_mb}m",
        nano_cpus=int(given.cpus * 1e9),
        pids_limit=1024,
        network_mode="none",
        tmpfs={"/tmp": "size=256m,mode=1777"},  # noqa: S108 (the container's own)
        init=True,
    )
    config.update(NESTED["host_config"])
    made = client.api.create_container(image, ["jupyter", "lab", "--no-browser"], host_config=config)["Id"]
    container = client.containers.get(made)
    try:
        container.start()
        container.exec_run(
            ["timeout", "60", "sh", "-c", "until curl -s 127.0.0.1:8888/api; do sleep 0.1; done"]
        )
        server_mb = round(memory_mb(container), 1)
        rows = [measure(container, routers) for routers in given.routers or (3, 10, 20, 30)]
    finally:
        container.remove(force=True)
    walls = {
        "memory_mb": given.memory_mb,
        "server_mb": server_mb,
        "cpus": given.cpus,
        "user": "1000:1000",
        "capabilities": [],
        "network": "none",
    }
    print(json.dumps({"network": rows, "container": walls}))


if __name__ == "__main__":
    main()
