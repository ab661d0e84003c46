"""A real exchange for tests: FastAPI, the router, and a table of tokens instead of the hub, in a process of its own.

Run as a script it serves on a socket it was handed. Tests load this file by its path and call `running`.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import uvicorn
from fastapi import FastAPI, HTTPException, Request

from grader.exchange import exchange_router
from grader.people import Person
from grader.settings import ExchangeSettings, Places
from grader.store import Store

People = Mapping[str, tuple[str, list[str]]]  # token -> user name, groups


@dataclass
class Running:
    """A service that answers at `url`; `store` is the same record, opened by the test."""

    url: str
    process: subprocess.Popen[bytes]
    store: Store
    log: Path

    def ask(self, token: str, method: str, path: str, **rest: object) -> requests.Response:
        """One request as the person of `token`."""
        headers = {"Authorization": f"token {token}"}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **rest)  # type: ignore[arg-type]


def create_app(store: Store, settings: ExchangeSettings, people: People) -> FastAPI:
    """The exchange, and who has which token."""

    async def person(request: Request) -> Person:
        token = request.headers.get("authorization", "").removeprefix("token ")
        if token not in people:
            raise HTTPException(401, "You are not logged in. Log in first.")
        name, groups = people[token]
        return Person(name, frozenset(groups))

    app = FastAPI()
    app.include_router(exchange_router(store, settings, person))
    return app


@contextmanager
def running(data: Path, people: People, settings: Mapping[str, int] | None = None) -> Iterator[Running]:
    """Serve the record below `data` until the block ends."""
    places = Places(data=data)
    store = Store.open(places.store_url, places)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        spec = json.dumps(
            {"data": str(data), "people": people, "settings": dict(settings or {}), "fd": listener.fileno()}
        )
        log = data / "service.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, __file__, spec], pass_fds=[listener.fileno()], stdout=out, stderr=out
            )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/exchange"
    try:
        yield Running(url, process, store, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        store.close()


def serve(spec: str) -> None:
    """What the process does."""
    given = json.loads(spec)
    places = Places(data=Path(given["data"]))
    store = Store.open(places.store_url, places)
    app = create_app(store, ExchangeSettings(**given["settings"]), given["people"])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    server.run(sockets=[socket.socket(fileno=given["fd"])])


if __name__ == "__main__":
    serve(sys.argv[1])
