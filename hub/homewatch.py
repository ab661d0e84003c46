"""`python -m hub.homewatch`: a service of the hub that looks how large the homes of running servers are, and what follows.

A process of its own: however large homes are, the hub and the portal go on. Its token sees who runs a server and stops
servers, and nothing else. A server is stopped when its home gets far over the limit, so that one student does not fill
everybody's disk; it can be started again, and then there is GRACE to delete files, unless the home grows on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.homes import Home, homes, keep, measure
from hub.portal.hubclient import HubClient, HubError, Running
from hub.settings import Settings, load_settings

log = logging.getLogger("ictlabs.homes")

LOOK_S = 20.0  # until a server that has started is noticed
GRACE = timedelta(minutes=15)
GROWTH = 0.05  # of the limit: a server writes some files of its own
_NICE = 10

Key = tuple[str, str, datetime | None]  # person, server, when it was started


class HomeWatch:
    """Looks at the homes of one site."""

    def __init__(self, settings: Settings, hub: HubClient, token: str) -> None:
        """Go on from what is kept."""
        self._settings, self._hub, self._token = settings, hub, token
        self._homes = homes(settings)
        self._looked_at: dict[str, float] = {}
        self._at_first: dict[Key, int] = {}  # what a server's home took when the server was first seen

    async def look(self) -> None:
        """Measure the homes whose turn it is, stop what has to be, write down what was found. Raises HubError."""
        running = await self._hub.running(self._token)
        keys = {_key(each) for each in running}
        at_work = {each.username for each in running}
        new = {person for person, *_ in keys - self._at_first.keys()}
        for person in sorted(at_work):
            since = time.monotonic() - self._looked_at.get(person, float("-inf"))
            if person in new or since >= self._settings.hub.home_look_s:
                self._measure(person)
        self._homes = {
            person: home for person, home in self._homes.items() if person in at_work or home.is_near
        }
        self._at_first = {
            key: self._at_first.get(key, self._homes[key[0]].size.bytes)
            for key in keys
            if key[0] in self._homes
        }
        for server in running:
            if server.state == "ready" and self._fills_the_disk(server):
                await self._stop(server)
        keep(self._settings, self._homes)

    def _measure(self, person: str) -> None:
        self._looked_at[person] = time.monotonic()
        try:
            size = measure(self._settings.places.homes / person)
        except OSError as error:
            log.warning("the home of %s cannot be looked at: %s", person, error)
            return
        before = self._homes.get(person)
        home = Home(size, self._settings.hub.home_mb * 2**20, before.stopped_at if before else None)
        self._homes[person] = home if home.is_over else replace(home, stopped_at=None)

    def _fills_the_disk(self, server: Running) -> bool:
        home = self._homes.get(server.username)
        if home is None or not home.is_far_over:
            return False
        first = self._at_first[_key(server)]
        was_too_large = replace(home, size=replace(home.size, bytes=first)).is_far_over
        if not was_too_large or home.size.bytes > first + GROWTH * home.limit:
            return True
        return server.started is not None and datetime.now(UTC) - server.started > GRACE

    async def _stop(self, server: Running) -> None:
        home = self._homes[server.username]
        log.warning(
            "stopping %s of %s: the home takes %d MB, and hub.home_mb is %d",
            server.server,
            server.username,
            home.size.bytes // 2**20,
            self._settings.hub.home_mb,
        )
        await self._hub.stop(self._token, server.username, server.server)
        self._homes[server.username] = replace(home, stopped_at=datetime.now(UTC))


def _key(server: Running) -> Key:
    return server.username, server.server, server.started


async def _watch(settings: Settings) -> None:
    token = os.environ["JUPYTERHUB_API_TOKEN"]
    hub = HubClient(os.environ["JUPYTERHUB_API_URL"], client_id="", client_secret=token)
    watch = HomeWatch(settings, hub, token)
    while True:
        try:
            await watch.look()
        except HubError as error:
            log.warning("%s", error)
        except Exception:  # a full disk, above all: the next look does better
            log.exception("looking at homes")
        await asyncio.sleep(min(LOOK_S, settings.hub.home_look_s))


def main() -> None:
    """Look until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # the hub stops its services by SIGINT and waits for them: at low priority, Python would take a while to end
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.nice(_NICE)
    asyncio.run(_watch(load_settings()))


if __name__ == "__main__":
    main()
