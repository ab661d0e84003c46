"""An exchange that is killed with SIGKILL at a chosen step of a request. A script for test_exchange_kill.py.

A step is a line of the exchange, the record, the blobs or the receipts that runs after the request came in. The
parent has imported everything; for each line of standard input (a number of steps) it forks a service that answers
until that step, and says on standard output how the service ended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import uvicorn

import grader.blobs
import grader.database
import grader.exchange
import grader.receipts
import grader.store
from grader.settings import ExchangeSettings, Places
from grader.store import Store

WATCHED = frozenset(
    str(module.__file__)
    for module in (grader.blobs, grader.database, grader.exchange, grader.receipts, grader.store)
)


class Executioner:
    """Counts steps in all threads; at the last one the process is gone, without a word or a flush."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.lock = threading.Lock()

    def trace(self, frame: FrameType, what: str, _arg: Any) -> Any:
        """A trace function: `sys.settrace` calls it for each new frame, then for each line of a watched one."""
        if frame.f_code.co_filename not in WATCHED:
            return None
        if what == "line":
            with self.lock:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        return self.trace


def load_service() -> ModuleType:
    """tests/exchange_service.py."""
    spec = importlib.util.spec_from_file_location(
        "exchange_service", Path(__file__).resolve().parents[2] / "exchange_service.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Fork a service for each number read."""
    given = json.loads(sys.argv[1])
    listener = socket.socket(fileno=given["fd"])
    service = load_service()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            places = Places(data=Path(given["data"]))
            app = service.create_app(
                Store.open(places.store_url, places), ExchangeSettings(max_per_hour=9999), given["people"]
            )
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
            executioner = Executioner(int(line))
            threading.settrace(executioner.trace)
            sys.settrace(executioner.trace)
            server.run(sockets=[listener])
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
