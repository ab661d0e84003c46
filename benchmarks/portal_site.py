"""The real portal over a record, with a stand-in for the hub beside it, and somebody at a browser who is logged in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from benchmarks.portal_course import ADMIN, COURSE, TEACHER, student
from benchmarks.site import free_ports

PREFIX = "/services/portal/"
RUNNING = 200  # servers, as Administration sees them


def tiny_hub() -> FastAPI:
    """What the portal asks of a hub for a login and for a page; a token is the word "token" and the user name."""
    app = FastAPI()

    @app.get("/hub/api/")
    async def version() -> Response:
        return JSONResponse({"version": "6"})

    @app.post("/hub/api/oauth2/token")
    async def token(request: Request) -> Response:
        name = re.search(r"code=code-([a-z0-9]+)", (await request.body()).decode())
        return JSONResponse({"access_token": f"token-{name[1]}"} if name else {}, 200 if name else 400)

    @app.get("/hub/api/user")
    async def user(request: Request) -> Response:
        name = request.headers["authorization"].split()[-1].removeprefix("token-")
        group = ("formgrade-" if name == TEACHER else "nbgrader-") + COURSE
        return JSONResponse(
            {
                "kind": "user",
                "name": name,
                "admin": name == ADMIN,
                "groups": [group],
                "servers": {},
                "scopes": ["access:services!service=portal"],
            }
        )

    @app.get("/hub/api/users")
    async def users(offset: int, limit: int) -> Response:
        used = "2026-01-05T09:00:00Z"
        server = {"ready": True, "pending": None, "started": used, "last_activity": used}
        names = [student(number) for number in range(RUNNING)]
        return JSONResponse([{"name": each, "servers": {"base": server}} for each in names[offset:][:limit]])

    return app


class PortalSite:
    """`python -m hub.portal` in a process of its own, as the hub starts it; a context manager."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        hub_port, port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        settings = folder / "ictlabs.toml"
        settings.write_text(f'[site]\ndata_dir = "var"\ndatabase_url = "{database_url}"\n', encoding="utf-8")
        config = uvicorn.Config(
            tiny_hub(), port=hub_port, log_level="error", lifespan="off", timeout_keep_alive=3600
        )
        self._hub = uvicorn.Server(config)  # which keeps connections as long as the real one
        self._environment = {
            **os.environ,
            "ICTLABS_SETTINGS": str(settings),
            "JUPYTERHUB_SERVICE_URL": self.url,
            "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub_port}/hub/api",
            "JUPYTERHUB_API_TOKEN": "of-the-portal",
            "JUPYTERHUB_CLIENT_ID": "service-portal",
        }

    def __enter__(self) -> PortalSite:
        self._thread = threading.Thread(target=self._hub.run, daemon=True)
        self._thread.start()
        self._log = (self._folder / "portal.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hub.portal"], env=self._environment, stdout=self._log, stderr=self._log
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                # its health is not well: nobody grades here
                if httpx.get(f"{self.url}{PREFIX}", trust_env=False).has_redirect_location:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise RuntimeError(f"The portal did not start:\n{(self._folder / 'portal.log').read_text()[-4000:]}")

    def login(self, name: str) -> httpx.Client:
        """A browser in which `name` is logged in. It asks for gzip, as browsers do."""
        client = httpx.Client(
            base_url=f"{self.url}{PREFIX}",
            trust_env=False,
            timeout=120,
            headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin"},
        )
        state = re.search(r"state=([^&]+)", client.get("").headers["location"])
        assert state
        client.get(f"oauth_callback?code=code-{name}&state={state[1]}")
        client.get("").raise_for_status()
        return client

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self._hub.should_exit = True
        self._thread.join(10)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
