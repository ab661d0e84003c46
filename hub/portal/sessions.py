"""Who is logged in to the portal: kept in memory, so that hub tokens are never on a disk or in a cookie."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field

_MOST = 20_000  # sessions at once; the oldest goes first


@dataclass
class Session:
    """One person's login in one browser."""

    token: str = field(repr=False)  # the person's own hub token
    ends_at: float  # time.monotonic()
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    notice: str = ""  # one sentence for the next page

    def take_notice(self) -> str:
        """The sentence for this page; the next page does not say it again."""
        notice, self.notice = self.notice, ""
        return notice


class Sessions:
    """All logins. A restart of the portal ends them; the hub then logs people in again without a question."""

    def __init__(self, lasts_h: float) -> None:
        """Keep each login for `lasts_h` hours."""
        self.lasts_s = lasts_h * 3600
        self._open: dict[str, Session] = {}  # by the hash of the cookie: a dump of memory opens no session

    def begin(self, token: str) -> str:
        """Log somebody in; return the cookie's value, which is new each time."""
        self._sweep()
        cookie = secrets.token_urlsafe(32)
        self._open[_key(cookie)] = Session(token, time.monotonic() + self.lasts_s)
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """The session of a cookie, if it still lasts."""
        session = self._open.get(_key(cookie)) if cookie else None
        if session is None or session.ends_at < time.monotonic():
            return None
        return session

    def end(self, cookie: str | None) -> None:
        """Log out."""
        if cookie:
            self._open.pop(_key(cookie), None)

    def _sweep(self) -> None:
        now = time.monotonic()
        for key in [key for key, session in self._open.items() if session.ends_at < now]:
            del self._open[key]
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
