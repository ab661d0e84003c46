"""What a worker does with one submission: bytes from the blobs in, references and marks out. It writes no database."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat.v4 import nbjson

from grader.archives import ArchiveRefused, unpacked
from grader.blobs import Blobs
from grader.clean import displayable
from grader.engine.grade import GradedSubmission, grade_submission
from grader.engine.released import ReleasedLab
from grader.gradewriter import CellScores
from grader.sandbox import BACKENDS, await_walls, choose
from grader.sandbox.base import Limits, Sandbox
from grader.sandbox.kernels import Kernels
from grader.sandbox.runfolder import sweep
from grader.settings import ExchangeSettings, SandboxSettings

log = logging.getLogger(__name__)

BLOBS = "ICTLABS_BLOBS"  # where a worker on another machine has the blobs, if not where the site has them
OUR_FAULT = "It could not be graded: a fault of the grader, which costs nothing. Grade again."


@dataclass(frozen=True)
class Order:
    """What all submissions of a job have in common. Small: it goes with every task.

    released: SHA-256 of the blob with ReleasedLab.dumps(). image: for containers.
    """

    blobs: str
    released: str
    image: str
    preload: tuple[str, ...]
    fork: bool
    nested: bool
    slots: int
    sandbox: SandboxSettings
    exchange: ExchangeSettings


@dataclass(frozen=True)
class Ticket:
    """One submission, by reference. variant: the seed of the student's own values."""

    submission_id: str
    sha256: str
    variant: str


@dataclass(frozen=True)
class Outcome:
    """What came of a ticket. state: graded | needs-manual | needs-look | failed (a fault of ours, see `fault`).

    notebooks: name -> SHA-256 of the executed notebook. cells: name -> CellScores.as_json().
    """

    submission_id: str
    state: str
    worker: str
    points: float | None = None
    exercises: tuple[dict[str, Any], ...] = ()
    message: str = ""
    evidence: tuple[str, ...] = ()
    notebooks: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    fault: str = ""


def grade_ticket(order: Order, ticket: Ticket) -> Outcome:
    """Grade one submission. Never raises: what goes wrong here is a fault of ours and costs no marks."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        bench = _bench(order)
        graded = bench.grade(ticket)
        return bench.outcome(ticket, graded, worker)
    except Exception as error:
        log.exception("submission %s could not be graded", ticket.submission_id)
        await_walls(order.sandbox.backend)
        fault = f"{type(error).__name__}: {error}"[:500]
        return Outcome(ticket.submission_id, "failed", worker, message=OUR_FAULT, fault=fault)


class _Bench:
    """What a worker keeps between the submissions of a job: the release, and a warm zygote."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.blobs = Blobs(Path(os.environ.get(BLOBS) or order.blobs))
        self.released = ReleasedLab.loads(self.blobs.path(order.released).read_bytes())
        self._lock = threading.Lock()
        self._kernels: Kernels | None = None
        self._sandbox: Sandbox | None = None

    def kernels(self) -> Kernels:
        """Open the sandbox at first need."""
        with self._lock:
            if self._kernels is None:
                order = self.order
                name = choose() if order.sandbox.backend == "auto" else order.sandbox.backend
                sweep()
                self._sandbox = BACKENDS[name](order.image)
                limits = Limits.of(order.sandbox, nested=order.nested)
                self._kernels = self._sandbox.kernels(
                    limits, preload=order.preload, slots=order.slots, fork=order.fork
                )
            return self._kernels

    def close(self) -> None:
        """End the zygote."""
        with self._lock:
            if self._kernels is not None and self._sandbox is not None:
                self._kernels.close()
                self._sandbox.close()
            self._kernels = self._sandbox = None

    def grade(self, ticket: Ticket) -> GradedSubmission:
        """Read what was sent and grade it."""
        try:
            files = unpacked(self.blobs.path(ticket.sha256), self.order.exchange)
        except ArchiveRefused as problem:
            log.warning("submission %s: %s", ticket.submission_id, problem)
            files = {}
        return grade_submission(
            files, self.released, self.order.sandbox, self.kernels(), variant=ticket.variant
        )

    def outcome(self, ticket: Ticket, graded: GradedSubmission, worker: str) -> Outcome:
        """Keep the executed notebooks and put the rest into a small answer."""
        pages = {
            # without nbformat's validation: it was built here, cell by cell
            name: f"{nbjson.writes(displayable(notebook))}\n".encode()
            for name, notebook in graded.notebooks.items()
        }
        state = "needs-look" if graded.evidence else "needs-manual" if graded.needs_manual else "graded"
        return Outcome(
            submission_id=ticket.submission_id,
            state=state,
            worker=worker,
            points=graded.points,
            exercises=tuple(
                {
                    "exercise": mark.exercise,
                    "points": mark.points,
                    "max_points": mark.max_points,
                    "message": mark.message,
                }
                for mark in graded.exercises
            ),
            message=graded.message,
            evidence=graded.evidence,
            notebooks={name: self.blobs.put(page, durable=False)[0] for name, page in pages.items()},
            cells={name: CellScores.of(notebook).as_json() for name, notebook in graded.notebooks.items()},
        )


_making = threading.Lock()


def _bench(order: Order) -> _Bench:
    with _making:
        return _cached(order)


@functools.lru_cache(maxsize=1)
def _cached(order: Order) -> _Bench:
    """One job's bench at a time: a worker that goes on to another release lets the last zygote go."""
    close_bench()
    bench = _Bench(order)
    _open.append(bench)
    return bench


_open: list[_Bench] = []


@atexit.register
def close_bench() -> None:
    """End what this worker holds open."""
    while _open:
        _open.pop().close()
