"""The time zone of a reader: which there are, which one their browser said, and which one a page is shown in."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from zoneinfo import ZoneInfo, available_timezones

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

ZONE_COOKIE = "ictlabs-zone"  # zone.js writes it too
_REGIONS = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic"),
    *("Australia", "Europe", "Indian", "Pacific"),
)
_readers: ContextVar[ZoneInfo | None] = ContextVar("readers_zone", default=None)
_shown: ContextVar[ZoneInfo | None] = ContextVar("shown_zone", default=None)


def find_zone(name: str) -> ZoneInfo | None:
    """The time zone of this IANA name, if there is one."""
    return ZoneInfo(name) if name in _names() else None


def readers_zone() -> ZoneInfo | None:
    """The zone of the reader who is being answered; None when their browser has not said."""
    return _readers.get()


def shown_zone() -> ZoneInfo | None:
    """The zone of the page that is being made; None outside of one."""
    return _shown.get()


@contextmanager
def showing(zone: ZoneInfo) -> Iterator[None]:
    """Show times in `zone` for a while."""
    token = _shown.set(zone)
    try:
        yield
    finally:
        _shown.reset(token)


@functools.cache
def zones_by_region() -> Mapping[str, tuple[str, ...]]:
    """The zones that people live in, by part of the world."""
    regions = {
        region: tuple(sorted(each for each in _names() if each.startswith(f"{region}/")))
        for region in _REGIONS
    }
    return regions | {"UTC": ("UTC",)}


@functools.cache  # it reads a thousand files
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


class ReadersZone:
    """ASGI middleware: a request is answered in the time zone that its reader's browser said or its reader chose."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. The zone stays set: each request is a task of its own."""
        if scope["type"] == "http":
            _readers.set(find_zone(HTTPConnection(scope).cookies.get(ZONE_COOKIE, "")))
        await self.app(scope, receive, send)
