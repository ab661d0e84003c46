"""Shows visitors out of a student's server: a connection that is open ends too when the owner lets them in no more.

JupyterHub refuses the next request of somebody it no longer lets in. A notebook or a terminal that is open in a browser
asks nothing any more: it is one long connection, so the hub is asked about each of them again and again.
"""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

from tornado.ioloop import PeriodicCallback
from tornado.websocket import WebSocketHandler

LOOK_S = 10.0  # the hub's answers are good for a while too: see cache_max_age in hub/configure.py


class Visitors:
    """The open connections of one server that are not its owner's."""

    def __init__(self, hub_auth: Any, owner: str) -> None:
        """`hub_auth`: JupyterHub's HubOAuth of this server. `owner`: a user name."""
        self._hub_auth = hub_auth
        self._owner = owner
        self._open: WeakSet[WebSocketHandler] = WeakSet()

    def watch(self) -> None:
        """Begin: every WebSocket of this process passes here."""
        opened, begin = self._open, WebSocketHandler.get

        async def get(handler: WebSocketHandler, *args: Any, **kwargs: Any) -> None:
            opened.add(handler)
            await begin(handler, *args, **kwargs)

        WebSocketHandler.get = get  # type: ignore[method-assign]
        PeriodicCallback(self.show_out, LOOK_S * 1000).start()

    async def show_out(self) -> None:
        """Close what belongs to somebody whom the hub does not let in."""
        for handler in list(self._open):
            if handler.ws_connection is None:
                self._open.discard(handler)
            elif getattr(handler.current_user, "username", "") != self._owner and not await self._may(
                handler
            ):
                handler.close(4403, "The owner of this server lets nobody in any more.")

    async def _may(self, handler: WebSocketHandler) -> bool:
        token = self._hub_auth.get_token(handler)
        session = self._hub_auth.get_session_id(handler)
        try:
            user = token and await self._hub_auth.user_for_token(token, session_id=session, sync=False)
        except Exception:  # the hub is away: nobody is shown out for that
            return True
        return bool(user and self._hub_auth.check_scopes(self._hub_auth.access_scopes, user))


def watch_visitors(server: Any) -> bool:
    """Begin in a server that JupyterHub started. Returns whether it is one."""
    hub_auth, owner = getattr(server.identity_provider, "hub_auth", None), os.environ.get("JUPYTERHUB_USER")
    if hub_auth is None or not owner:
        return False
    Visitors(hub_auth, owner).watch()
    return True
