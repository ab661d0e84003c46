"""What the portal asks JupyterHub over its REST API: who a token is, to start or stop that person's server, to share it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from grader.people import Person
from hub.portal.languages import gettext as _
from hub.portal.languages import later

_CACHE_S = 10.0  # a change of groups takes effect within this time
_REGROUPED_S = 30.0  # by then the hub has asked the record again, and this client the hub
_MOST_CACHED = 5_000
_MOST_EVENT_BYTES = 64 * 1024
_NONSENSE = later("The hub answered in a way the portal does not understand. Tell the operator.")
_USER_PAGE, _MOST_USER_PAGES = 200, 25  # the hub gives no more than 200 people at a time


class HubError(Exception):
    """The hub refused or failed; the message is a sentence for the person at the browser."""


class HubAway(HubError):
    """The hub does not answer at all."""


class HubBusy(HubError):
    """The hub starts as many servers as it can; asked again later it takes the wish."""


class NotAllowed(HubError):
    """The token is good, but its owner may not use the portal."""


@dataclass(frozen=True)
class HubUser:
    """The owner of a token, and what the hub says about their servers."""

    person: Person
    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def server_state(self, server: str) -> str:
        """ready, starting, stopping or off."""
        model = self.servers.get(server)
        if model is None:
            return "off"
        if model.get("pending") == "stop":
            return "stopping"
        if model.get("pending"):
            return "starting"
        return "ready" if model.get("ready") else "off"


@dataclass(frozen=True)
class Running:
    """A server of somebody's, as an administrator sees it."""

    username: str
    server: str
    state: str  # ready, starting or stopping
    started: datetime | None
    last_activity: datetime | None

    @property
    def used_at(self) -> datetime | None:
        """When something was last done in it, or else when it started."""
        return self.last_activity or self.started


@dataclass(frozen=True)
class Sharing:
    """What the hub says of a server that is shared. inside: user names that took the share."""

    ready: bool
    inside: tuple[str, ...]


class HubClient:
    """The hub's REST API, as far as the portal needs it. Each call is made with the token of the person it is for.

    The portal's own token only looks at shares of servers and takes people out of them. The hub's scope `shares`, which
    also ends a share's code, would let it enter everybody's server: that needs the owner's token.
    """

    def __init__(self, api_url: str, *, client_id: str, client_secret: str, service: str = "portal") -> None:
        """Talk to `api_url`; `client_id` and `client_secret` are the portal's own; the secret is its token too."""
        self._http = httpx.AsyncClient(
            base_url=api_url.rstrip("/") + "/", timeout=httpx.Timeout(30, connect=5), trust_env=False
        )
        self.client_id = client_id
        self._secret = client_secret
        self._scopes = {f"access:services!service={service}", "access:services"}
        self._cache: dict[str, tuple[float, HubUser]] = {}
        self._regrouped: dict[tuple[str, str], tuple[float, bool]] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answers(self, within_s: float) -> bool:
        """Whether the hub answers at all."""
        try:
            return (await self._ask("GET", "", timeout=within_s)).is_success
        except HubAway:
            return False

    async def token_for_code(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Trade the code of a login for the person's token. Raises HubError."""
        answer = await self._ask(
            "POST",
            "oauth2/token",
            data={
                "client_id": self.client_id,
                "client_secret": self._secret,
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": verifier,
                "redirect_uri": redirect_uri,
            },
        )
        token = _object(answer).get("access_token") if answer.is_success else None
        if not isinstance(token, str):
            raise HubError(_("The hub did not accept this login. Log in again."))
        return token

    async def user(self, token: str, *, fresh: bool = False) -> HubUser | None:
        """The owner of `token`; None when the hub does not know it. Raises NotAllowed, HubAway."""
        key = hashlib.sha256(token.encode()).hexdigest()
        cached = self._cache.get(key)
        if cached and not fresh and time.monotonic() - cached[0] < _CACHE_S:
            return self._as_regrouped(cached[1])
        self._cache.pop(key, None)
        answer = await self._ask("GET", "user", token=token)
        if answer.status_code in (401, 403):
            return None
        model = _object(answer)
        if (
            not answer.is_success
            or model.get("kind", "user") != "user"
            or not isinstance(model.get("name"), str)
        ):
            raise HubAway(_(_NONSENSE))
        if not self._scopes & set(model.get("scopes") or ()):
            raise NotAllowed(
                _("%(name)s may not use this portal with this login. Ask the operator.")
                % {"name": model["name"]}
            )
        user = HubUser(
            Person(model["name"], frozenset(model.get("groups") or ()), bool(model.get("admin"))),
            model.get("servers") or {},
        )
        if len(self._cache) >= _MOST_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = (time.monotonic(), user)
        return self._as_regrouped(user)

    def regroup(self, name: str, group: str, *, inside: bool) -> None:
        """Count a person in or out of a group at once: the record says so, and the hub asks it some seconds later."""
        now = time.monotonic()
        self._regrouped = {
            who: (at, is_in) for who, (at, is_in) in self._regrouped.items() if now - at < _REGROUPED_S
        }
        self._regrouped[name, group] = (now, inside)

    def _as_regrouped(self, user: HubUser) -> HubUser:
        person, now = user.person, time.monotonic()
        moved = {
            group: inside
            for (name, group), (at, inside) in self._regrouped.items()
            if name == person.name and now - at < _REGROUPED_S
        }
        if not moved:
            return user
        groups = (person.groups - moved.keys()) | {group for group, inside in moved.items() if inside}
        return replace(user, person=replace(person, groups=frozenset(groups)))

    async def start(self, token: str, name: str, server: str) -> None:
        """Ask for a server; returns when the hub took the wish or the server runs. Raises HubBusy, HubError."""
        answer = await self._ask(
            "POST", _server(name, server), token=token, json={"user_options": {}}, timeout=60
        )
        if answer.is_success or (answer.status_code == 400 and "already running" in _reason(answer)):
            return
        raise (HubBusy if answer.status_code == 429 else HubError)(_reason(answer))

    async def stop(self, token: str, name: str, server: str) -> None:
        """Stop a server; one that does not run is no error. Raises HubError."""
        answer = await self._ask("DELETE", _server(name, server), token=token, timeout=60)
        if not answer.is_success and answer.status_code != 404:
            raise HubError(_reason(answer))

    async def running(self, token: str) -> list[Running]:
        """Everybody's servers, by user name. The token's owner must be an administrator. Raises HubError."""
        found: list[Running] = []
        for page in range(_MOST_USER_PAGES):
            where = {"state": "active", "sort": "name", "offset": page * _USER_PAGE, "limit": _USER_PAGE}
            answer = await self._ask("GET", "users", token=token, params=where)
            if not answer.is_success:
                raise HubError(_reason(answer))
            people = _list(answer)
            found += [server for model in people for server in _servers_of(model)]
            if len(people) < _USER_PAGE:
                break
        return found

    async def progress(self, token: str, name: str, server: str) -> AsyncIterator[dict[str, Any]]:
        """The hub's messages about a server that starts; none at all when it does not start."""
        url = f"{_server(name, server)}/progress"
        try:
            async with self._http.stream(
                "GET", url, headers=_bearer(token), timeout=httpx.Timeout(60, read=30)
            ) as answer:
                if not answer.is_success:
                    return
                async for line in answer.aiter_lines():
                    if line.startswith("data:") and len(line) < _MOST_EVENT_BYTES:
                        event = json.loads(line.removeprefix("data:"))
                        if isinstance(event, dict):
                            yield event
        except (httpx.HTTPError, ValueError):
            return  # the caller asks again

    async def share(self, token: str, name: str, server: str, lasts_s: int) -> str:
        """A code with which anybody may enter a person's server, for a while. Raises HubError."""
        wish = {"expires_in": lasts_s, "scopes": [f"access:servers!server={name}/{server}"]}
        answer = await self._ask("POST", _shares("share-codes", name, server), token=token, json=wish)
        code = _object(answer).get("code") if answer.is_success else None
        if not isinstance(code, str):
            raise HubError(_reason(answer))
        return code

    async def sharing(self, name: str, server: str) -> Sharing | None:
        """How a shared server is; None when nothing of it is shared. Raises HubError."""
        codes = await self._shared("share-codes", name, server)
        shares = await self._shared("shares", name, server)
        if not codes and not shares:
            return None
        inside = [str((each.get("user") or {}).get("name", "")) for each in shares]
        ready = all((each.get("server") or {}).get("ready") for each in [*codes, *shares])
        return Sharing(bool(ready), tuple(sorted(filter(None, inside))))

    async def unshare(self, name: str, server: str, token: str = "") -> bool:
        """Take everybody out of a shared server, and end its code, which needs its owner's `token`. Raises HubError.

        Returns whether no code is left: with one that is, somebody who has it may come back until it runs out.
        """
        if token:  # one that is not good any more is no worse than none
            await self._ask("DELETE", _shares("share-codes", name, server), token=token)
        for each in await self._shared("shares", name, server):
            who = str((each.get("user") or {}).get("name", ""))
            path = f"users/{quote(who, safe='')}/shared/{quote(name, safe='')}/{quote(server, safe='')}"
            answer = await self._ask("DELETE", path, token=self._secret) if who else None
            if answer is not None and not answer.is_success and answer.status_code != 404:
                raise HubError(_reason(answer))
        return not await self._shared("share-codes", name, server)

    async def _shared(self, kind: str, name: str, server: str) -> list[dict[str, Any]]:
        answer = await self._ask("GET", _shares(kind, name, server), token=self._secret)
        if answer.status_code == 404:
            return []
        if not answer.is_success:
            raise HubError(_reason(answer))
        found = _object(answer).get("items")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    async def _ask(self, verb: str, path: str, *, token: str | None = None, **how: Any) -> httpx.Response:
        try:
            return await self._http.request(verb, path, headers=_bearer(token) if token else {}, **how)
        except httpx.HTTPError as error:
            raise HubAway(_("The hub does not answer at the moment. Try again in some seconds.")) from error


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


def _server(name: str, server: str) -> str:
    return f"users/{quote(name, safe='')}/servers/{quote(server, safe='')}"


def _list(answer: httpx.Response) -> list[Mapping[str, Any]]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) and "name" in each for each in found):
        raise HubAway(_(_NONSENSE))
    return found


def _servers_of(model: Mapping[str, Any]) -> list[Running]:
    user = HubUser(Person(model["name"]), model.get("servers") or {})
    return [
        Running(
            user.person.name,
            name,
            state,
            _moment(server.get("started")),
            _moment(server.get("last_activity")),
        )
        for name, server in sorted(user.servers.items())
        if (state := user.server_state(name)) != "off"
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _shares(kind: str, name: str, server: str) -> str:
    return f"{kind}/{quote(name, safe='')}/{quote(server, safe='')}"


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(answer: httpx.Response) -> str:
    message = _object(answer).get("message")
    return str(message) if message else _("The hub answered %(status)s.") % {"status": answer.status_code}
