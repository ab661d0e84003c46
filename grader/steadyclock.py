"""Lets Dask and tornado count time by a clock that nobody sets. To be imported before a client, worker or scheduler is made.

Dask sends a message after the last one's 2 ms are over, by the time of day: with a clock that is set back in these 2 ms
it waits for hours, and a job with it. Tornado allows another clock (`IOLoop.time`) but has no setting for it.
"""

from __future__ import annotations

import time
from typing import Any

from distributed import batched
from tornado.ioloop import IOLoop


def _monotonic(self: Any) -> float:
    return time.monotonic()


IOLoop.time = _monotonic  # type: ignore[method-assign]  # what both make deadlines of
batched.time = time.monotonic  # type: ignore[attr-defined] # and what Dask compares them with
