"""A PostgreSQL server of your own, fresh each time, with nothing in it.

    from ictlab.postgres import Postgres

    db = Postgres()
    db.start()
    db.sql("CREATE TABLE t (n int)")
    db.sql("INSERT INTO t VALUES (%s), (%s)", [1, 2])
    db.sql("SELECT n FROM t ORDER BY n")          # [(1,), (2,)]
    alice, bob = db.connect(), db.connect()      # two sessions (psycopg.Connection)
    print(db.psql("\\\\d t"))

It keeps its data in a temporary folder, does not wait for the disk, and plans without parallel workers and JIT, so that
the same query has the same plan for everybody. Statistics change when you say ANALYZE, and only then.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ictlab.service import Service, ServiceError, free_port

if TYPE_CHECKING:
    import psycopg

OWNER = "student"  # may do anything
SETTINGS = {
    "fsync": "off",  # synchronous_commit stays on: VACUUM marks no page whose rows were committed a moment before
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # a small /dev/shm is no fault then
    "max_connections": "40",
    "max_wal_size": "32MB",
    "min_wal_size": "2MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "autovacuum": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Service):
    """One PostgreSQL server on 127.0.0.1; everybody who can reach it may come in."""

    def __init__(self, name: str = "postgres", settings: Mapping[str, str] | None = None) -> None:
        """settings: of postgresql.conf, on top of ours."""
        port = free_port()
        super().__init__(name, ["postgres", "-D", "data"], port=port, ready=self._takes_sessions)
        self._settings = {**SETTINGS, **(settings or {})}

    def start(self) -> None:
        """Make the server's files if there are none, start it, and wait until it takes sessions."""
        data = self.folder / "data"
        if not data.exists():
            made = subprocess.run(
                ["initdb", "-D", data, "-U", OWNER, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8",
                 "--no-sync", "--no-instructions", "--wal-segsize=1"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if made.returncode:
                raise ServiceError(
                    f"{self.name}: initdb ended with status {made.returncode}:\n{made.stderr.strip()}"
                )
            own = {
                **self._settings,
                "port": str(self.port),
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": str(self.folder),
            }
            with (data / "postgresql.conf").open("a") as file:
                file.writelines(f"{key} = '{value}'\n" for key, value in own.items())
        super().start()

    @property
    def dsn(self) -> str:
        """Where it is, for psycopg.connect and for applications."""
        return f"host=127.0.0.1 port={self.port} user={OWNER} dbname=postgres connect_timeout=10"

    def connect(self, user: str = OWNER, *, database: str = "postgres", **options: Any) -> psycopg.Connection:
        """A session of its own. By default each statement is a transaction of its own (autocommit=False: until you commit)."""
        import psycopg

        options.setdefault("autocommit", True)
        return psycopg.connect(self.dsn, user=user, dbname=database, **options)

    def sql(
        self,
        statements: str,
        values: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        user: str = OWNER,
        database: str = "postgres",
    ) -> list[tuple[Any, ...]]:
        """Run statements in a session of their own and return the rows of the last one that gives rows."""
        with self.connect(user, database=database) as session:
            cursor = session.execute(statements, values)  # type: ignore[arg-type]
            rows: list[tuple[Any, ...]] = []
            while True:
                if cursor.description:
                    rows = cursor.fetchall()
                if not cursor.nextset():
                    return rows

    def plan(
        self,
        query: str,
        values: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        run: bool = False,
        database: str = "postgres",
    ) -> dict[str, Any]:
        """How it would answer `query`: EXPLAIN's top plan node. run: also run it, for real rows and times (ms)."""
        options = "ANALYZE, BUFFERS, FORMAT JSON" if run else "FORMAT JSON"
        ((found,),) = self.sql(f"EXPLAIN ({options}) {query}", values, database=database)
        return dict(found[0]["Plan"])

    def psql(self, commands: str, *, user: str = OWNER, database: str = "postgres") -> str:
        r"""What psql, PostgreSQL's own command line, prints for these lines: SQL, or its own such as `\d t`."""
        done = subprocess.run(
            ["psql", "-X", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database, "-f", "-"],
            input=commands, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    def _takes_sessions(self) -> bool:
        self.connect().close()
        return True


def nodes(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All nodes of a plan, top first."""
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes(part))]
