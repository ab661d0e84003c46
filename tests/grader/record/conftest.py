"""A record to test with: in SQLite and in a private PostgreSQL, with a course in it; and a real exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import postgresql
from grader.settings import Places
from grader.store import MemberRow, Store


@pytest.fixture(scope="session")
def postgresql_cluster(missing: Callable[[str, str], None]) -> Iterator[Path]:
    """The socket folder of a private PostgreSQL, started for this run."""
    if postgresql.binaries() is None:
        missing("no PostgreSQL server here", "apt-get install postgresql")
    with postgresql.cluster() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; every test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return Places(data=tmp_path).store_url
    return postgresql.new_database(request.getfixturevalue("postgresql_cluster"))


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A record with course ict101 (alice, bob; teacher), on both kinds of database."""
    opened = Store.open(database_url, Places(data=tmp_path))
    opened.create_course("ict101", "ICT 101")
    opened.enrol("ict101", [MemberRow("alice"), MemberRow("bob"), MemberRow("teacher", "instructor")])
    yield opened
    opened.close()
