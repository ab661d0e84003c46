"""The library of labs as pages show it: read from their folders once a minute, with what is to be known before a start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from hub.needs import offers, sentence
from hub.portal.languages import later
from hub.settings import Settings
from labs.library import Library, by_track
from labs.model import Lab

_KEEP_S = 60.0
LEVELS = {1: later("beginner"), 2: later("intermediate"), 3: later("advanced")}


@dataclass(frozen=True)
class Entry:
    """One lab of the library. requires: name and title of the labs to do before it."""

    lab: Lab
    about: str
    level: str
    requires: tuple[tuple[str, str], ...]


class Catalogue:
    """The labs there are; one that cannot be read is left out (`ict labs list` says why)."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read yet."""
        self._settings = settings
        self._read_at = -_KEEP_S
        self._entries: dict[str, Entry] = {}

    def entries(self) -> Mapping[str, Entry]:
        """Every lab by name, by track and level."""
        if time.monotonic() - self._read_at >= _KEEP_S:
            folders = [self._settings.root / folder for folder in self._settings.labs.folders]
            found = Library(folders).labs()
            self._entries = {
                lab.name: Entry(
                    lab,
                    about=lab.first_paragraph(),
                    level=LEVELS[lab.level],
                    requires=tuple(
                        (name, found[name].title if name in found else name) for name in lab.requires
                    ),
                )
                for lab in by_track(found)
            }
            self._read_at = time.monotonic()
        return self._entries

    def notes(self) -> dict[str, str]:
        """What a student should know before a lab is started on this server, for those that have something."""
        found = offers(self._settings)
        notes = {name: sentence(entry.lab, found) for name, entry in self.entries().items()}
        return {name: note for name, note in notes.items() if note}
