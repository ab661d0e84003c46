"""Tells the site which checks of which exercise hold, from a student's own server; no answer, and never in the way.

What is sent: course, lab, the name of the cell that ran, and for a check cell the names of its checks and whether each
holds. Nothing is sent where there is no exchange to send it to: at an author's desk, and when work is graded.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ictlab.check import Check

MOST_WAITING = 50  # cells; what comes while so many wait is dropped
MOST_CHECKS, LONGEST_NAME = 50, 200  # of one cell; the service takes no more
COLLECT_S, LONGEST_COLLECT_S = 1.0, 5.0  # cells that run close together go out together
SEND_S = 2.0
AWAY_S, REFUSED_S = 20.0, 600.0  # how long nothing is sent after the service was away, or did not want it
BROKE_OFF = "the cell runs to its end"


@dataclass(frozen=True)
class Ran:
    """A cell that ran: as the kernel knows it, and what its checks said."""

    source: str
    cell_id: str
    checks: tuple[tuple[str, bool], ...]
    ended_well: bool


class Reporter:
    """Sends what ran in one kernel, from a thread of its own that ends with the kernel."""

    def __init__(self, service: Any) -> None:
        """`service`: ictlab.exchange.client.Service, or None for the one of the environment."""
        self._service = service
        self._waiting: queue.Queue[Ran] = queue.Queue(MOST_WAITING)
        self._checks: list[Check] = []
        self._thread: threading.Thread | None = None
        self._cells = _Cells()

    def begun(self, check: Check) -> None:
        """A check began in the cell that runs."""
        self._checks.append(check)

    def ran(self, result: Any) -> None:
        """A cell has run: IPython's event post_run_cell. Whatever is wrong here, the notebook goes on."""
        checks, self._checks = self._checks, []
        with contextlib.suppress(Exception):
            told = tuple(each for check in checks for each in check.told)
            info = result.info
            ran = Ran(info.raw_cell or "", getattr(info, "cell_id", None) or "", told, bool(result.success))
            self._waiting.put_nowait(ran)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="ictlab.events", daemon=True)
                self._thread.start()

    def _send_all(self) -> None:
        while True:
            batch = self._collect()
            try:
                pause_s = self._send(batch)
            except (
                Exception
            ):  # a notebook that cannot be read, a student's own `requests`: the next may do better
                pause_s = AWAY_S
            if pause_s:
                time.sleep(pause_s)
                while not self._waiting.empty():  # what is past tells nobody anything
                    self._waiting.get_nowait()

    def _collect(self) -> list[Ran]:
        batch = [self._waiting.get()]
        until = time.monotonic() + LONGEST_COLLECT_S
        with contextlib.suppress(queue.Empty):
            while time.monotonic() < until and len(batch) < MOST_WAITING:
                batch.append(self._waiting.get(timeout=COLLECT_S))
        return batch

    def _send(self, batch: list[Ran]) -> float:
        """Send, and say how many seconds to be silent then."""
        from ictlab.exchange.client import Service, ServiceError
        from ictlab.show.progress import notebook_file

        file = notebook_file()
        events = [event for ran in batch if (event := self._cells.event(file, ran)) is not None]
        lab = file.parent
        try:
            service = self._service or Service.from_environment()
            service.tell(lab.parent.name, lab.name, events, within_s=SEND_S)
        except ServiceError as error:
            return REFUSED_S if error.status in (401, 403, 404, 405) else AWAY_S
        return 0


class _Cells:
    """Which cell of the lab a cell that ran is: its name in nbgrader, from the notebook's file."""

    def __init__(self) -> None:
        self._known: tuple[Path, float] | None = None
        self._names: dict[str, str] = {}  # by id, and by the source of what is locked
        self._checks: set[str] = set()

    def event(self, file: Path, ran: Ran) -> dict[str, Any]:
        """What to send of a cell; one that is none of the lab's says only that somebody is here."""
        self._read(file)
        name = self._names.get("source " + ran.source.strip()) or self._names.get("id " + ran.cell_id, "")
        checks = [
            {"name": " ".join(said.split())[:LONGEST_NAME], "holds": holds} for said, holds in ran.checks
        ]
        if name not in self._checks:
            return {"cell": name, "checks": []}
        if not ran.ended_well:
            checks.append({"name": BROKE_OFF, "holds": False})
        return {"cell": name, "checks": checks[-MOST_CHECKS:]}

    def _read(self, file: Path) -> None:
        changed = file.stat().st_mtime
        if self._known == (file, changed):
            return
        self._names, self._checks = {}, set()
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            meta = cell.get("metadata", {}).get("nbgrader", {})
            name = str(meta.get("grade_id", ""))[:LONGEST_NAME]
            if not name or cell.get("cell_type") != "code":
                continue
            self._names["id " + str(cell.get("id", ""))] = name
            if meta.get("grade") and not meta.get("solution"):
                self._names["source " + "".join(cell.get("source", "")).strip()] = name
                self._checks.add(name)
        self._known = (file, changed)


_reporter: Reporter | None = None


def begun(check: Check) -> None:
    """A check began; there may be nobody to tell."""
    if _reporter is not None:
        _reporter.begun(check)


def listen() -> bool:
    """Tell the site what runs in this kernel from now on, if this is a student's server. Returns whether it is."""
    global _reporter  # noqa: PLW0603 (one kernel, one reporter)
    if _reporter is not None:
        return True
    if not os.environ.get("ICTLABS_EXCHANGE_URL") or not os.environ.get("JUPYTERHUB_API_TOKEN"):
        return False
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return False
    _reporter = Reporter(None)
    shell.events.register("post_run_cell", _reporter.ran)
    return True
