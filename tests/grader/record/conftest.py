"""A record to test with: in SQLite and in a private PostgreSQL, with a course in it; and a real exchange."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from grader.settings import Places
from grader.store import MemberRow, Store

SERVICE = Path(__file__).resolve().parents[2] / "exchange_service.py"


@pytest.fixture(scope="session")
def postgresql_cluster(missing: Callable[[str, str], None]) -> Iterator[str]:
    """The socket folder of a private PostgreSQL, started for this run."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        missing("no PostgreSQL server here", "apt-get install postgresql")
    binaries = found[-1].parent
    folder = Path(
        tempfile.mkdtemp(prefix="ictlabs-pg-", dir="/tmp")
    )  # short: a socket's path has 107 characters
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "ictlabs", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
    control = [str(binaries / "pg_ctl"), "-D", str(data)]
    run(*control, "-l", str(folder / "log"), "-o", options, "-w", "start")
    try:
        yield str(folder)
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; every test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return Places(data=tmp_path).store_url
    folder = request.getfixturevalue("postgresql_cluster")
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(host=folder, user="ictlabs", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://ictlabs@/{name}?host={folder}"


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A record with course ict101 (alice, bob; teacher), on both kinds of database."""
    opened = Store.open(database_url, Places(data=tmp_path))
    opened.create_course("ict101", "ICT 101")
    opened.enrol("ict101", [MemberRow("alice"), MemberRow("bob"), MemberRow("teacher", "instructor")])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def exchange_service() -> ModuleType:
    """tests/exchange_service.py: a real exchange in a process of its own."""
    spec = importlib.util.spec_from_file_location("exchange_service", SERVICE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
