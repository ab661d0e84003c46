"""Login by the hub's OAuth code flow with PKCE: what is in which cookie, and where a login may lead."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from starlette.responses import RedirectResponse, Response

from grader.people import Person
from hub.portal.hubclient import HubClient, HubUser
from hub.portal.languages import gettext as _
from hub.portal.sessions import Session, Sessions

SESSION_COOKIE = "ictlabs-portal"
_LOGIN_COOKIE = "ictlabs-login-"  # one for each login under way: two tabs do not disturb each other
_LOGIN_LASTS_S = 600
_LONGEST_WANTED = 2000  # more would make a cookie that browsers drop (4096 bytes), and the login would fail
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class LoginNeeded(Exception):
    """Nobody is logged in: the answer is the way to the hub's login."""


@dataclass(frozen=True)
class Visitor:
    """Somebody at a browser, logged in."""

    user: HubUser
    session: Session

    @property
    def person(self) -> Person:
        """Who it is."""
        return self.user.person

    @property
    def name(self) -> str:
        """The user name."""
        return self.user.person.name


class Login:
    """The portal's door."""

    def __init__(
        self, hub: HubClient, sessions: Sessions, *, prefix: str, authorize_url: str, callback_url: str
    ) -> None:
        """`prefix`: path of the portal with a slash at the end. `authorize_url`: the hub's, for the browser."""
        self.hub = hub
        self.sessions = sessions
        self.prefix = prefix
        self.authorize_url = authorize_url
        self.callback_url = callback_url

    async def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises LoginNeeded, HubError."""
        cookie = request.cookies.get(SESSION_COOKIE)
        session = self.sessions.find(cookie)
        user = await self.hub.user(session.token) if session else None
        if session is None or user is None:
            self.sessions.end(cookie)  # logged out at the hub: logged out here
            raise LoginNeeded
        request.state.who = user.person.name  # for the audit log
        return Visitor(user, session)

    def ask(self, request: Request) -> Response:
        """Send the browser to the hub's login, and afterwards back to where it wanted to go."""
        wanted = request.url.path if request.method == "GET" else self.prefix
        if request.method == "GET" and request.url.query:
            wanted += f"?{request.url.query}"
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        challenge = _plain(hashlib.sha256(verifier.encode()).digest())
        query = urlencode(
            {
                "client_id": self.hub.client_id,
                "redirect_uri": self.callback_url,
                "response_type": "code",
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        answer = RedirectResponse(f"{self.authorize_url}?{query}", 302)
        kept = ".".join((state, verifier, _plain(self.inside(wanted).encode())))
        self._set(request, answer, _login_cookie(state), kept, _LOGIN_LASTS_S)
        return answer

    async def finish(self, request: Request) -> Response:
        """The hub sent the browser back: check that this browser asked, trade the code, open a session."""
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        kept = request.cookies.get(_login_cookie(state), "") if _STATE.fullmatch(state) else ""
        known, _dot, rest = kept.partition(".")
        verifier, _dot, wanted = rest.partition(".")
        if not known or not secrets.compare_digest(known.encode(), state.encode()):
            raise HTTPException(
                400, _("This login took too long or was begun in another browser. Open the portal again.")
            )
        if not code:
            raise HTTPException(
                403,
                _(
                    "The hub did not let you in here. Ask the operator whether your account may use the portal."
                ),
            )
        token = await self.hub.token_for_code(code, verifier, self.callback_url)
        if await self.hub.user(token, fresh=True) is None:
            raise HTTPException(403, _("The hub does not know this login any more. Open the portal again."))
        answer = RedirectResponse(self.inside(_decoded(wanted)), 302)
        answer.delete_cookie(_login_cookie(state), path=self.prefix)
        self.sessions.end(request.cookies.get(SESSION_COOKIE))
        self._set(request, answer, SESSION_COOKIE, self.sessions.begin(token), int(self.sessions.lasts_s))
        return answer

    def leave(self, request: Request, to: str) -> Response:
        """Log out here and send the browser `to` the hub's log-out."""
        self.sessions.end(request.cookies.get(SESSION_COOKIE))
        answer = RedirectResponse(to, 303)
        answer.delete_cookie(SESSION_COOKIE, path=self.prefix)
        return answer

    def inside(self, wanted: str) -> str:
        """`wanted` if it is a page of the portal, else its first page: a login never leads elsewhere."""
        plain = (
            len(wanted) <= _LONGEST_WANTED
            and wanted.isascii()
            and wanted.isprintable()
            and "\\" not in wanted
        )
        inside = plain and wanted.startswith(self.prefix) and not wanted.startswith("//")
        return wanted if inside and "/../" not in wanted and "oauth_callback" not in wanted else self.prefix

    def _set(self, request: Request, answer: Response, name: str, value: str, lasts_s: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=lasts_s,
            path=self.prefix,
            httponly=True,
            samesite="lax",
            secure=came_by_https(request),
        )


def came_by_https(request: Request) -> bool:
    """Whether the browser used https; the proxy in front says so. A lie only locks the liar out."""
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip()
    return "https" in (request.url.scheme, forwarded)


def _login_cookie(state: str) -> str:
    return _LOGIN_COOKIE + state[:12]


def _plain(raw: bytes) -> str:
    """base64url without padding: what both PKCE and a cookie take as it is."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(wanted: str) -> str:
    try:
        return base64.urlsafe_b64decode(wanted + "=" * (-len(wanted) % 4)).decode()
    except ValueError:
        return ""
