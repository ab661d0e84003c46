"""What `ict up` sees of the Docker Engine and the machine, kept for pages: the portal has no way to the Engine."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import docker

from hub.doctor import Findings, Problem, examine
from hub.images import ImageState, states
from hub.settings import Settings
from hub.site import site_label
from hub.spawners.docker import ENVIRONMENT_LABEL, PERSON_LABEL, SITE_LABEL
from hub.wholefile import write_whole

log = logging.getLogger(__name__)

SERVERS_S = 30.0  # between two looks at what servers use
LOOKS = 10  # of these to one at the machine
_OLD_S = 120.0
_WAIT_S = 10


@dataclass(frozen=True)
class Seen:
    """What was there when it was looked at. images: none without a Docker Engine."""

    findings: Findings
    images: tuple[ImageState, ...]


@dataclass(frozen=True)
class Memory:
    """What a server uses of what it may, in bytes, without what the kernel keeps of files and gives back at once."""

    used: int
    limit: int


def watch(settings: Settings) -> None:
    """Look at the servers every half a minute and at the machine every five; for ever."""
    for number in itertools.count():
        for what in (look, look_at_servers) if number % LOOKS == 0 else (look_at_servers,):
            try:
                what(settings)
            except Exception:  # pages say that nothing is known, and the next look does better
                log.exception("looking at the machine")
        time.sleep(SERVERS_S)


def look(settings: Settings) -> None:
    """Look once. Takes a second or two."""
    findings = examine(settings)
    found = Seen(findings, _images(settings) if findings.docker["available"] else ())
    write_whole(_file(settings), json.dumps(asdict(found)))


def look_at_servers(settings: Settings) -> None:
    """See how much memory servers in containers of this machine use. Takes some milliseconds for each."""
    seen: dict[str, dict[str, dict[str, int]]] = {}
    if settings.hub.spawner != "process":
        with contextlib.suppress(docker.errors.DockerException, OSError), _engine() as client:
            ours: dict[str, Any] = {"label": f"{SITE_LABEL}={site_label(settings)}"}
            for container in client.containers.list(filters=ours, ignore_removed=True):
                with contextlib.suppress(docker.errors.NotFound, KeyError):  # it has ended meanwhile
                    person, environment = (
                        container.labels[each] for each in (PERSON_LABEL, ENVIRONMENT_LABEL)
                    )
                    seen.setdefault(person, {})[environment] = asdict(_used(container))
    write_whole(_servers_file(settings), json.dumps(seen))


def _used(container: Any) -> Memory:
    stats = container.stats(stream=False, one_shot=True)["memory_stats"]
    return Memory(stats["usage"] - stats["stats"]["inactive_file"], stats["limit"])


def memory(settings: Settings) -> dict[tuple[str, str], Memory]:
    """What was seen last of servers, by person and environment; nothing of long ago."""
    file = _servers_file(settings)
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        if abs(time.time() - file.stat().st_mtime) < _OLD_S:
            found = json.loads(file.read_text(encoding="utf-8"))
            return {(who, what): Memory(**each) for who, of in found.items() for what, each in of.items()}
    return {}


def kept(settings: Settings) -> Seen | None:
    """What was seen last; None before the first look, or if another version wrote it down."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        found: dict[str, Any] = json.loads(_file(settings).read_text(encoding="utf-8"))
        findings = dict(found["findings"])
        findings["problems"] = [Problem(**each) for each in findings["problems"]]
        return Seen(Findings(**findings), tuple(ImageState(**each) for each in found["images"]))
    return None


def _images(settings: Settings) -> tuple[ImageState, ...]:
    with _engine() as client:
        return tuple(states(settings, client))


@contextlib.contextmanager
def _engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=_WAIT_S)
    try:
        yield client
    finally:
        client.close()


def _file(settings: Settings) -> Path:
    return settings.places.run / "machine.json"


def _servers_file(settings: Settings) -> Path:
    return settings.places.run / "servers.json"
