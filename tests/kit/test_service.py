"""ictlab.service and ictlab.postgres in a container with a student's walls: real servers, and nothing left of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.docker
Inside = Callable[[str], Any]


@pytest.fixture(scope="module")
def container(student_container: Callable[[str], Any]) -> Any:
    """A server of the environment `data`, with nothing running in it."""
    return student_container("data")


@pytest.fixture
def head() -> str:
    """What every piece of code starts with."""
    return "from ictlab.service import *\nfrom ictlab.postgres import *"


STORE = """
port = free_port()
store = Service("store", ["redis-server", "--port", str(port), "--save", ""], port=port)
store.start()
"""


def test_a_service_answers_is_restarted_and_ends(inside: Inside) -> None:
    seen = inside(
        STORE
        + """
import redis
client = redis.Redis(port=port)
client.set("a", 1)
first = store.pid
store.restart()
told = [client.get("a"), store.pid != first, "Ready to accept" in store.log(), repr(store)]
folder = store.folder
store.close()
print(json.dumps([*told, store.running, folder.exists()]))
"""
    )

    assert seen[:3] == [None, True, True]
    assert seen[3].startswith("store on port ") and seen[3].endswith(": running")
    assert seen[4:] == [False, False]


def test_the_same_name_again_is_a_fresh_start(inside: Inside) -> None:
    seen = inside(
        STORE
        + "first = store\n"
        + STORE.replace("free_port()", "port")
        + "print(json.dumps([first.running, store.running]))"
    )

    assert seen == [False, True]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('["redis-server", "--prt", "1"]', "FATAL CONFIG FILE ERROR"),
        ('["no-such-server"]', "no-such-server"),
        ('["true"]', "ended with status 0"),
    ],
)
def test_a_service_that_does_not_start_says_why(inside: Inside, command: str, said: str) -> None:
    seen = inside(f"""
try: Service("bad", {command}, port=free_port()).start()
except ServiceError as error: print(json.dumps(str(error)))
""")

    assert said in seen


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "pass"])
def test_whatever_ends_the_notebook_leaves_no_server(
    inside: Inside, left: Callable[[], list[str]], end: str
) -> None:
    inside(f"{STORE}\ndb = Postgres()\ndb.start()\n{end}")

    deadline = time.monotonic() + 30
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == []


def test_postgres_has_sessions_plans_and_its_own_command_line(inside: Inside) -> None:
    seen = inside("""
db = Postgres()
db.start()
db.sql("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 5000); CREATE INDEX ON t (n); ANALYZE t")
one, two = db.connect(autocommit=False), db.connect()
one.execute("INSERT INTO t VALUES (9000)")
hidden = two.execute("SELECT count(*) FROM t WHERE n = 9000").fetchone()
one.commit()
told = [
    hidden, two.execute("SELECT count(*) FROM t WHERE n = 9000").fetchone(),
    db.sql("SELECT n FROM t WHERE n < %s ORDER BY n", [3]),
    [node["Node Type"] for node in nodes(db.plan("SELECT n FROM t WHERE n = 7", run=True))],
    "division by zero" in db.psql("SELECT 1/0"), "t_n_idx" in db.psql(r"\\d t"),
]
print(json.dumps(told))
""")

    assert seen == [[0], [1], [[1], [2]], ["Index Only Scan"], True, True]


def test_vacuum_marks_rows_that_were_committed_a_moment_before(inside: Inside) -> None:
    seen = inside("""
db = Postgres("quick")
db.start()
db.sql("CREATE TABLE t (a int, b int); INSERT INTO t SELECT g, g FROM generate_series(1, 60000) g")
db.sql("VACUUM t")
print(json.dumps(db.sql("SELECT relallvisible = relpages FROM pg_class WHERE relname = 't'")))
db.close()
""")

    assert seen == [[True]]
