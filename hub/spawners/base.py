"""What every spawner owes: it starts what hub.launch planned, shows its progress, and sees an early death itself."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar, NoReturn

from jupyterhub.spawner import SpawnException
from tornado.httpclient import AsyncHTTPClient
from traitlets import Any as AnyTrait
from traitlets import Callable
from traitlets.config import Configurable

from grader.ownership import give, site_gid, site_uid
from hub.launch import LaunchPlan, LaunchRefused, plan

POLL_S = 0.03  # the hub's own wait starts at 0.1 s and doubles: a second and more is lost to it
LOOK_S = 1.0  # a look at the container or the process costs more than a connection that is refused


class StartFailed(SpawnException):
    """A start that failed, in a sentence for the person who waits."""

    def __init__(self, message: str, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.jupyterhub_message = message  # the hub's progress would else show what is meant for the log


class LabSpawner(Configurable):
    """Mixed into a JupyterHub spawner. hub/configure.py sets the traits."""

    _coming: ClassVar[int] = 0  # servers that are waited for in this hub
    settings = AnyTrait(help="hub.settings.Settings").tag(config=True)
    site = AnyTrait(help="hub.site.Site").tag(config=True)
    # a function: traitlets copies configured objects deeply, and leaves functions alone
    memberships = Callable(help="grader.store.Store.memberships").tag(config=True)
    room_for = Callable(help="grader.store.Store.room_for").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stages: list[dict[str, Any]] = []
        self._staged = asyncio.Event()

    def launch_plan(self: Any) -> LaunchPlan:
        """Plan this server. Raises StartFailed that the person can read."""
        name = self.user.name
        try:
            environment = self.name or "base"
            room = self.room_for(name, environment)
            return plan(name, environment, self.memberships(name), self.settings, self.site, room=room)
        except LaunchRefused as refused:
            raise StartFailed(str(refused), reason="plan", status_code=400) from refused

    def prepare_home(self, launch: LaunchPlan) -> None:
        """Make the home folder, and the places where an instructor's course folders appear in it."""
        launch.home.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        if not launch.home.exists():
            launch.home.mkdir(mode=0o700)
            give(launch.home)
        if launch.courses:
            self._make_mount_points(launch)

    def _make_mount_points(self, launch: LaunchPlan) -> None:
        """Make home/courses/<course>. The home belongs to the person: no link in it is followed."""
        home = os.open(launch.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        parent = -1
        try:
            parent = self._made(home, "courses")
            for course in launch.courses:
                os.close(self._made(parent, course))
        except (NotADirectoryError, OSError) as error:
            raise StartFailed(
                "In your home, `courses` is not a folder of folders. Rename it and start again.",
                reason="home",
                log_message=f"{launch.home}/courses: {error}",
            ) from error
        finally:
            os.close(home)
            if parent >= 0:
                os.close(parent)

    @staticmethod
    def _made(parent: int, name: str) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            if os.geteuid() == 0:
                os.chown(name, site_uid(), site_gid(), dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            pass
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)

    def stage(self, percent: int, message: str) -> None:
        """Say how far the start is."""
        self._stages.append({"progress": percent, "message": message})
        self._staged.set()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What is going on while the server starts, for the hub's progress page and the portal."""
        shown = 0
        while True:
            self._staged.clear()
            while shown < len(self._stages):
                yield self._stages[shown]
                shown += 1
            await self._staged.wait()

    async def wait_until_ready(self: Any, ip: str, port: int) -> None:
        """Wait until the server answers; raise StartFailed with its last words if it dies first."""
        self.stage(60, "The server is coming up")
        deadline, looked = time.monotonic() + self.settings.hub.start_timeout_s, 0.0
        url = f"http://{ip}:{port}{self.server.base_url if self.server else self._base_path()}api"
        LabSpawner._coming += 1
        try:
            while not (await _listens(ip, port) and await _answers(url)):
                # thirty that are asked twenty times a second would take the cores from those that start
                coming = LabSpawner._coming
                if time.monotonic() > deadline:
                    await self.fail(
                        f"The server did not answer within {self.settings.hub.start_timeout_s} seconds"
                    )
                if time.monotonic() - looked > LOOK_S * max(1.0, coming / 4):
                    looked = time.monotonic()
                    if await self.poll() is not None:
                        await self.fail("The server stopped while it was starting")
                await asyncio.sleep(POLL_S * coming)
        finally:
            LabSpawner._coming -= 1
        self.stage(95, "The server answers")

    def _base_path(self: Any) -> str:
        return f"{self.hub.base_url.removesuffix('hub/')}user/{self.user.escaped_name}/{self.name}/"

    async def last_words(self) -> str:
        """The end of what the server printed."""
        raise NotImplementedError

    async def fail(self: Any, what: str) -> NoReturn:
        """Clean up and raise StartFailed: a sentence for the person, the server's last words for the log."""
        words = await self.last_words()
        await self.stop(now=True)
        raise StartFailed(
            f"{what}. Try again; if it happens twice, tell your instructor.",
            reason="died",
            status_code=500,
            log_message=f"{self.user.name}/{self.name}: {what}. Its last words:\n{words}",
        )


async def _listens(ip: str, port: int) -> bool:
    """Whether a connection is taken: cheaper than to ask by HTTP, and for seconds the answer is no."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(ip, port), 1)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(url: str) -> bool:
    """Whether it says anything by HTTP; an error is an answer too."""
    client = AsyncHTTPClient(force_instance=True)
    try:
        await client.fetch(url, connect_timeout=1, request_timeout=5, follow_redirects=False)
    except Exception as answer:
        return getattr(answer, "code", 599) != 599  # Tornado's number for an answer that did not come
    finally:
        client.close()
    return True
