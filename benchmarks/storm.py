"""A class at nine o'clock: so many students press Start in the portal at once, and each waits as the page does.

    python -m benchmarks.storm [--students 100] [--spawner docker] [--lab net-subnetting]

prints one JSON line: {"students": ..., "failed": starts that ended in anything else than the notebook server, none is
wanted; "ready_p50_s", "ready_p95_s" and "ready_max_s": from the press until the browser is led on to the server;
"longest_wait_s": of these the most that somebody stood in the queue; "memory_mb": hub and portal before and after;
"load_before": ...}. What failed is on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.people import Person, Started, enrol, memory_mb, percentiles
from benchmarks.site import DemoSite


def storm(site: DemoSite, students: int, lab: str) -> dict[str, Any]:
    """Let them all press at once, and wait for the last one."""
    names = [f"student{number:03}" for number in range(students)]
    enrol(site.folder, names)
    people = [Person(site, name) for name in names]
    for person in people:
        person.login()
    tokens = [person.look() for person in people]
    before = memory_mb(site.folder)
    together = threading.Barrier(students)

    def press(person: Person, token: str) -> Started | None:
        together.wait()
        try:
            return person.start_lab(lab, token)
        except Exception as error:
            print(f"{person.name}: {error}", file=sys.stderr)
            return None

    with ThreadPoolExecutor(students) as pool:
        found = list(pool.map(press, people, tokens))
    for person in people:
        person.http.close()
    started = [each for each in found if each is not None]
    ready = percentiles([each.ready_s for each in started])
    return {
        "students": students,
        "failed": students - len(started),
        "ready_p50_s": ready["p50"],
        "ready_p95_s": ready["p95"],
        "ready_max_s": round(max((each.ready_s for each in started), default=0), 2),
        "longest_wait_s": round(max((each.waited_s for each in started), default=0), 2),
        "memory_mb": {"before": before, "after": memory_mb(site.folder)},
    }


def main() -> int:
    """Print the JSON line; exit code 1 when a start failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--spawner", choices=["docker", "process"], default="docker")
    parser.add_argument("--lab", default="net-subnetting")
    chosen = parser.parse_args()
    load, began = os.getloadavg()[0], time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="ictlabs-storm-") as folder,
        DemoSite(Path(folder) / "site", chosen.spawner) as site,
    ):
        found = storm(site, chosen.students, chosen.lab)
    found |= {"spawner": chosen.spawner, "load_before": round(load, 2)}
    print(json.dumps(found | {"took_s": round(time.perf_counter() - began, 1)}))
    return int(bool(found["failed"]))


if __name__ == "__main__":
    sys.exit(main())
