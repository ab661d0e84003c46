"""Plans a server: (person, environment, courses, settings) -> what it may see and use. Pure: nothing is touched here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from grader.models import Member
from grader.names import NameRefused, check_username
from grader.store import Room
from hub.images import environment_of, environments, image_name
from hub.settings import Settings
from hub.site import Site, site_label

INSIDE_HOME = PurePosixPath("/home/student")


class LaunchRefused(Exception):
    """No server can be planned; the message says why and what to do."""


@dataclass(frozen=True)
class LaunchPlan:
    """Everything a spawner needs to start one server, and nothing it has to decide."""

    person: str
    environment: str
    image: str
    home: Path  # on the host; /home/student inside
    courses: Mapping[str, Path]  # course folders of an instructor, below courses/ in the home
    memory_mb: int
    cpus: float
    pids: int
    file_mb: int  # the largest file; 0 is no limit
    nested: bool  # it may make namespaces of its own
    label: str  # this site's, on every container
    env: Mapping[str, str] = field(default_factory=dict)


def plan(
    person: str,
    environment: str,
    members: Iterable[Member],
    settings: Settings,
    site: Site,
    *,
    room: Room = Room(),  # noqa: B008 (it is frozen)
) -> LaunchPlan:
    """Plan the server of `person` for `environment`. `members`: the person's rows in courses.

    room: what the labs need that the person may open in it. Raises LaunchRefused.
    """
    try:
        check_username(person)
    except NameRefused as refused:
        raise LaunchRefused(str(refused)) from refused
    if environment not in environments():
        raise LaunchRefused(
            f"there is no environment {environment!r}. Start a lab from the portal; it knows which one the lab needs."
        )
    needed = environment_of(environment)
    rows = sorted(members, key=lambda row: row.course)
    taught = [row.course for row in rows if row.role == "instructor"]
    return LaunchPlan(
        person=person,
        environment=environment,
        image=image_name(settings, environment),
        home=settings.places.homes / person,
        courses={course: settings.places.course(course) for course in taught},
        memory_mb=max(settings.hub.memory_mb, needed.memory_mb, room.memory_mb),
        cpus=max(settings.hub.cpus, room.cpus),
        pids=max(settings.hub.pids, needed.pids),
        file_mb=settings.hub.home_mb,
        nested=needed.nested,
        label=site_label(settings),
        env={
            "ICTLABS_EXCHANGE_URL": f"{site.portal_url}/services/portal/api/exchange",
            "ICTLABS_COURSES": json.dumps([{"course": row.course, "role": row.role} for row in rows]),
            "ICTLABS_MODE": site.mode,
        },
    )
