"""`ict backup` and `ict restore`: whole while the site runs, compared, and never over anything that is there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import postgresql
from benchmarks.site import DemoSite
from grader.archives import pack
from grader.store import MemberRow, Store
from hub.accounts import Accounts
from hub.backup import BackupError, back_up, check, restore
from hub.cli import main
from hub.settings import Settings, SiteSettings


def quiet(_said: str) -> None:
    """Progress is for people."""


def filled(settings: Settings) -> Store:
    """A course with a released lab, three students, and an account."""
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101", "Networks")
    store.enrol("ict101", [MemberRow(name) for name in ("alice", "bob", "eve")])
    store.release("ict101", "sums", pack({"sums.ipynb": b"{}"}), title="Sums", environment="base", max_points=3, by="teacher")  # fmt: skip
    Accounts(settings).add("alice", "a long password")
    gradebook = settings.places.course("ict101") / "gradebook.db"
    gradebook.parent.mkdir(parents=True)
    with sqlite3.connect(gradebook) as connection:
        connection.execute("CREATE TABLE marks (student TEXT, points REAL)")
        connection.execute("INSERT INTO marks VALUES ('alice', 2.5)")
    home = settings.places.homes / "alice"
    (home / "ict101").mkdir(parents=True)
    (home / "ict101" / "sums.ipynb").write_text("her work")
    (home / "ict101" / "sums.ipynb").chmod(0o640)
    (home / "out").symlink_to("/etc/passwd")
    os.mkfifo(home / "pipe")
    (settings.places.run).mkdir(exist_ok=True)
    (settings.places.run / "worthless").write_text("x")
    return store


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, missing: Callable[[str, str], None]
) -> Iterator[Callable[[], str | None]]:
    """`databases()`: where a new site keeps its record; None is the default."""
    if request.param == "sqlite":
        yield lambda: None
        return
    if postgresql.binaries() is None:
        missing("no PostgreSQL server here", "apt-get install postgresql")
    with postgresql.cluster() as cluster:
        yield lambda: postgresql.new_database(cluster)


def settings_of(root: Path, database_url: str | None = None) -> Settings:
    """A site's settings."""
    return Settings(root=root, site=SiteSettings(database_url=database_url))


def contents(store: Store) -> Any:
    """What the record has, with the bytes that it names."""
    return [
        (row.id, row.course, row.lab, row.username, row.received_at, store.blob(row.sha256).read_bytes())
        for row in sorted(store.submissions("ict101"), key=lambda each: each.id)
    ]


def test_what_is_restored_in_another_place_is_what_was_there(
    tmp_path: Path, databases: Callable[[], str | None]
) -> None:
    old, new = (settings_of(tmp_path / name, databases()) for name in ("old", "new"))
    store = filled(old)
    for name in ("alice", "bob"):
        store.submit("ict101", "sums", name, pack({"sums.ipynb": name.encode()}))

    found = back_up(old, tmp_path / "monday.tar", say=quiet)
    restore(new, tmp_path / "monday.tar", say=quiet)

    again = Store.open(new.database_url, new.places)
    assert contents(again) == contents(store)
    assert {row.username for row in again.members("ict101")} == {"alice", "bob", "eve"}
    home = new.places.homes / "alice"
    assert (home / "ict101" / "sums.ipynb").read_text() == "her work"
    assert (home / "ict101" / "sums.ipynb").stat().st_mode & 0o777 == 0o640
    assert (home / "out").readlink() == Path("/etc/passwd")
    assert Accounts(new).exists("alice")
    with sqlite3.connect(new.places.course("ict101") / "gradebook.db") as connection:
        assert connection.execute("SELECT * FROM marks").fetchall() == [("alice", 2.5)]
    assert {file.name: file.read_bytes() for file in old.places.secrets.iterdir()} == {
        file.name: file.read_bytes() for file in new.places.secrets.iterdir()
    }
    assert not new.places.run.exists() or not list(new.places.run.glob("worthless"))
    assert (found.skipped, found.changed) == (1, [])
    assert (tmp_path / "monday.tar").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("was", ["var/marks.db", "elsewhere.sqlite"])
@pytest.mark.parametrize("becomes", ["var/ictlabs.sqlite", "var/marks.db", "moved.db"])
def test_a_record_in_another_file_is_found_where_the_settings_want_it(
    tmp_path: Path, was: str, becomes: str
) -> None:
    old, new = (
        settings_of(tmp_path / name, f"sqlite:///{tmp_path / name / file}")
        for name, file in (("old", was), ("new", becomes))
    )
    for settings in (old, new):
        settings.root.mkdir()
    old.places.data.mkdir()
    store = filled(old)
    store.submit("ict101", "sums", "alice", pack({"sums.ipynb": b"{}"}))

    back_up(old, tmp_path / "monday.tar", say=quiet)
    restore(new, tmp_path / "monday.tar", say=quiet)

    assert (new.root / becomes).is_file()
    assert contents(Store.open(new.database_url, new.places)) == contents(store)
    assert len(list(new.root.rglob("*marks.db")) + list(new.root.rglob("ictlabs.sqlite"))) <= 1


def test_a_backup_that_is_made_while_students_hand_in_has_all_that_its_record_names(
    tmp_path: Path, databases: Callable[[], str | None]
) -> None:
    old, new = (settings_of(tmp_path / name, databases()) for name in ("old", "new"))
    store, stop, receipts = filled(old), threading.Event(), []

    def students() -> None:
        while not stop.is_set():
            number = len(receipts)
            row = store.submit("ict101", "sums", "alice", pack({"sums.ipynb": str(number).encode() * 20_000}))
            receipts.append(row.id)

    thread = threading.Thread(target=students)
    thread.start()
    try:
        while len(receipts) < 5:
            pass
        before = list(receipts)
        back_up(old, tmp_path / "now.tar", say=quiet)
    finally:
        stop.set()
        thread.join()
    restore(new, tmp_path / "now.tar", say=quiet)

    again = Store.open(new.database_url, new.places)
    there = [row[0] for row in contents(again)]  # every file is read
    assert set(before) <= set(there) <= set(receipts)
    assert len(receipts) > len(before), "nobody handed in meanwhile"


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    filled(settings).close()
    file = tmp_path / "monday.tar"
    back_up(settings, file, say=quiet)

    with pytest.raises(BackupError, match="no backup is overwritten"):
        back_up(settings, file, say=quiet)
    with pytest.raises(BackupError, match="a restore overwrites nothing"):
        restore(settings, file, say=quiet)


@pytest.mark.parametrize("harm", ["cut", "bit", "empty", "text"])
def test_a_backup_that_is_not_whole_is_told_and_restores_nothing(tmp_path: Path, harm: str) -> None:
    settings, new = settings_of(tmp_path / "site"), settings_of(tmp_path / "new")
    filled(settings).close()
    file = tmp_path / "monday.tar"
    back_up(settings, file, say=quiet)
    content = bytearray(file.read_bytes())
    if harm == "bit":
        at = content.index(b"her work")
        content[at] ^= 1
    file.write_bytes(
        {"cut": content[: len(content) // 2], "bit": content, "empty": b"", "text": b"hello " * 500}[harm]
    )

    with pytest.raises(BackupError, match=r"Take another one"):
        restore(new, file, say=quiet)

    assert list((tmp_path / "new").iterdir() if (tmp_path / "new").exists() else []) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "homes/../../outside"])
def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "evil.tar"
    with tarfile.open(file, "w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))

    with pytest.raises(BackupError, match="has no place in a backup"):
        restore(settings_of(tmp_path / "new"), file, say=quiet)


def test_nothing_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    file, outside = tmp_path / "evil.tar", tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(file, "w") as archive:
        link = tarfile.TarInfo("homes")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        said = {"homes/x": [hashlib.sha256(b"evil").hexdigest(), 4]}
        manifest = json.dumps({"format": 1, "record": "sqlite", "homes": True, "files": said}).encode()
        for name, content in (("homes/x", b"evil"), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

    with pytest.raises(BackupError):
        restore(settings_of(tmp_path / "new"), file, say=quiet)

    assert list(outside.iterdir()) == []


def test_a_file_that_grows_shorter_while_it_is_copied_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path / "site")
    filled(settings).close()
    work = settings.places.homes / "alice" / "ict101" / "sums.ipynb"
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if found.st_ino == work.stat().st_ino and found.st_size:
            os.truncate(work, 3)
        return found

    monkeypatch.setattr("hub.backup.os.fstat", fstat)

    found = back_up(settings, tmp_path / "monday.tar", say=quiet)

    assert found.changed == ["homes/alice/ict101/sums.ipynb"]
    assert check(tmp_path / "monday.tar")["changed"] == found.changed


def test_folders_as_deep_as_nobody_needs_keep_nobody_from_a_backup(
    tmp_path: Path, make_deep: Callable[[Path], None]
) -> None:
    settings = Settings(root=tmp_path / "one")
    filled(settings).close()
    make_deep(settings.places.homes / "eve" / "deep")

    found = back_up(settings, tmp_path / "backup.tar", homes=True, say=quiet)

    names = check(tmp_path / "backup.tar")["files"]
    assert "homes/alice/ict101/sums.ipynb" in names
    assert found.skipped == 2  # the pipe, and what is too deep


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    filled(settings).close()
    back_up(settings, tmp_path / "monday.tar", say=quiet)

    with pytest.raises(BackupError, match="Set it to an empty database of the same kind"):
        restore(
            settings_of(tmp_path / "new", "postgresql://nobody@/nothing"), tmp_path / "monday.tar", say=quiet
        )


def test_the_commands_say_what_they_did_and_what_to_do(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "site")
    filled(settings).close()
    file = str(tmp_path / "monday.tar")

    made = CliRunner().invoke(
        main, ["backup", file], obj=None, env={"ICTLABS_SETTINGS": str(toml(tmp_path / "site"))}
    )
    looked = CliRunner().invoke(
        main, ["backup", "--check", file], env={"ICTLABS_SETTINGS": str(toml(tmp_path / "site"))}
    )
    new = CliRunner().invoke(main, ["restore", file], env={"ICTLABS_SETTINGS": str(toml(tmp_path / "new"))})
    nothing = CliRunner().invoke(main, ["backup"], env={"ICTLABS_SETTINGS": str(toml(tmp_path / "empty"))})

    assert "read back and the same" in made.output, made.output
    assert ": whole. " in looked.output
    assert "each compared" in new.output
    assert (nothing.exit_code, "no site is there" in nothing.output) == (1, True)


def toml(folder: Path) -> Path:
    """A settings file with nothing in it."""
    folder.mkdir(exist_ok=True)
    file = folder / "ictlabs.toml"
    file.touch()
    return file


@pytest.mark.slow
def test_a_site_that_runs_is_copied_and_its_copy_comes_up_with_the_same_people_and_work(
    tmp_path: Path, visit: Callable[[DemoSite, str], Any]
) -> None:
    with DemoSite(tmp_path / "old", "process") as site:
        store = Store.open(f"sqlite:///{site.folder}/var/ictlabs.sqlite", Settings(root=site.folder).places)
        lab = store.releases("ict101")[0].lab
        receipt = store.submit("ict101", lab, "alice", pack({"x.ipynb": b"{}"}))
        made = site.ict("backup", str(tmp_path / "now.tar"))
        passwords = site.passwords
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ictlabs.toml").write_text("")
    copy = DemoSite(tmp_path / "new", "process")
    back = copy.ict("restore", str(tmp_path / "now.tar"))
    with copy:
        alice = visit(copy, "alice")
        copy.passwords = passwords
        alice.login()
        page = alice.http.get(f"/services/portal/submissions/{receipt.id}/receipt")

    assert made.returncode == 0, made.stderr
    assert back.returncode == 0, back.stderr
    assert page.status_code == 200
    assert receipt.sha256 in page.text
