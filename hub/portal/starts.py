"""Servers that are starting: asks the hub, follows its messages, and knows what to tell the person who waits."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Literal

from hub.portal.hubclient import HubClient, HubError
from hub.portal.languages import gettext as _
from hub.portal.languages import later

log = logging.getLogger(__name__)

SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")  # what the hub takes as the name of a server
_FORGET_S = 600
_MOST_MESSAGES = 30
# For the catalogues: what the hub itself says of a start; hub/spawners says the rest.
_HUBS_OWN = (later("Server requested"),)
_SPAWN_FAILED = re.compile(r"^Spawn failed:?\s*")


@dataclass
class Start:
    """One start of one server, as far as it has come."""

    state: Literal["starting", "ready", "failed"] = "starting"
    messages: list[str] = field(default_factory=list)
    percent: int = 0
    reason: str = ""  # why it failed
    began: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it is ready or has failed."""
        return self.state != "starting"

    @property
    def seconds(self) -> int:
        """How long it has taken so far."""
        return int(time.monotonic() - self.began)


class Starts:
    """The starts under way in this process, one a person and server."""

    def __init__(self, hub: HubClient) -> None:
        """Ask and follow through `hub`."""
        self._hub = hub
        self._starts: dict[tuple[str, str], Start] = {}

    async def begin(self, token: str, name: str, server: str) -> Start:
        """Ask the hub for a server, unless that is under way; wait a moment, it may run already."""
        start = self.under_way(name, server)
        if start is None:
            start = self._follow(token, name, server, ask=True)
        if start.task:
            await asyncio.wait({start.task}, timeout=0.4)
        return start

    def follow(self, token: str, name: str, server: str) -> Start:
        """Follow a start that somebody else began: the hub's own page, or this portal before a restart."""
        return self.under_way(name, server) or self._follow(token, name, server, ask=False)

    def under_way(self, name: str, server: str) -> Start | None:
        """The start that has not ended."""
        start = self._starts.get((name, server))
        return start if start and not start.ended else None

    def take(self, name: str, server: str) -> Start | None:
        """The last start. Success is told once, the hub knows the rest; a failure is told until the next start."""
        start = self._starts.get((name, server))
        if start and start.state == "ready":
            del self._starts[(name, server)]
        return start

    async def close(self) -> None:
        """Stop following. Servers go on starting."""
        tasks = [start.task for start in self._starts.values() if start.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, token: str, name: str, server: str, *, ask: bool) -> Start:
        now = time.monotonic()
        for key, old in list(self._starts.items()):
            if old.ended and now - old.began > _FORGET_S:
                del self._starts[key]
        start = self._starts[(name, server)] = Start()
        start.task = asyncio.create_task(self._run(start, token, name, server, ask=ask))
        return start

    async def _run(self, start: Start, token: str, name: str, server: str, *, ask: bool) -> None:
        asked = asyncio.create_task(self._hub.start(token, name, server)) if ask else None
        try:
            while not start.ended:
                await self._listen(start, token, name, server, asked)
                if start.ended:
                    break
                if asked is None or asked.done():
                    if asked is not None and (refused := asked.exception()):
                        # The hub's answer is often just "500"; its progress says why.
                        await self._listen(start, token, name, server, None)
                        if start.ended:
                            break
                        raise refused
                    await self._look(start, token, server)
                await asyncio.sleep(0.15)
        except HubError as error:
            start.state, start.reason = "failed", str(error)
        except Exception:
            log.exception("following the start of %s/%s", name, server)
            start.state, start.reason = "failed", _("The portal has a fault of its own. Tell the operator.")
        finally:
            if asked is not None and not asked.done():
                asked.cancel()  # the hub has the wish already

    async def _listen(
        self, start: Start, token: str, name: str, server: str, asked: asyncio.Task[None] | None
    ) -> None:
        async for event in self._hub.progress(token, name, server):
            message = str(event.get("message") or "")[:500]
            percent = event.get("progress")
            if isinstance(percent, int | float):
                start.percent = max(start.percent, min(100, int(percent)))
            if event.get("ready"):
                await self._hub.user(token, fresh=True)  # so that pages know it at once
                start.state = "ready"
                return
            if event.get("failed"):
                if asked is not None and not asked.done():
                    return  # the failure of an earlier start; the answer to ours is still to come
                start.state, start.reason = "failed", _SPAWN_FAILED.sub("", message)
                return
            if message and len(start.messages) < _MOST_MESSAGES and message not in start.messages:
                start.messages.append(message)

    async def _look(self, start: Start, token: str, server: str) -> None:
        """The hub has no messages: see what it says about the server itself."""
        user = await self._hub.user(token, fresh=True)
        state = user.server_state(server) if user else "off"
        if state == "ready":
            start.state = "ready"
        elif state == "off":
            start.state, start.reason = "failed", start.reason or _("The server ended before it was ready.")
