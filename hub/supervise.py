"""Keeps Traefik and the hub up in the foreground; Ctrl-C ends what it started and nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hub.settings import Settings, in_url
from hub.site import Site, SiteError, is_held, is_listening
from hub.tls import CertificateError, Renewal, listening, traefik_folder, write
from hub.wholefile import write_whole

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 45.0
# What the hub starts beside students' servers; they have no pid files.
SERVICES = {"grading": b"hub.grading", "portal": b"hub.portal"}
MAX_STARTS = 5  # of one part within a minute; then something is wrong that only time or a person mends

Say = Callable[[str], None]


class Part:
    """One process of the site: started, found again by its pid file, ended."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], settings: Settings) -> None:
        self.name = name
        self.argv = argv
        self.env = env
        self.pid_file = settings.places.run / f"{name}.pid"
        self.end_file = settings.places.run / f"{name}.ended"
        self.log_file = settings.places.logs / f"{name}.log"
        self.cwd = settings.root
        self.process: subprocess.Popen[bytes] | None = None
        self.starts: list[float] = []

    def start(self) -> None:
        """Start it in a session of its own: the terminal's Ctrl-C reaches only the supervisor."""
        self.starts.append(time.monotonic())
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        write_whole(self.pid_file, str(self.process.pid))  # nobody reads half a number

    def ended(self) -> bool:
        """Whether it is not running (any more)."""
        return self.process is None or self.process.poll() is not None

    def may_start(self) -> bool:
        """Whether it was not started too often within the last minute."""
        self.starts = [at for at in self.starts if time.monotonic() - at < 60]
        return len(self.starts) < MAX_STARTS

    def how_it_ended(self) -> str:
        """For example: hub was ended by SIGKILL."""
        code = self.process.returncode if self.process else 0
        return f"{self.name} " + (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        )

    def note_end(self) -> None:
        """Write down how it ended, for `ict status`."""
        with contextlib.suppress(OSError):  # on a full disk it is started again all the same
            self.end_file.write_text(
                f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {self.how_it_ended()}", encoding="utf-8"
            )

    def stop(self) -> None:
        """SIGTERM, a while to clean up, SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(FileNotFoundError), self.log_file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 3000))
            return f"{self.log_file}:\n{stream.read().decode(errors='replace')}"
        return f"{self.log_file} is empty."


def parts(settings: Settings, site: Site, settings_file: Path | None) -> list[Part]:
    """Traefik and the hub, in the order in which they start. Raises SiteError."""
    for folder in (settings.places.run, settings.places.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    static = settings.places.run / "traefik.json"
    try:
        write(settings)
    except CertificateError as error:
        raise SiteError(str(error)) from error
    static.write_text(json.dumps(_traefik(settings, site), indent=1), encoding="utf-8")
    path = f"{SCRIPTS}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    keep = {
        k: v
        for k, v in os.environ.items()
        if k in ("HOME", "LANG", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "TZ", "TMPDIR")
    }
    env = {**keep, "PATH": path, "PYTHONUNBUFFERED": "1"}
    if settings_file:
        env["ICTLABS_SETTINGS"] = str(settings_file.resolve())
    environments = {"traefik": {"PATH": path}, "hub": env}
    return [Part(name, argv, environments[name], settings) for name, argv in _commands(settings).items()]


def _commands(settings: Settings) -> dict[str, list[str]]:
    return {
        "traefik": [str(SCRIPTS / "traefik"), "--configfile", str(settings.places.run / "traefik.json")],
        "hub": [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "jupyterhub_config.py")],
    }


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the site: a second `ict up` on the same data would stop the first one's parts. Raises SiteError."""
    settings.places.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.places.run / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SiteError(
                f"the site in {settings.places.data} is up already, by another `ict up`. Stop that one first."
            ) from None
        yield


def stop_left_over(settings: Settings) -> list[str]:
    """End the parts of an earlier run whose supervisor was killed; return their names.

    Do it before ports are chosen: servers that outlived the supervisor know the hub and the portal by theirs.
    """
    return [name for name, argv in reversed(_commands(settings).items()) if _stopped(settings, name, argv)]


@dataclass(frozen=True)
class Seen:
    """A part of the site as somebody else sees it. pid, since: None when it does not run."""

    name: str
    pid: int | None
    since: datetime | None
    ended: str = ""  # when and how it ended last without being asked to


def is_kept_up(settings: Settings) -> bool:
    """Whether an `ict up` holds the site."""
    return is_held(settings.places.run / "up.lock")


def seen(settings: Settings) -> list[Seen]:
    """The proxy, the hub, grading and the portal, whoever started them; not a portal that is apart."""
    found = []
    for name, argv in _commands(settings).items():
        pid = _running(settings, name, argv)
        ended = settings.places.run / f"{name}.ended"
        found.append(Seen(name, pid, _since(pid), ended.read_text("utf-8") if ended.exists() else ""))
    hub = found[-1].pid
    for name, command in SERVICES.items():
        if name != "portal" or not settings.hub.portal_apart:
            pid = _service_of(hub, command)
            found.append(Seen(name, pid, _since(pid)))
    return found


def _running(settings: Settings, name: str, argv: list[str]) -> int | None:
    """The pid of a part, if its pid file names one that runs."""
    try:
        pid = int((settings.places.run / f"{name}.pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    # else the number went to somebody else meanwhile
    return pid if [part.decode(errors="replace") for part in command[: len(argv)]] == argv else None


def _service_of(hub: int | None, command: bytes) -> int | None:
    for file in Path("/proc").glob("[0-9]*/stat") if hub else ():
        with contextlib.suppress(OSError):
            if int(_stat(file)[1]) == hub and command in (file.parent / "cmdline").read_bytes():
                return int(file.parent.name)
    return None


def _since(pid: int | None) -> datetime | None:
    """When a process was started."""
    with contextlib.suppress(OSError, StopIteration):
        ticks = int(_stat(Path(f"/proc/{pid}/stat"))[19])
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        booted_at = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return datetime.fromtimestamp(booted_at + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return None


def _stat(file: Path) -> list[str]:
    """What the kernel says of a process, from its state on: its name may hold anything."""
    return file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _stopped(settings: Settings, name: str, argv: list[str]) -> bool:
    pid = _running(settings, name, argv)
    if pid is None:
        return False
    process = Path(f"/proc/{pid}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while process.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def _traefik(settings: Settings, site: Site) -> dict[str, object]:
    folder = traefik_folder(settings)
    (folder / "routes.toml").touch(mode=0o600)
    config = listening(settings)
    config["entryPoints"]["auth_api"] = {"address": f"127.0.0.1:{site.traefik_port}"}
    return {
        "api": {},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "providers": {"file": {"directory": str(folder), "watch": True}, "providersThrottleDuration": "0s"},
        **config,
    }


def run(settings: Settings, site: Site, group: list[Part], say: Say, ready: Callable[[], None]) -> None:
    """Start everything, call `ready`, keep it up until SIGINT or SIGTERM, stop everything.

    Raises SiteError when a part does not come up.
    """
    stopping: list[int] = []
    renewal = Renewal(settings, say)
    before = {
        s: signal.signal(s, lambda number, _frame: stopping.append(number))
        for s in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        for part in group:
            part.start()
        say("starting the hub and the portal")
        if _wait_until_up(settings, group, stopping):
            ready()
        given_rest: set[str] = set()
        while not stopping:
            renewal.look()
            for part in filter(Part.ended, group):
                restart(part, given_rest, say)
            time.sleep(0.2)
    finally:
        say("stopping")
        for part in reversed(group):
            part.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def restart(part: Part, given_rest: set[str], say: Say) -> None:
    """Start a part again, or leave it for a while: the database that it needs may be back then."""
    if part.may_start():
        given_rest.discard(part.name)
        part.note_end()
        say(f"{part.how_it_ended()}; starting it again")
        part.start()
    elif part.name not in given_rest:
        given_rest.add(part.name)
        say(
            f"{part.how_it_ended()}, {MAX_STARTS} starts within a minute; it is tried again until it stays up.\n"
            f"{part.last_words()}"
        )


def _wait_until_up(settings: Settings, group: list[Part], stopping: list[int]) -> bool:
    """Wait until the portal answers through the proxy; False if somebody stopped us first."""
    import httpx

    deadline = time.monotonic() + START_TIMEOUT_S
    scheme = "https" if settings.tls.is_on else "http"
    url = f"{scheme}://{in_url(settings.hub.host)}:{settings.hub.port}/services/portal/health"
    while not stopping:
        for part in group:
            if part.ended():
                raise SiteError(f"{part.name} did not start.\n{part.last_words()}")
        with contextlib.suppress(httpx.HTTPError):
            if (
                is_listening(settings.hub.host, settings.hub.port)
                # nothing secret is asked, and the certificate is for another name or still on its way
                and httpx.get(url, timeout=5, verify=False).status_code == 200  # noqa: S501
            ):
                return True
        if time.monotonic() > deadline:
            apart = " hub.portal_apart is set: `ict portal` starts it." if settings.hub.portal_apart else ""
            raise SiteError(
                f"the portal did not answer within {START_TIMEOUT_S:.0f} s.{apart}\n{group[-1].last_words()}"
            )
        time.sleep(0.1)
    return False
