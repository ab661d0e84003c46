"""How a site is, for who runs it: its parts, what it holds, and each thing that is wrong with what to do about it.

Works with the site up or down, and changes nothing.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import docker
import httpx
from prometheus_client.parser import text_string_to_metric_families

from grader.audit import Asked
from grader.database import RecordError, revision_needed, revision_there
from grader.models import Job
from grader.store import Store
from hub.accounts import Accounts
from hub.doctor import MIN_DISK_GB, Problem, find_engine
from hub.homes import homes
from hub.images import ImageState, states
from hub.portal.machine import SCARCE
from hub.settings import Settings
from hub.site import CONTAINED, METRICS_TOKEN, Site, SiteError, load_site, secret
from hub.supervise import Seen, is_kept_up, seen
from hub.tls import flaws

LATELY = timedelta(days=1)
OLD_BACKUP = timedelta(days=7)
_MOST_FAILED = 100
_WAIT_S = 10


@dataclass
class Status:
    """What was found. None: not known, as the site is down or there is no such thing."""

    name: str
    address: str
    version: str
    data: str
    mode: str | None
    up: bool  # an `ict up` keeps it up
    parts: list[Seen]
    health: Mapping[str, str] | None = None
    database: str | None = None
    engine: dict[str, Any] = field(default_factory=dict)
    images: list[ImageState] = field(default_factory=list)
    servers: int | None = None
    starting: int | None = None
    queued: int | None = None
    accounts: int | None = None
    accounts_waiting: int | None = None
    courses: int | None = None
    jobs_open: int | None = None
    jobs_failed: int | None = None  # lately
    homes_full: list[str] = field(default_factory=list)
    disk_free_gb: float = 0.0
    disk_total_gb: float = 0.0
    backup: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data for `ict status --json`; times as ISO 8601."""
        plain: dict[str, Any] = asdict(self)
        for part in plain["parts"]:
            part["since"] = part["since"].isoformat() if part["since"] else None
        return plain


def look(settings: Settings) -> Status:
    """Look at a site. Takes a second or two."""
    site = _plan(settings)
    status = Status(
        name=settings.site.name,
        address=settings.address,
        version=version("ictlabs"),
        data=str(settings.places.data),
        mode=site.mode if site else None,
        up=is_kept_up(settings),
        parts=seen(settings),
        homes_full=sorted(name for name, home in homes(settings).items() if home.is_over),
    )
    _parts(settings, site, status)
    released = _record(settings, status)
    _engine(settings, site, status, released)
    _accounts(settings, status)
    _disk(settings, status)
    status.problems.extend(Problem(*flaw) for flaw in flaws(settings))
    return status


def _plan(settings: Settings) -> Site | None:
    with contextlib.suppress(SiteError):
        return load_site(settings)
    return None


def _parts(settings: Settings, site: Site | None, status: Status) -> None:
    running = [part for part in status.parts if part.pid]
    if not status.up and not running:
        status.problems.append(
            Problem("the site is not up", "nobody can log in or hand in", "start it: `ict up`")
        )
        return
    if not status.up:
        status.problems.append(
            Problem(
                "`ict up` has ended, and what it kept up runs on",
                "what dies from now on stays dead",
                "start it again: `ict up`; students' servers go on",
            )
        )
    for part in status.parts:
        if part.pid is None:
            log = settings.places.logs / ("traefik.log" if part.name == "traefik" else "hub.log")
            status.problems.append(
                Problem(
                    f"{part.name} does not run" + (f" ({part.ended})" if part.ended else ""),
                    "pages and logins do not work",
                    f"it is started again by itself; if it stays so, read {log}",
                )
            )
    if site and all(part.pid for part in status.parts):
        _ask(settings, site, status)


def _ask(settings: Settings, site: Site, status: Status) -> None:
    """What the running hub and portal say of themselves, asked where students' servers ask them."""
    log = settings.places.logs / "hub.log"
    try:
        status.health = _get(f"{site.portal_url}/services/portal/health").json()
    except (httpx.HTTPError, ValueError):
        status.problems.append(
            Problem("the portal does not answer", "nobody can open a page", f"read the end of {log}")
        )
        return
    for part, said in status.health.items():
        if said != "ok":
            status.problems.append(
                Problem(f"{part}: {said}", "pages and hand-ins may fail", f"read the end of {log}")
            )
    token = secret(settings, METRICS_TOKEN)
    hub = f"http://{site.inner_ip}:{site.hub_port}/hub/metrics"
    with contextlib.suppress(httpx.HTTPError):
        status.servers = _numbers(hub, token).get(("jupyterhub_running_servers", ""))
        portal = _numbers(f"{site.portal_url}/services/portal/metrics", token)
        status.starting = portal.get(("ictlabs_starts", "starting"))
        status.queued = portal.get(("ictlabs_starts", "waiting"))


def _get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=_WAIT_S, trust_env=False)


def _numbers(url: str, token: str) -> dict[tuple[str, str], int]:
    """(name, labels) -> value, of what monitoring reads."""
    families = text_string_to_metric_families(_get(url, Authorization=f"Bearer {token}").text)
    return {
        (sample.name, " ".join(sample.labels.values())): int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name in ("jupyterhub_running_servers", "ictlabs_starts")
    }


def _record(settings: Settings, status: Status) -> set[str]:
    """Look into the record; returns the environments of labs that are offered."""
    if not settings.places.data.exists():
        return set()  # a site that was never up
    try:
        there, needed = revision_there(settings.database_url), revision_needed()
    except RecordError as error:
        status.problems.append(
            Problem(str(error), "nobody can hand in", "bring the database back, then start the site again")
        )
        return set()
    if there != needed:
        status.problems.append(
            Problem(
                f"the record's tables are of revision {there}, and this version works with {needed}",
                "what runs and what is installed are of two versions",
                "`ict backup`, then stop `ict up` and start it again",
            )
        )
        return set()
    store = Store.open(settings.database_url, settings.places)
    try:
        return _counted(store, status)
    finally:
        store.close()


def _counted(store: Store, status: Status) -> set[str]:
    now = datetime.now(UTC)
    courses, failed = store.courses(), store.failed_jobs(now - LATELY, _MOST_FAILED)
    status.database = store.described()
    status.courses = len(courses)
    status.jobs_open = len(store.jobs(only_open=True))
    status.jobs_failed = len(failed)
    if failed:
        status.problems.append(_failed(failed))
    newest = next(iter(store.deeds(Asked(what="backup.make"), most=1)), None)
    if newest:
        size = int(newest.detail) if newest.detail.isdigit() else 0
        status.backup = {"at": newest.at.isoformat(), "file": newest.subject, "bytes": size}
    if store.tally()[2] and (newest is None or now - newest.at > OLD_BACKUP):
        status.problems.append(
            Problem(
                "there is no backup" if newest is None else f"the newest backup is of {newest.at:%Y-%m-%d}",
                "what students handed in would be lost with this disk",
                "`ict backup /another/machine/ictlabs.tar`, every night by cron or a timer",
            )
        )
    return {
        release.environment
        for course in courses
        for release in store.releases(course.id)
        if release.withdrawn_at is None
    }


def _failed(jobs: list[Job]) -> Problem:
    which = "; ".join(f"{job.id} ({job.course}, {job.lab}): {job.message}" for job in jobs[:3])
    return Problem(
        f"{len(jobs)} grading job{'' if len(jobs) == 1 else 's'} failed in the last day",
        f"these students wait for marks. {which}",
        f"`ict jobs show {jobs[0].id}` says more, `ict jobs retry {jobs[0].id}` goes on",
    )


def _engine(settings: Settings, site: Site | None, status: Status, released: Iterable[str]) -> None:
    status.engine = find_engine()
    contained = site.mode in CONTAINED if site else settings.hub.spawner != "process"
    if not status.engine["available"]:
        if contained and (site or settings.hub.spawner != "auto"):
            status.problems.append(
                Problem(
                    f"no Docker Engine answers: {status.engine['error']}",
                    "no server starts, and nothing is graded",
                    "start it: `sudo systemctl start docker`; `ict doctor` says more",
                )
            )
        return
    if not contained:
        return
    client = docker.from_env(timeout=_WAIT_S)
    try:
        status.images = states(settings, client)
    finally:
        client.close()
    needed = {"base", *released}
    for image in status.images:
        if image.size_mb is None and image.environment in needed:
            status.problems.append(
                Problem(
                    f"the image {image.name} is not there",
                    "its servers do not start",
                    f"`ict images build {image.environment}`",
                )
            )


def _accounts(settings: Settings, status: Status) -> None:
    if not (settings.places.data / "jupyterhub.sqlite").exists():
        return
    people = Accounts(settings).people()
    status.accounts = len(people)
    status.accounts_waiting = sum(not approved for _name, _email, approved in people)


def _disk(settings: Settings, status: Status) -> None:
    data = settings.places.data
    disk = shutil.disk_usage(next(place for place in (data, *data.parents) if place.exists()))
    status.disk_free_gb, status.disk_total_gb = round(disk.free / 1e9, 1), round(disk.total / 1e9, 1)
    if disk.free < MIN_DISK_GB * 1e9 or disk.free < SCARCE * disk.total:
        status.problems.append(
            Problem(
                f"only {status.disk_free_gb} of {status.disk_total_gb} GB of the disk are free",
                "when it is full, nobody can hand in",
                f"make room, or move {data} to a larger disk; Administration says what takes room",
            )
        )
