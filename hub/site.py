"""One running site: its mode, addresses and secrets, decided at the start and kept so that a restart finds them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hub.doctor import choose_mode, find_engine, find_userns
from hub.settings import Settings

METRICS_TOKEN = "metrics_token"  # noqa: S105 (the name of the secret)
PORTAL_TOKEN = "portal_token"  # noqa: S105 (likewise)
HIGH_PORT = 8000  # inner ports are above this one where the site's own is a low one
CONTAINED = ("docker", "swarm")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SiteError(Exception):
    """The site cannot start as it is set; the message says what to do."""


@dataclass(frozen=True)
class Site:
    """What every process of the site has to know."""

    mode: str  # docker | swarm | process | process-unjailed
    why: str
    inner_ip: str  # where students' servers reach the hub and the portal
    hub_port: int
    portal_port: int
    traefik_port: int  # Traefik's own API, loopback only
    keep_servers: bool  # students' servers outlive a stop of the site

    @property
    def contained(self) -> bool:
        """Whether students' servers are containers."""
        return self.mode in CONTAINED

    @property
    def portal_url(self) -> str:
        """The portal as students' servers see it."""
        return f"http://{self.inner_ip}:{self.portal_port}"


def site_label(settings: Settings) -> str:
    """Eight characters that tell this site's containers from another's on the same Engine."""
    return hashlib.sha256(str(settings.places.data).encode()).hexdigest()[:8]


def plan_site(settings: Settings, *, keep_servers: bool) -> Site:
    """Choose mode, addresses and ports; ports stay the same from start to start while they are free.

    Raises SiteError when the settings ask for what the machine does not have.
    """
    engine = find_engine()
    mode, why = choose_mode(settings, engine, find_userns())
    if mode in CONTAINED and not engine["available"]:
        raise SiteError(f"{why}. Start it (sudo make docker), or set hub.spawner to auto.")
    if mode not in CONTAINED and settings.hub.host not in LOOPBACK:
        raise SiteError(
            f"hub.host is {settings.hub.host}, but without a Docker Engine the site listens on loopback only: "
            "students' servers would be local processes open to the network. Run: sudo make docker"
        )
    inner_ip = "127.0.0.1"
    if mode == "docker":
        from hub.spawners.docker import ensure_network

        inner_ip = ensure_network(settings)
    elif mode == "swarm":
        from hub.spawners.swarm import node_address

        inner_ip = node_address()
    before = _load(settings)
    taken: set[int] = {settings.hub.port, settings.tls.redirect_port}
    # not every user may listen on those below 1024
    first = settings.hub.port if settings.hub.port >= 1024 else HIGH_PORT
    ports: list[int] = []
    for offset, (key, ip) in enumerate(
        [("hub_port", inner_ip), ("portal_port", inner_ip), ("traefik_port", "127.0.0.1")], 1
    ):
        # on other machines a filter lets servers reach these two ports, and no others
        tries = 1 if mode == "swarm" and key != "traefik_port" else 200
        wanted = before.get(key) or first + offset
        if key == "portal_port" and settings.hub.portal_apart:
            port = wanted  # the portal itself may hold it already
        else:
            port = _free_port(ip, wanted, taken, tries)
        taken.add(port)
        ports.append(port)
    site = Site(mode, why, inner_ip, ports[0], ports[1], ports[2], keep_servers)
    if mode == "swarm":
        from hub.spawners.swarm import check_network

        check_network(settings, site)
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(json.dumps(asdict(site), indent=1), encoding="utf-8")
    return site


def load_site(settings: Settings) -> Site:
    """Read what `plan_site` decided. Raises SiteError when there is no plan yet."""
    values = _load(settings)
    if not values:
        raise SiteError(f"{_file(settings)}: no such plan. Start the site with: ict up")
    return Site(**values)


def secret(settings: Settings, name: str, length_bytes: int = 32) -> str:
    """Return the site's secret `name` as hex, made at first use; 0600 in a folder of 0700."""
    folder = settings.places.secrets
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / name
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(length_bytes))
    return file.read_text(encoding="ascii").strip()


def is_listening(ip: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((ip, port)) == 0


def can_listen(ip: str, port: int) -> bool:
    """Whether a server could listen there: a connection that somebody made to elsewhere may hold the port too."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((ip, port))
        except OSError:
            return False
    return True


def is_held(lock: Path) -> bool:
    """Whether some process holds this lock (flock); nobody does where there is no such file."""
    try:
        with lock.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_denied(ip: str, port: int) -> bool:
    """Whether this user may not listen on such a port."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
        try:
            probe.bind((ip, port))
        except OSError as error:
            return isinstance(error, PermissionError)
    return False


def _file(settings: Settings) -> Path:
    return settings.places.run / "site.json"


def _load(settings: Settings) -> dict[str, Any]:
    try:
        values = json.loads(_file(settings).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _free_port(ip: str, wanted: int, taken: set[int], tries: int) -> int:
    for port in range(wanted, min(wanted + tries, 65536)):
        if port not in taken and can_listen(ip, port):
            return port
    raise SiteError(f"no free port near {wanted}. Set hub.port to another one.")
