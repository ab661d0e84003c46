"""The record, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text

from grader.archives import pack
from grader.database import open_engine
from grader.models import Base, Report
from grader.names import NameRefused
from grader.settings import Places
from grader.store import AlreadyThere, MemberRow, NotThere, RecordError, Room, Store, TooMany, Withdrawn

WORK = pack({"net-subnetting.ipynb": b"{}"})


def offer(store: Store, lab: str = "net-subnetting", due_at: datetime | None = None) -> None:
    """Release a lab."""
    store.release(
        "ict101", lab, WORK, title="T", environment="base", max_points=5, by="teacher", due_at=due_at
    )


def test_migrations_make_exactly_the_tables_of_the_models(store: Store) -> None:
    """Nothing to generate: the models and the migrations say the same."""
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []


def test_a_server_has_room_for_the_hungriest_lab_that_its_person_may_open_in_it(store: Store) -> None:
    """Of the person's courses, in that environment, and not of a lab that was taken back."""

    def released(lab: str, environment: str, room: Room, course: str = "ict101") -> None:
        store.release(
            course, lab, WORK, title="", environment=environment, max_points=1, by="teacher", room=room
        )

    store.create_course("ict102")
    released("net-one", "base", Room())
    released("net-two", "base", Room(memory_mb=1500, cpus=0.5))
    released("net-three", "base", Room(memory_mb=1200, cpus=3))
    released("net-back", "base", Room(memory_mb=9000, cpus=9))
    released("ai-one", "ai", Room(memory_mb=4000))
    released("net-else", "base", Room(memory_mb=8000), course="ict102")
    store.withdraw("ict101", "net-back")

    assert store.room_for("alice", "base") == Room(1500, 3)
    assert store.room_for("alice", "ai") == Room(4000, 0)
    assert store.room_for("alice", "network") == store.room_for("nobody", "base") == Room()
    assert store.find_release("ict101", "net-two").memory_mb == 1500


def test_opening_again_keeps_everything(database_url: str, store: Store, tmp_path: Path) -> None:
    """A second start finds the first one's rows, bytes and key."""
    offer(store)
    before = store.submit("ict101", "net-subnetting", "alice", WORK)
    store.close()

    again = Store.open(database_url, Places(data=tmp_path))

    assert again.submission(before.id).receipt == before.receipt
    assert again.receipts.verify(before.receipt)["username"] == "alice"
    assert again.blob(before.sha256).read_bytes() == WORK
    again.close()


def test_many_processes_may_start_at_once(database_url: str, tmp_path: Path) -> None:
    """Migrations run once however many open a fresh record."""
    opened: list[Store] = []
    failures: list[Exception] = []

    def start() -> None:
        try:
            opened.append(Store.open(database_url, Places(data=tmp_path)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len({store.receipts.public_key for store in opened}) == 1
    for store in opened:
        store.close()


def test_a_record_of_a_later_version_is_refused(database_url: str, tmp_path: Path) -> None:
    """An older program says so instead of guessing."""
    Store.open(database_url, Places(data=tmp_path)).close()
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(RecordError, match="another version"):
        Store.open(database_url, Places(data=tmp_path))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_a_database_that_cannot_keep_the_record_is_refused(url: str) -> None:
    """Only files and PostgreSQL."""
    with pytest.raises(RecordError):
        open_engine(url)


def test_courses_and_groups(store: Store) -> None:
    """Roles become the hub's groups."""
    store.create_course("ict102")
    store.enrol("ict102", [MemberRow("alice", "instructor", name="Alice", section="B")])

    assert store.groups_of("alice") == {"nbgrader-ict101", "formgrade-ict102"}
    assert store.groups_of("nobody") == set()
    assert [course.id for course in store.courses()] == ["ict101", "ict102"]
    assert [row.username for row in store.members("ict101")] == ["alice", "bob", "teacher"]

    store.enrol("ict101", [MemberRow("alice", "student", name="Alice A")])
    assert store.members("ict101")[0].name == "Alice A"
    store.unenrol("ict101", "alice")
    assert store.groups_of("alice") == {"formgrade-ict102"}


def test_what_courses_refuse(store: Store) -> None:
    """Twice the same, unknown ones, bad names, unknown roles: and then nothing is half done."""
    with pytest.raises(AlreadyThere):
        store.create_course("ict101")
    with pytest.raises(NameRefused):
        store.create_course("ICT 101")
    with pytest.raises(NotThere):
        store.enrol("nope", [MemberRow("carol")])
    with pytest.raises(NameRefused):
        store.enrol("ict101", [MemberRow("carol"), MemberRow("../etc")])
    with pytest.raises(RecordError):
        store.enrol("ict101", [MemberRow("carol"), MemberRow("dave", "god")])  # type: ignore[arg-type]
    with pytest.raises(NotThere):
        store.unenrol("ict101", "carol")
    assert [row.username for row in store.members("ict101")] == ["alice", "bob", "teacher"]


def test_releases(store: Store) -> None:
    """Releasing again keeps the row and replaces the bytes; withdrawn labs are not offered."""
    due = datetime(2027, 1, 15, 23, 59, tzinfo=UTC)
    offer(store, due_at=due)
    first = store.find_release("ict101", "net-subnetting")
    other = pack({"x.ipynb": b"{}"})

    second = store.release(
        "ict101", "net-subnetting", other, title="New", environment="base", max_points=6, by="teacher"
    )

    assert (second.id, second.title, second.max_points) == (first.id, "New", 6)
    assert first.due_at == due
    assert store.blob(second.sha256).read_bytes() == other
    store.withdraw("ict101", "net-subnetting")
    assert store.releases("ict101") == []
    assert [row.lab for row in store.releases("ict101", withdrawn=True)] == ["net-subnetting"]
    with pytest.raises(NotThere):
        store.withdraw("ict101", "nope")
    with pytest.raises(NotThere):
        store.release("nope", "x", WORK, title="", environment="base", max_points=1, by="teacher")


def test_submissions(store: Store) -> None:
    """The newest of each student, everything of one, and receipts that tell the truth."""
    offer(store)
    started = datetime.now(UTC)
    rows = [store.submit("ict101", "net-subnetting", name, WORK) for name in ("alice", "bob", "alice")]

    assert [row.id for row in store.newest_submissions("ict101", "net-subnetting")] == [
        rows[2].id,
        rows[1].id,
    ]
    assert [row.id for row in store.submissions_of("alice")] == [rows[0].id, rows[2].id]
    assert len(store.submissions("ict101", "net-subnetting")) == 3
    stated = store.receipts.verify(rows[0].receipt)
    assert stated["sha256"] == rows[0].sha256 == store.put_blob(WORK)
    assert started <= datetime.fromisoformat(stated["received_at"]) <= datetime.now(UTC)
    assert datetime.fromisoformat(stated["received_at"]) == store.submission(rows[0].id).received_at


def test_after_a_clock_that_was_set_back_the_next_submission_is_the_newest_all_the_same(store: Store) -> None:
    offer(store)
    lab = "net-subnetting"
    ahead = datetime.now(UTC) + timedelta(hours=3)
    first = store.submit("ict101", lab, "alice", WORK, received_at=ahead)
    others = store.submit("ict101", lab, "bob", WORK)

    second = store.submit("ict101", lab, "alice", WORK)

    assert [row.id for row in store.submissions_of("alice")] == [first.id, second.id]
    assert {row.id for row in store.newest_submissions("ict101", lab)} == {second.id, others.id}
    assert store.receipts.verify(second.receipt)["received_at"] > first.received_at.isoformat()
    assert others.received_at < ahead


def test_what_submissions_refuse(store: Store) -> None:
    """Labs that are not offered, and too many."""
    with pytest.raises(NotThere):
        store.submit("ict101", "net-subnetting", "alice", WORK)
    offer(store)
    for _ in range(2):
        store.submit("ict101", "net-subnetting", "alice", WORK, max_per_hour=2)
    with pytest.raises(TooMany, match="2 times"):
        store.submit("ict101", "net-subnetting", "alice", WORK, max_per_hour=2)
    store.submit("ict101", "net-subnetting", "bob", WORK, max_per_hour=2)
    store.withdraw("ict101", "net-subnetting")
    with pytest.raises(Withdrawn):
        store.submit("ict101", "net-subnetting", "bob", WORK)
    assert len(store.submissions("ict101")) == 3


def test_bytes_are_on_the_disk_before_the_row_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync of the file, rename, fsync of the folder; the commit comes last."""
    offer(store)
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112
        steps.append(f"fsync {kind}")
        fsync(descriptor)

    def watched_replace(self: Path, target: Any) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    event.listen(store.engine, "commit", lambda _connection: steps.append("commit"))

    store.submit("ict101", "net-subnetting", "alice", pack({"new.ipynb": b"never seen"}))

    assert steps == ["fsync file", "fsync folder", "rename", "fsync folder", "commit"]


def test_reports_and_feedback(store: Store) -> None:
    """A report replaces the one before; the gradebook's mark comes last; feedback can be released again."""
    offer(store)
    row = store.submit("ict101", "net-subnetting", "alice", WORK)
    job, _ = store.open_job("ict101", "net-subnetting", "teacher")
    for points in (1.0, 4.0):
        report = Report(
            submission_id=row.id,
            job_id=job.id,
            state="graded",
            points=points,
            max_points=5.0,
            exercises=[{"exercise": "hosts", "points": points, "max_points": 5, "message": ""}],
            message="",
            release_sha256=row.sha256,
            notebooks={"net-subnetting": row.sha256},
            graded_at=datetime.now(UTC),
            in_gradebook_at=None,
        )
        store.items_finished(job.id, [(report, "worker")])
    store.mark_in_gradebook([row.id])

    ((submission, report),) = store.reports("ict101", "net-subnetting")
    assert (submission.id, report.points, report.exercises[0]["exercise"]) == (row.id, 4.0, "hosts")
    assert report.in_gradebook_at is not None
    assert store.reports("ict101", "net-subnetting", "bob") == []

    assert store.feedback_of(row.id) is None
    store.release_feedback(row.id, pack({"a.html": b"1"}), "teacher", 4.0, 5.0)
    store.release_feedback(row.id, pack({"a.html": b"2"}), "teacher", 4.5, 5.0)
    feedback = store.feedback_of(row.id)
    assert feedback is not None and feedback.points == 4.5
    assert store.feedback_for([row.id, "0" * 32]).keys() == {row.id}
    with pytest.raises(NotThere):
        store.release_feedback("0" * 32, b"", "teacher")


def test_blobs_are_private_and_left_over_uploads_are_swept(store: Store, tmp_path: Path) -> None:
    """Bytes are stored once, unreadable to others; yesterday's broken uploads go at the next start."""
    sha256 = store.put_blob(b"x")
    assert store.put_blob(b"x") == sha256
    assert store.blob(sha256).stat().st_mode & 0o077 == 0
    assert store.blobs.folder.stat().st_mode & 0o077 == 0
    left = store.blobs.incoming()
    left.write_bytes(b"half")
    yesterday = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(left, (yesterday, yesterday))
    fresh = store.blobs.incoming()
    fresh.write_bytes(b"arriving")

    type(store.blobs)(store.blobs.folder)

    assert not left.exists() and fresh.exists()
    for wrong in ("../../etc/passwd", "0" * 64, "", "Z" * 64):
        with pytest.raises(FileNotFoundError):
            store.blob(wrong)
