"""The catalogue: every lab by track and level, searched, and the ways to it: one's own courses and the open ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from hub.portal.catalogue import LEVELS, Entry
from hub.portal.desk import Desk
from hub.portal.languages import gettext, later
from hub.portal.login import Visitor
from hub.portal.paging import plain

TRACKS = {
    "network": later("Networks"),
    "linux": later("Linux"),
    "security": later("Security"),
    "database": later("Databases"),
    "cloud": later("Cloud"),
    "ai": later("Artificial intelligence"),
    "wireless": later("Wireless"),
    "iot": later("Internet of things"),
    "programming": later("Programming"),
}
_LONGEST_SOUGHT = 100  # characters


@dataclass(frozen=True)
class Wanted:
    """What a reader looks for: words, a track, a level; empty is all."""

    text: str = ""
    track: str = ""
    level: str = ""

    @classmethod
    def asked(cls, text: str, track: str, level: str) -> Wanted:
        """From an address, in bounds; a track or a level that there is not is none."""
        levels = {str(number) for number in LEVELS}
        return cls(
            " ".join(text.split())[:_LONGEST_SOUGHT],
            track if track in TRACKS else "",
            level if level in levels else "",
        )

    @property
    def is_all(self) -> bool:
        """Whether nothing in particular is looked for."""
        return self == Wanted()

    def among(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """The labs in which every word stands somewhere, of this track and level."""
        words = plain(self.text).split()
        return {
            name: entry
            for name, entry in entries.items()
            if self.track in ("", entry.lab.track)
            and self.level in ("", str(entry.lab.level))
            and all(word in _said(entry) for word in words)
        }


def catalogue_pages(desk: Desk) -> APIRouter:
    """The route for everybody who is logged in."""
    router = APIRouter()
    who = Depends(desk.visitor)
    store = desk.store

    @router.get("/catalogue")
    def catalogue(q: str = "", track: str = "", level: str = "", visitor: Visitor = who) -> Response:
        """Every lab there is, or those that are looked for, with what each takes and gives."""
        person, wanted = visitor.person, Wanted.asked(q, track, level)
        entries = desk.catalogue.entries()
        joinable = {each.id: each for each in store.open_courses() if each.id not in person.courses}
        ways: dict[str, list[str]] = {}
        to_join: dict[str, list[str]] = {}
        counts = dict.fromkeys(joinable, 0)
        for release in store.offered(person.courses | joinable.keys()):
            if release.course in joinable:
                counts[release.course] += 1
                to_join.setdefault(release.lab, []).append(release.course)
            else:
                ways.setdefault(release.lab, []).append(release.course)
        return desk.render.page(
            "catalogue.html",
            visitor,
            found=wanted.among(entries),
            total=len(entries),
            wanted=wanted,
            notes=desk.catalogue.notes(),
            tracks=TRACKS,
            levels=LEVELS,
            ways=ways,
            to_join=to_join,
            joinable=joinable,
            counts=counts,
        )

    return router


def _said(entry: Entry) -> str:
    """What a reader may remember of a lab, without case and accents; its track and level in their language too."""
    lab = entry.lab
    titles = (each.title for each in lab.exercise)
    words = (gettext(TRACKS[lab.track]), gettext(entry.level))
    return plain(" ".join((lab.title, lab.name, entry.about, *lab.outcomes, *lab.maps_to, *titles, *words)))
