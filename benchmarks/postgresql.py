"""A PostgreSQL cluster of one's own from Debian's binaries: made, started, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

MISSING = "No PostgreSQL server is here: apt-get install postgresql"


def binaries() -> Path | None:
    """The folder of the newest server's programs; None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextlib.contextmanager
def cluster() -> Iterator[Path]:
    """The socket folder of a cluster that lives as long as the block. Raises FileNotFoundError without a server."""
    programs = binaries()
    if programs is None:
        raise FileNotFoundError(MISSING)
    # short: a socket's path has 107 characters
    folder = Path(tempfile.mkdtemp(prefix="ictlabs-pg-", dir="/tmp"))
    as_user = _unprivileged(folder)
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    control = [str(programs / "pg_ctl"), "-D", str(data)]
    try:
        run(
            str(programs / "initdb"),
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "ictlabs",
            "-E",
            "UTF8",
            "--no-sync",
        )
        start(folder)
        try:
            yield folder
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill(folder: Path) -> None:
    """End the server with SIGKILL, as the machine does when memory is short."""
    pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while Path(
        f"/proc/{pid}"
    ).exists():  # a number that is not free yet would keep the next one from starting
        time.sleep(0.05)


def start(folder: Path) -> None:
    """Start the server of a cluster; one that was killed recovers from its log."""
    programs = binaries()
    if programs is None:
        raise FileNotFoundError(MISSING)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
    control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log")]
    command = [*_unprivileged(folder), *control, "-o", options, "-w", "start"]
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


def _unprivileged(folder: Path) -> list[str]:
    """What runs a command as somebody else when we are root, as whom PostgreSQL refuses to run."""
    if os.geteuid() != 0:
        return []
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def new_database(folder: Path) -> str:
    """Make an empty database in the cluster; returns its URL."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(host=str(folder), user="ictlabs", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://ictlabs@/{name}?host={folder}"
