"""Servers that are starting and those that wait their turn: asks the hub, follows its messages, knows what to tell."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from hub.portal.hubclient import HubBusy, HubClient, HubError
from hub.portal.languages import gettext as _
from hub.portal.languages import later

log = logging.getLogger(__name__)

SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")  # what the hub takes as the name of a server
_FORGET_S = 600
_MOST_MESSAGES = 30
_BUSY_S = 2.0  # until a hub that starts others is asked again
_MOST_BUSY_S = 900.0  # then it is no rush but a fault, and its own sentence says more
_MEASURED = 20  # starts from which is guessed how long one takes
_FEWEST_MEASURED = 3
# For the catalogues: what the hub itself says of a start; hub/spawners says the rest.
_HUBS_OWN = (later("Server requested"),)
_SPAWN_FAILED = re.compile(r"^Spawn failed:?\s*")


@dataclass(eq=False)
class Start:
    """One start of one server, as far as it has come."""

    state: Literal["waiting", "starting", "ready", "failed", "cancelled"] = "starting"
    messages: list[str] = field(default_factory=list)
    percent: int = 0
    reason: str = ""  # why it failed
    busy: bool = False  # the hub starts others at the moment, and is asked again
    unwanted: bool = False  # cancelled while it starts: the hub stops no server before it is up
    began: float = field(default_factory=time.monotonic)
    token: str = field(default="", repr=False)
    # the request's: a start that waited begins in somebody else's, and speaks to its own reader all the same
    context: contextvars.Context = field(default_factory=contextvars.copy_context, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "starting")

    @property
    def seconds(self) -> int:
        """How long it has taken so far; the time in the queue does not count."""
        return int(time.monotonic() - self.began)


@dataclass(frozen=True)
class Turn:
    """Somebody's place in the queue, from 1. seconds: until their server is ready, if that can be guessed."""

    place: int
    seconds: int | None


class Starts:
    """The starts in this process, one a person and server: `at_once` under way, the others in the order they came.

    A person has one place in the queue. It is lost when the portal restarts; the page then says to press Start.
    """

    def __init__(self, hub: HubClient, at_once: int) -> None:
        """Ask and follow through `hub`, `at_once` at a time."""
        self._hub = hub
        self._at_once = at_once
        self._starts: dict[tuple[str, str], Start] = {}
        self._queue: deque[tuple[str, str]] = deque()
        self._took_s: deque[float] = deque(maxlen=_MEASURED)

    async def begin(self, token: str, name: str, server: str) -> Start:
        """Ask the hub for a server, or queue, unless that is so already; wait a moment, it may run already."""
        start = self.under_way(name, server)
        if start is not None:
            start.unwanted = False
        elif self._queue or self._busy() >= self._at_once:
            start = await self._look_and_queue(token, name, server)
        else:
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

    def turn(self, name: str, server: str) -> Turn | None:
        """The place of a start that waits."""
        if (name, server) not in self._queue:
            return None
        place = self._queue.index((name, server)) + 1
        if len(self._took_s) < _FEWEST_MEASURED:
            return Turn(place, None)
        rounds = 1 + -(-place // self._at_once)  # those under way, those before, and this one
        return Turn(place, max(1, round(statistics.median(self._took_s) * rounds)))

    def counts(self) -> tuple[int, int]:
        """How many are under way, and how many wait."""
        return self._busy(), len(self._queue)

    def take(self, name: str, server: str) -> Start | None:
        """The last start. Success is told once, the hub knows the rest; a failure is told until the next start."""
        start = self._starts.get((name, server))
        if start and start.state in ("ready", "cancelled"):
            del self._starts[(name, server)]
        return start

    def cancel(self, name: str, server: str) -> Start | None:
        """Leave the queue; a server that starts already is stopped when it is up. None if there is no such start."""
        start = self.under_way(name, server)
        if start is None:
            return None
        if start.state == "waiting":
            self._queue.remove((name, server))
            del self._starts[(name, server)]
            start.state = "cancelled"
        else:
            start.unwanted = True
        return start

    async def close(self) -> None:
        """Stop following. Servers go on starting; those that wait have lost their place."""
        self._queue.clear()
        tasks = [start.task for start in self._starts.values() if start.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _busy(self) -> int:
        return sum(start.state == "starting" for start in self._starts.values())

    async def _look_and_queue(self, token: str, name: str, server: str) -> Start:
        """Queue, unless the server is there or on its way: nobody waits for what they have."""
        user = await self._hub.user(token, fresh=True)
        state = user.server_state(server) if user else "off"
        if state == "starting":
            return self.follow(token, name, server)
        if found := self.under_way(name, server):  # pressed twice
            return found
        start = self._starts[(name, server)] = Start("ready" if state == "ready" else "waiting", token=token)
        if start.state == "waiting":
            self._take_place(name, server)
            self._advance()  # somebody may have got ready meanwhile
        return start

    def _take_place(self, name: str, server: str) -> None:
        """At the end, or where this person waits for another server, which is then given up."""
        for at, (whose, other) in enumerate(self._queue):
            if whose == name:
                self._starts.pop((name, other)).state = "cancelled"
                self._queue[at] = (name, server)
                return
        self._queue.append((name, server))

    def _advance(self) -> None:
        """Begin with those whose turn it is."""
        while self._queue and self._busy() < self._at_once:
            name, server = self._queue.popleft()
            start = self._starts[(name, server)]
            start.state, start.began = "starting", time.monotonic()
            self._run_in_background(start, name, server, ask=True)

    def _follow(self, token: str, name: str, server: str, *, ask: bool) -> Start:
        now = time.monotonic()
        for key, old in list(self._starts.items()):
            if old.ended and now - old.began > _FORGET_S:
                del self._starts[key]
        start = self._starts[(name, server)] = Start(token=token)
        self._run_in_background(start, name, server, ask=ask)
        return start

    def _run_in_background(self, start: Start, name: str, server: str, *, ask: bool) -> None:
        start.task = asyncio.create_task(self._run(start, name, server, ask=ask), context=start.context)

    async def _run(self, start: Start, name: str, server: str, *, ask: bool) -> None:
        """From the wish to the end, whatever it is; then the next one's turn comes."""
        try:
            await (self._started if ask else self._followed)(start, name, server)
            if start.state == "ready" and ask and start.messages:  # without one it ran already
                self._took_s.append(time.monotonic() - start.began)
            if start.state == "ready" and start.unwanted:
                start.state = "starting"  # no page leads there any more
                await self._hub.stop(start.token, name, server)
                await self._hub.user(start.token, fresh=True)
                start.state = "cancelled"
        except HubError as error:
            start.state, start.reason = "failed", str(error)
        except Exception:
            log.exception("following the start of %s/%s", name, server)
            start.state, start.reason = "failed", _("The portal has a fault of its own. Tell the operator.")
        finally:
            self._advance()

    async def _started(self, start: Start, name: str, server: str) -> None:
        """Ask for the server, again and again while the hub is busy with others'."""
        until = time.monotonic() + _MOST_BUSY_S
        while not start.ended:
            asked = asyncio.create_task(self._hub.start(start.token, name, server))
            try:
                await self._followed(start, name, server, asked)
                return
            except HubBusy:
                if time.monotonic() >= until:
                    raise
                if start.unwanted:
                    start.state = "cancelled"
                    return
                start.busy = True
                await asyncio.sleep(_BUSY_S)
                start.began = time.monotonic()
            finally:
                if not asked.done():
                    asked.cancel()  # the hub has the wish already

    async def _followed(
        self, start: Start, name: str, server: str, asked: asyncio.Task[None] | None = None
    ) -> None:
        """Until it has ended. Raises HubError, the hub's own refusal above all."""
        while not start.ended:
            await self._listen(start, name, server, asked)
            if start.ended:
                break
            if asked is None or asked.done():
                if asked is not None and (refused := asked.exception()):
                    if not isinstance(refused, HubBusy):
                        # The hub's answer is often just "500"; its progress says why.
                        await self._listen(start, name, server, None)
                    if start.ended:
                        break
                    raise refused
                await self._look(start, server)
            await asyncio.sleep(0.15)

    async def _listen(self, start: Start, name: str, server: str, asked: asyncio.Task[None] | None) -> None:
        async for event in self._hub.progress(start.token, name, server):
            start.busy = False
            message = str(event.get("message") or "")[:500]
            percent = event.get("progress")
            if isinstance(percent, int | float):
                start.percent = max(start.percent, min(100, int(percent)))
            if event.get("ready"):
                await self._hub.user(start.token, fresh=True)  # so that pages know it at once
                start.state = "ready"
                return
            if event.get("failed"):
                if asked is not None and (not asked.done() or isinstance(asked.exception(), HubBusy)):
                    return  # the failure of an earlier start; the answer to ours is still to come
                start.state, start.reason = "failed", _SPAWN_FAILED.sub("", message)
                return
            if message and len(start.messages) < _MOST_MESSAGES and message not in start.messages:
                start.messages.append(message)

    async def _look(self, start: Start, server: str) -> None:
        """The hub has no messages: see what it says about the server itself."""
        start.busy = False
        user = await self._hub.user(start.token, fresh=True)
        state = user.server_state(server) if user else "off"
        if state == "ready":
            start.state = "ready"
        elif state == "off":
            start.state, start.reason = "failed", start.reason or _("The server ended before it was ready.")
