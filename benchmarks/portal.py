"""How long the portal's pages take, and how large they are, with a large course in the record.

    python -m benchmarks.portal [--times 50] [--database sqlite --database postgresql]

makes a course of 1,000 students, 40 labs and more than 100,000 marks (a mark is the points for one exercise of one
submission) and prints one JSON line: {"course": {...}, "unit": "ms", "pages": {"sqlite": {"student home": {"p50_ms": ...,
"p95_ms": ..., "bytes_on_wire": ..., "bytes": ...}, ...}, "postgresql": {...}}, "slowest": {...}, "largest": {...}}.
Times are from the request to the first byte of the answer, at the server, one request at a time; bytes on the wire are
what a browser gets that takes gzip, pictures and the style sheet not counted. The portal is the real service in a process
of its own; the hub is a stand-in that only says who is logged in. PostgreSQL is a cluster of the benchmark's own, from
Debian's binaries. There is no peer here: the numbers stand against the limits of 150 ms and 60 KB.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks import postgresql
from benchmarks.portal_course import ADMIN, COURSE, TEACHER, Made, fill, fill_log, student
from benchmarks.portal_site import PortalSite
from grader.settings import Places
from grader.store import Store

STUDENTS, LABS = 1_000, 40
DATABASES = ("sqlite", "postgresql")
LAB = "net-ospf"


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        yield Places(data=folder / "var").store_url
        return
    with postgresql.cluster() as sockets:
        yield postgresql.new_database(sockets)


def pages(store: Store) -> dict[str, list[str]]:
    """What is opened, by who opens it: every kind of page that shows something of the record."""
    read = next(
        row.id for row in store.submissions_of(student(0), COURSE) if store.feedback_of(row.id) is not None
    )
    shared = [
        "",
        "catalogue",
        "catalogue?q=ospf&track=network",
        "timezone",
        "receipts/verify",
        f"submissions/{read}/receipt",
        f"feedback/{read}",
    ]
    asked = [
        f"courses/{COURSE}/questions",
        f"courses/{COURSE}/questions?q=mask&state=answered",
        f"courses/{COURSE}/questions/new",
        f"courses/{COURSE}/questions/1",
    ]
    return {
        student(0): [
            *shared,
            f"feedback/{read}/notebook.html",
            f"labs/{COURSE}/{LAB}",
            "starting/base?course=ict101",
            "progress",
            f"courses/{COURSE}/announcements",
            *asked,
        ],
        TEACHER: [
            *shared,
            f"courses/{COURSE}",
            f"courses/{COURSE}?q=alice&page=2",
            f"courses/{COURSE}/now",
            f"courses/{COURSE}/labs/{LAB}",
            f"courses/{COURSE}/labs/{LAB}?sort=points&page=2",
            f"courses/{COURSE}/labs/{LAB}/again",
            f"courses/{COURSE}/labs/{LAB}/students/{student(0)}",
            f"courses/{COURSE}/inquiries",
            f"courses/{COURSE}/release",
            f"courses/{COURSE}/labs/{LAB}/release",
            f"courses/{COURSE}/students/{student(0)}",
            f"courses/{COURSE}/insight",
            f"courses/{COURSE}/labs/{LAB}/insight",
            f"courses/{COURSE}/people",
            f"courses/{COURSE}/announcements",
            *asked,
            f"courses/{COURSE}/log",
            f"courses/{COURSE}/log?what=people.remove",
        ],
        ADMIN: ["administration", "administration/log", f"administration/log?person={ADMIN}&course={COURSE}"],
    }


def ask(browser: httpx.Client, path: str, times: int) -> dict[str, float]:
    """Open one page so many times."""
    took: list[float] = []
    for _ in range(times + 1):
        began = time.perf_counter()
        with browser.stream("GET", path) as answer:
            took.append((time.perf_counter() - began) * 1000)
            size = len(answer.read())
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: answered {answer.status_code}: {answer.text[:500]}")
    return {
        "p50_ms": round(statistics.median(took[1:]), 1),  # the first one opens connections
        "p95_ms": round(sorted(took[1:])[int(0.95 * times)], 1),
        "bytes_on_wire": answer.num_bytes_downloaded,
        "bytes": size,
    }


def measure(kind: str, times: int, size: tuple[int, int] = (STUDENTS, LABS)) -> tuple[Made, dict[str, Any]]:
    """Make the course in a database of this kind and open every page."""
    with tempfile.TemporaryDirectory(prefix="ictlabs-portal-") as name, database(kind, Path(name)) as url:
        began = time.perf_counter()
        store = Store.open(url, Places(data=Path(name) / "var"))
        made = fill(store, *size)
        fill_log(store, 100 * size[0])
        wanted = pages(store)
        store.close()
        print(f"{kind}: made the course in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        found = {}
        with PortalSite(Path(name), url) as site:
            for who, paths in wanted.items():
                role = {TEACHER: "instructor", ADMIN: "administrator"}.get(who, "student")
                with contextlib.closing(site.login(who)) as browser:
                    for path in paths:
                        found[f"{role} {_kind(path)}"] = ask(browser, path, times)
    return made, found


def _kind(path: str) -> str:
    """A page's address without what is in it by chance."""
    parts = path.partition("?")
    return (
        "/".join(part if len(part) < 32 else "ID" for part in parts[0].split("/")) + "".join(parts[1:])
        or "home"
    )


def _worst(found: dict[str, dict[str, Any]], key: str) -> dict[str, float]:
    """The page with the highest number in each database."""
    worst = {
        kind: max(measured.items(), key=lambda item: float(item[1][key])) for kind, measured in found.items()
    }
    return {f"{kind} {page}": numbers[key] for kind, (page, numbers) in worst.items()}


def main() -> int:
    """Print the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=50, help="how often each page is opened")
    parser.add_argument("--database", action="append", choices=DATABASES, help="default: both")
    chosen = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for kind in chosen.database or DATABASES:
        made, found[kind] = measure(kind, chosen.times)
    line = {
        "course": dataclasses.asdict(made),
        "unit": "ms",
        "pages": found,
        "slowest": _worst(found, "p50_ms"),
        "largest": _worst(found, "bytes_on_wire"),
    }
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
