"""`ict status`: what it says of a real site that is up, and of one where something is wrong; and that it changes nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks.site import DemoSite
from grader.archives import pack
from grader.database import revision_needed
from grader.store import MemberRow, Store
from hub.commands.status import command
from hub.settings import HubSettings, Settings

Visit = Callable[[DemoSite, str], Any]


def status(settings: Settings, *options: str) -> Result:
    return CliRunner().invoke(command, options, obj=settings)


def wrong(settings: Settings) -> list[str]:
    """What it calls wrong. The machine's own disk may be nearly full: that is not asked here."""
    result = status(settings, "--json")
    found = json.loads(result.output)
    assert result.exit_code == (1 if found["problems"] else 0)
    assert all(each["what"] and each["consequence"] and each["remedy"] for each in found["problems"])
    return [each["what"] for each in found["problems"] if "of the disk are free" not in each["what"]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site that is down, with a record."""
    found = Settings(root=tmp_path, hub=HubSettings(spawner="process"))
    Store.open(found.database_url, found.places).close()
    return found


@pytest.mark.slow
def test_a_site_that_is_up_is_told_with_its_parts_and_what_it_holds(
    process_site: DemoSite, visit: Visit
) -> None:
    alice = visit(process_site, "alice")
    alice.login()
    alice.start_server()

    result = process_site.ict("status", "--json")
    text = process_site.ict("status")
    assert process_site.ict("course", "create", "ict910").returncode == 0
    backup = process_site.folder / "status.tar"
    assert process_site.ict("backup", "--without-homes", str(backup)).returncode == 0
    after = json.loads(process_site.ict("status", "--json").stdout)
    alice.stop_server()

    found = json.loads(result.stdout)
    assert found["up"]
    assert found["mode"] == "process"
    assert [part["name"] for part in found["parts"]] == ["traefik", "hub", "grading", "portal"]
    for part in found["parts"]:
        assert Path(f"/proc/{part['pid']}").exists()
        assert part["since"]
    assert found["health"] == {"hub": "ok", "database": "ok", "jobs": "ok"}
    assert found["servers"] >= 1
    assert (found["starting"], found["queued"]) == (0, 0)
    assert found["accounts"] >= 3
    # Other tests make courses on the same site: what counts is that one more is seen.
    assert after["courses"] == found["courses"] + 1
    assert revision_needed() in found["database"]
    assert process_site.url in text.stdout
    assert result.returncode == text.returncode == (1 if found["problems"] else 0)
    assert after["backup"]["bytes"] == backup.stat().st_size
    assert after["backup"]["file"] == str(backup)


def test_a_site_that_is_down_is_told_so_and_nothing_is_made(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, hub=HubSettings(spawner="process"))

    assert wrong(settings) == ["the site is not up"]
    text = status(settings)

    assert "`ict up`" in text.output
    assert text.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def held(settings: Settings) -> Iterator[Settings]:
    """As while an `ict up` runs."""
    settings.places.run.mkdir(parents=True)
    with (settings.places.run / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield settings


def test_a_part_that_does_not_run_is_named_with_how_it_ended(held: Settings) -> None:
    (held.places.run / "hub.pid").write_text(str(os.getpid()))  # the number went to somebody else
    (held.places.run / "hub.ended").write_text("2026-03-04 05:06 UTC: hub was ended by SIGKILL")

    found = wrong(held)

    assert found == [
        "traefik does not run",
        "hub does not run (2026-03-04 05:06 UTC: hub was ended by SIGKILL)",
        "grading does not run",
        "portal does not run",
    ]


def test_a_record_that_is_gone_or_of_another_version_is_said_and_left_as_it_is(settings: Settings) -> None:
    file = settings.places.data / "ictlabs.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as record:
        record.execute("UPDATE alembic_version SET version_num = '0001'")
        record.commit()

        old = wrong(settings)

        assert record.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    file.unlink()
    gone = wrong(settings)

    assert any("tables are of revision 0001" in each for each in old)
    assert any(each.startswith(f"{file}: the database is not there") for each in gone)
    assert not file.exists()


def test_work_without_a_backup_and_jobs_that_failed_are_wrong(settings: Settings) -> None:
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101")
    store.release(
        "ict101",
        "lab",
        pack({"lab.ipynb": b"{}"}),
        title="Lab",
        environment="base",
        max_points=1,
        by="t",
        due_at=None,
    )
    before = wrong(settings)
    store.enrol("ict101", [MemberRow("alice")])
    store.submit("ict101", "lab", "alice", pack({"lab.ipynb": b"{}"}))
    job, _ = store.open_job("ict101", "lab", "teacher")
    store.finish_job(job.id, "failed", "The disk is full.")

    after = wrong(settings)
    store.note("ict:root", "backup.make", subject="/backups/monday.tar", detail="12345")
    kept = wrong(settings)
    store.close()

    assert before == ["the site is not up"]
    assert after == [*before, "1 grading job failed in the last day", "there is no backup"]
    assert kept == after[:2]


def test_an_engine_that_does_not_answer_is_wrong_where_servers_are_containers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{settings.root}/nothing.sock")
    in_containers = settings.model_copy(update={"hub": HubSettings(spawner="docker")})

    assert any("no Docker Engine answers" in each for each in wrong(in_containers))
    assert not any("Docker" in each for each in wrong(settings))
