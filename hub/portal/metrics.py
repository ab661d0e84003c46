"""What a monitoring system asks of the portal, and one line of the log for each request.

GET metrics answers in Prometheus' text format to who has the site's `metrics_token`; the hub's own /hub/metrics takes the
same token. A request has an id: the proxy's X-Request-ID or a new one. It is in the answer and in every line that is
logged for the request. The line names the route and not the address, so no name of a person is in it.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grader.store import Store
from hub.portal.starts import Starts

log = logging.getLogger("ictlabs.requests")

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
)  # a client can make up any other word, and each would be kept
_LONG_LIVED = "text/event-stream"  # open as long as its page: its length says nothing of the portal
JOB_STATES = ("waiting", "running", "done", "failed", "cancelled")


class Metrics(Collector):
    """The numbers of one portal: requests as they are answered, and what is asked of the record at each scrape."""

    def __init__(self, store: Store, starts: Starts, data: Path) -> None:
        """`data`: the site's data folder, for its disk."""
        self._store, self._starts, self._data = store, starts, data
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "ictlabs_request_seconds",
            "Time until an answer began.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Nothing: what `collect` says is known when it is asked for."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """What the record, the queue of starts and the disk hold."""
        jobs, reports, submissions = self._store.tally()
        starting, waiting = self._starts.counts()
        disk = shutil.disk_usage(self._data)
        yield GaugeMetricFamily("ictlabs_submissions", "Submissions in the record.", value=submissions)
        yield _gauges("jobs", "Grading jobs by state.", "state", dict.fromkeys(JOB_STATES, 0) | jobs)
        about = "Graded submissions by state; failed is a fault of the grader."
        yield _gauges("reports", about, "state", reports)
        about = "Servers that the portal starts, and people who wait for their turn."
        yield _gauges("starts", about, "state", {"starting": starting, "waiting": waiting})
        about = "The disk with the site's data."
        yield _gauges("disk_bytes", about, "kind", {"free": disk.free, "total": disk.total})


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"ictlabs_{name}", about, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


class Requests:
    """ASGI middleware: an id, a measurement and a line of the log for each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap `app`."""
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and note how long it took."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if _ID.fullmatch(given) else secrets.token_hex(8)
        REQUEST_ID.set(number)
        began = time.perf_counter()

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                measured = not headers.get("content-type", "").startswith(_LONG_LIVED)
                self._note(scope, message["status"], time.perf_counter() - began, measured=measured)
            await send(message)

        try:
            await self.app(scope, receive, send_with)
        except Exception:  # the answer to a fault is made outside of all middleware
            self._note(scope, 500, time.perf_counter() - began)
            raise

    def _note(self, scope: Scope, status: int, seconds: float, *, measured: bool = True) -> None:
        route = getattr(scope.get("route"), "path", "none")  # "none": there is no such page
        method = scope["method"] if scope["method"] in _METHODS else "other"
        if measured:
            self.metrics.seconds.labels(method, route, str(status)).observe(seconds)
        log.info("%s %s %s %.0f ms", method, route, status, 1000 * seconds)


class JsonLines(logging.Formatter):
    """A line of the log as one JSON object, with the request it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """{"time", "level", "logger", "message"}, and "request" and "error" where there is one."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if number := REQUEST_ID.get():
            line["request"] = number
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def metrics_route(metrics: Metrics, token: str) -> APIRouter:
    """GET metrics, for who has `token`."""
    router = APIRouter()

    @router.get("/metrics")
    def answer(request: Request) -> Response:
        """Everything, at this moment."""
        given = request.headers.get("authorization", "").partition(" ")[2].strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(
                403, "Metrics are for the site's monitoring: send the token in secrets/metrics_token."
            )
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE)

    return router
