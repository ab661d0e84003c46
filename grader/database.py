"""The record's database: SQLite or PostgreSQL behind one URL, migrated once, in short transactions."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.util
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

_BUSY_MS = 60_000  # a storm of submissions waits its turn rather than fails
_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_ADVISORY_LOCK = 0x1C71AB5  # any number, the same in all our processes


class RecordError(Exception):
    """The record cannot do this; the message says what and what to do."""


class NotThere(RecordError):
    """What was asked for is not in the record."""


class AlreadyThere(RecordError):
    """What should be made is in the record already."""


def open_engine(url: str) -> Engine:
    """An engine for `url` (SQLite file or PostgreSQL)."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise RecordError(f"{url}: the record must be kept: name a file, sqlite:////path/ictlabs.sqlite.")
        engine = create_engine(
            parsed, connect_args={"timeout": _BUSY_MS / 1000}, pool_timeout=_BUSY_MS / 1000
        )
        _tune_sqlite(engine)
    elif parsed.get_backend_name() == "postgresql":
        engine = create_engine(parsed, pool_pre_ping=True, pool_timeout=_BUSY_MS / 1000)
    else:
        raise RecordError(
            f"{parsed.drivername}: not a database we keep the record in. Use sqlite or postgresql."
        )
    return engine


def _tune_sqlite(engine: Engine) -> None:
    """Readers beside one writer, durable at commit, writers queue instead of failing."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = (
            None  # we say BEGIN ourselves: the driver would defer it and deadlock upgrades
        )
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits when the power fails
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begins(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def migrate(engine: Engine, lock_folder: Path) -> None:
    """Bring the tables to what this version needs; safe when many processes start at once.

    `lock_folder`: where processes of this machine queue. PostgreSQL has a lock of its own for many machines.
    """
    lock_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (lock_folder / ".migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            config = alembic_config()
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
            except alembic.util.CommandError as error:
                raise RecordError(
                    f"The record was written by another version of ICT Labs ({error}). Start that version, or a newer one."
                ) from error


def alembic_config() -> Config:
    """Alembic's configuration of the packaged migrations."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def revision_needed() -> str:
    """The revision of the tables that this version works with."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def revision_there(url: str) -> str:
    """The revision of the tables at `url`, of which nothing is changed. Raises RecordError when they cannot be read."""
    engine = open_engine(url)
    try:
        return Database(engine).revision()
    finally:
        engine.dispose()


class Database:
    """Short transactions on one engine; rows that leave one are detached and complete."""

    def __init__(self, engine: Engine) -> None:
        """Use a migrated engine."""
        self.engine = engine
        self._reading = engine.execution_options(reads=True)

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def revision(self) -> str:
        """The revision of the tables: asking for it shows that they can be read. Raises RecordError when not."""
        file = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        if file and not Path(file).is_file():  # SQLite would make it anew, or read on in one that was removed
            raise RecordError(f"{file}: the database is not there. Bring it back from a backup.")
        try:
            with self._read() as session:
                return str(session.scalar(text("SELECT version_num FROM alembic_version")))
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise RecordError(f"the database cannot be read: {said}") from error

    def described(self) -> str:
        """The kind of database, its version, and the revision of the tables in it."""
        revision = self.revision()
        version = ".".join(map(str, self.engine.dialect.server_version_info or ()))
        return f"{self.engine.dialect.name} {version}, tables of revision {revision}"

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
