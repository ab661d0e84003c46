"""What the machine has left, and how large what the site keeps has become; slow looks go on in the background."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from hub.doctor import memory_kb
from hub.homes import Size, measure
from hub.settings import Settings

log = logging.getLogger(__name__)

SCARCE = 0.1  # less of the disk than this is free: say so
_KEEP_S = 300.0
_COUNT_S = 20.0  # for all places together: homes may hold millions of files
# What lies in the data folder (see grader.settings.Places), and what it is called.
PLACES = {
    "homes": "homes of people",
    "blobs": "what was released, handed in and given back",
    "courses": "course folders and gradebooks",
    "*.sqlite*": "databases in files",
    "logs": "logs",
}
_PACKAGES = ("ictlabs", "jupyterhub", "nbgrader")


@dataclass(frozen=True)
class Machine:
    """What can be known at once. Sizes in bytes, load as the mean number of processes of the last minute."""

    disk_free: int
    disk_total: int
    memory_available: int
    memory_total: int
    load: float
    cores: int

    @property
    def disk_is_scarce(self) -> bool:
        """Whether somebody should make room."""
        return self.disk_free < SCARCE * self.disk_total


@dataclass(frozen=True)
class Place:
    """A part of the site's data. whole: False when there was no time to count all of it."""

    name: str
    size: int
    whole: bool


@dataclass(frozen=True)
class Survey:
    """What takes seconds to find out: how large everything is."""

    at: datetime
    places: tuple[Place, ...]


class Surveys:
    """Surveys of one site; a page gets the newest there is and never waits for one."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is known yet."""
        self._settings = settings
        self._newest: Survey | None = None
        self._begun_at = -_KEEP_S
        self._lock = threading.Lock()

    def newest(self) -> Survey | None:
        """The newest survey; None while the first is made. When it is old, another is begun."""
        with self._lock:
            begin = time.monotonic() - self._begun_at >= _KEEP_S
            if begin:
                self._begun_at = time.monotonic()
        if begin:
            threading.Thread(target=self._make, name="survey", daemon=True).start()
        return self._newest

    def _make(self) -> None:
        try:
            self._newest = survey(self._settings)
        except Exception:
            log.exception("looking at the machine")  # the page says that nothing is known


def look(settings: Settings) -> Machine:
    """What the machine has now."""
    disk = shutil.disk_usage(settings.places.data)
    memory = memory_kb()
    return Machine(
        disk_free=disk.free,
        disk_total=disk.total,
        memory_available=memory.get("MemAvailable", 0) * 1024,
        memory_total=memory.get("MemTotal", 0) * 1024,
        load=round(os.getloadavg()[0], 1),
        cores=len(os.sched_getaffinity(0)),
    )


def survey(settings: Settings) -> Survey:
    """Count everything. Takes seconds."""
    until = time.monotonic() + _COUNT_S
    places = [place(name, until, settings.places.data.glob(pattern)) for pattern, name in PLACES.items()]
    return Survey(datetime.now(UTC), tuple(sorted(places, key=lambda each: -each.size)))


def place(name: str, until: float, paths: Iterable[Path]) -> Place:
    """What files and folders take on the disk, as far as it can be counted until time.monotonic() is `until`."""
    sizes = [_size(path, until) for path in paths]
    return Place(name, sum(each.bytes for each in sizes), whole=all(each.whole for each in sizes))


def _size(path: Path, until: float) -> Size:
    try:
        if path.is_dir() and not path.is_symlink():
            return measure(path, most_s=until - time.monotonic(), most_entries=sys.maxsize)
        return Size(path.lstat().st_blocks * 512, whole=True)
    except OSError:
        return Size(0, whole=False)


def versions() -> dict[str, str]:
    """The versions of what the site is made of."""
    return {name: version(name) for name in _PACKAGES}
