"""A student's server that is open to the course's instructors for a while: how it begins, and all the ways it ends."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from grader.models import OpenServer
from grader.store import Store
from hub.portal.hubclient import HubClient, HubError
from hub.portal.languages import gettext as _

log = logging.getLogger(__name__)

LASTS = timedelta(hours=1)
_LOOK_S = 5.0


class Opening:
    """Opens and ends. What is open stands in the record, so that a portal that starts again ends it too."""

    def __init__(self, store: Store, hub: HubClient) -> None:
        """Note in `store`, ask `hub`."""
        self._store = store
        self._hub = hub
        self._tokens: dict[tuple[str, str], str] = {}  # of owners, while something is open: they end its code

    async def open(self, token: str, username: str, server: str, course: str) -> None:
        """Let the instructors of a course open a person's own server. Raises HubError."""
        user = await self._hub.user(token, fresh=True)
        if user is None or user.server_state(server) != "ready":
            raise HubError(_("Your server is not running. Press Start, then let the instructor in."))
        until = datetime.now(UTC) + LASTS
        await self._hub.unshare(username, server, token)  # from now on it is this one alone
        code = await self._hub.share(token, username, server, int(LASTS.total_seconds()))
        self._tokens[username, server] = token
        await asyncio.to_thread(self._store.open_server, username, server, course, code, until)

    async def end_due(self, username: str = "", *, look: bool = False) -> bool:
        """End at the hub what has ended here. Returns whether nobody is left in a server of `username`, or of anybody.

        look: also see who is inside, and which server stopped. After a restart the owner's token is not at hand: then
        whoever comes back with the code is taken out again here, until it runs out.
        """
        all_ended = True
        for row in await asyncio.to_thread(self._store.open_servers):
            if username and row.username != username:
                continue
            try:
                if row.until > datetime.now(UTC) and (not look or await self._goes_on(row)):
                    continue
                token = self._tokens.get((row.username, row.server), "")
                has_ended = await self._hub.unshare(row.username, row.server, token)
            except HubError as away:
                log.warning("%s/%s stays open for now: %s", row.username, row.server, away)
                all_ended = False
                continue
            if has_ended:
                self._tokens.pop((row.username, row.server), None)
                await asyncio.to_thread(self._store.server_ended, row)
            elif row.until > datetime.now(UTC):  # it stopped
                await asyncio.to_thread(self._store.end_server, row.username, row.course)
        return all_ended

    async def watch(self) -> None:
        """Do that again and again, until cancelled."""
        while True:
            try:
                await self.end_due(look=True)
            except (
                Exception
            ):  # a record that is locked: the next look does better, and nothing may end the watch
                log.exception("looking after open servers")
            await asyncio.sleep(_LOOK_S)

    async def _goes_on(self, row: OpenServer) -> bool:
        found = await self._hub.sharing(row.username, row.server)
        if found is None or not found.ready:
            return False
        if list(found.inside) != row.inside:
            await asyncio.to_thread(self._store.set_inside, row.username, row.server, found.inside)
        return True
