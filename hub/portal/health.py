"""Whether the site can be used, for load balancers and whatever starts things again: a word for each part, no numbers.

Anybody may ask. An answer is kept for a moment, so that asking often costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from grader.settings import Places
from grader.store import RecordError, Store
from hub.grading import is_watched
from hub.portal.hubclient import HubClient

log = logging.getLogger(__name__)

OK = "ok"
_KEEP_S = 1.0
_WAIT_S = 3.0  # for the hub, and for the database


class Health:
    """The parts of one site: hub, database, and that somebody looks after grading jobs."""

    def __init__(self, store: Store, hub: HubClient, places: Places) -> None:
        """Nothing is known yet."""
        self._store, self._hub, self._places = store, hub, places
        self._lock = asyncio.Lock()
        self._known: Mapping[str, str] = {}
        self._known_at = float("-inf")
        # of its own: a database that hangs holds one thread, however often somebody asks
        self._worker = ThreadPoolExecutor(1, "health")

    async def now(self) -> Mapping[str, str]:
        """{"hub": ..., "database": ..., "jobs": ...}: "ok", or what is wrong."""
        async with self._lock:
            if time.monotonic() - self._known_at >= _KEEP_S:
                hub, database = await asyncio.gather(self._hub.answers(_WAIT_S), self._database())
                self._known = {
                    "hub": OK if hub else "does not answer",
                    "database": database,
                    "jobs": OK if is_watched(self._places) else "nobody looks after them",
                }
                self._known_at = time.monotonic()
            return self._known

    async def _database(self) -> str:
        asked = asyncio.get_running_loop().run_in_executor(self._worker, self._store.revision)
        try:
            await asyncio.wait_for(asked, _WAIT_S)
        except TimeoutError:
            return "does not answer"
        except RecordError as error:
            log.warning("%s", error)
            return "cannot be read"
        return OK

    def close(self) -> None:
        """Wait for nothing."""
        self._worker.shutdown(wait=False, cancel_futures=True)


def health_route(health: Health) -> APIRouter:
    """GET health, for anybody."""
    router = APIRouter()

    @router.get("/health")
    async def answer() -> Response:
        """200 when everything is well, else 503 and which part is not."""
        found = await health.now()
        return JSONResponse(dict(found), 200 if set(found.values()) == {OK} else 503)

    return router
