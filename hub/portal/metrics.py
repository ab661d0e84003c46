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
from collections.abc import Callable, Iterator, Mapping
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
_LONG_LIVED = "text/event-stream"  # open as long as its page: its length says nothing of the portal

JOB_STATES = ("waiting", "running", "done", "failed", "cancelled")

# name -> what it is, its label, and the values by label
Numbers = Mapping[str, tuple[str, str, Mapping[str, float]]]


class Metrics:
    """The numbers of one portal."""

    def __init__(self, numbers: Callable[[], Numbers]) -> None:
        """`numbers`: asked at each scrape."""
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "ictlabs_request_seconds",
            "Time until an answer began.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Asked(numbers))

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Asked(Collector):
    def __init__(self, numbers: Callable[[], Numbers]) -> None:
        self.numbers = numbers

    def describe(self) -> Iterator[Metric]:
        """Nothing: they are known when they are asked for."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One gauge each."""
        for name, (about, label, values) in self.numbers().items():
            family = GaugeMetricFamily(f"ictlabs_{name}", about, labels=[label] if label else [])
            for key, value in sorted(values.items()):
                family.add_metric([key] if label else [], value)
            yield family


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
                MutableHeaders(scope=message)["X-Request-ID"] = number
                self._note(scope, message, time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, send_with)

    def _note(self, scope: Scope, answer: Message, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # "none": there is no such page
        status = str(answer["status"])
        if not Headers(raw=answer["headers"]).get("content-type", "").startswith(_LONG_LIVED):
            self.metrics.seconds.labels(scope["method"], route, status).observe(seconds)
        log.info("%s %s %s %.0f ms", scope["method"], route, status, 1000 * seconds)


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


def numbers_of(store: Store, starts: Starts, data: Path) -> Numbers:
    """What the record, the queue of starts and the disk hold."""
    jobs, reports, submissions = store.tally()
    starting, waiting = starts.counts()
    disk = shutil.disk_usage(data)
    return {
        "jobs": ("Grading jobs by state.", "state", dict.fromkeys(JOB_STATES, 0) | jobs),
        "reports": ("Graded submissions by state; failed is a fault of the grader.", "state", reports),
        "submissions": ("Submissions in the record.", "", {"": submissions}),
        "starts": (
            "Servers that the portal starts, and people who wait for their turn.",
            "state",
            {"starting": starting, "waiting": waiting},
        ),
        "disk_bytes": ("The disk with the site's data.", "kind", {"free": disk.free, "total": disk.total}),
    }


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
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
