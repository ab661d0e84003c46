"""How large homes have become: measured in bounds, kept for the pages, and where the watched limit draws its lines.

Few file systems have quotas, so a home that grows is not kept from it but seen: at WARN of `hub.home_mb` its owner reads
it, over the limit instructors and operators do, and over STOP its server is stopped (see hub/homewatch.py).
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hub.settings import Settings
from hub.wholefile import write_whole

WARN = 0.8
STOP = 1.25
MOST_ENTRIES = 300_000
MOST_S = 5.0
MOST_DEEP = 100  # each folder on the way down costs two descriptors


@dataclass(frozen=True)
class Size:
    """What a home takes on the disk. whole: False when not all of it was counted: it takes that much or more."""

    bytes: int
    whole: bool


@dataclass(frozen=True)
class Home:
    """A home as it was last seen. stopped_at: when a server was stopped because of it, until there is room again."""

    size: Size
    limit: int  # in bytes
    stopped_at: datetime | None = None

    @property
    def share(self) -> float:
        """1 is the limit."""
        return self.size.bytes / self.limit

    @property
    def is_near(self) -> bool:
        """Whether its owner should know."""
        return self.share >= WARN

    @property
    def is_over(self) -> bool:
        """Whether it is over the limit."""
        return self.share > 1

    @property
    def is_far_over(self) -> bool:
        """Whether a server that fills it is stopped."""
        return self.share > STOP


class _Folder:
    """An open folder on the way down, and what is in it."""

    def __init__(self, name: str | Path, above: int | None = None) -> None:
        self.number = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        try:
            self.entries = os.scandir(self.number)
        except OSError:
            os.close(self.number)
            raise

    def close(self) -> None:
        self.entries.close()
        os.close(self.number)


def measure(home: Path, *, most_s: float = MOST_S, most_entries: int = MOST_ENTRIES) -> Size:
    """Add up what a home takes on its disk, as far as the bounds allow. A file with two names counts once.

    The tree belongs to a student who may change it meanwhile: every step is relative to an open folder, and no link is
    followed. Raises OSError when there is no such home.
    """
    until, left, total, whole = time.monotonic() + most_s, most_entries, 0, True
    linked: set[int] = set()
    way = [_Folder(home)]
    device = os.fstat(way[0].number).st_dev
    try:
        while way:
            entry = next(way[-1].entries, None)
            if entry is None:
                way.pop().close()
                continue
            left -= 1
            if left < 0 or time.monotonic() >= until:
                return Size(total, whole=False)
            try:
                found = entry.stat(follow_symlinks=False)
                if found.st_dev != device or found.st_ino in linked:
                    continue
                total += found.st_blocks * 512
                if stat.S_ISDIR(found.st_mode):
                    if len(way) == MOST_DEEP:
                        whole = False
                    else:
                        way.append(_Folder(entry.name, way[-1].number))
                elif found.st_nlink > 1:
                    linked.add(found.st_ino)
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError:
                whole = False  # no way in
    finally:
        for folder in way:
            folder.close()
    return Size(total, whole)


def homes(settings: Settings) -> dict[str, Home]:
    """Homes that were measured, by their owners' names: of running servers, and others that are near the limit."""
    limit = settings.hub.home_mb * 2**20
    try:
        kept = json.loads(_file(settings).read_text(encoding="utf-8")) if limit else {}
        return {
            name: Home(Size(each["bytes"], each["whole"]), limit, _moment(each["stopped_at"]))
            for name, each in kept.items()
        }
    except (OSError, ValueError, KeyError):
        return {}


def keep(settings: Settings, found: Mapping[str, Home]) -> None:
    """Write down what `homes` reads."""
    kept = {
        name: {
            "bytes": home.size.bytes,
            "whole": home.size.whole,
            "stopped_at": home.stopped_at.isoformat() if home.stopped_at else None,
        }
        for name, home in found.items()
    }
    write_whole(_file(settings), json.dumps(kept))


def _file(settings: Settings) -> Path:
    return settings.places.run / "homes.json"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
