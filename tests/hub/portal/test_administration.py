"""The pages of those who run the site: what they see, what they can do, and that nobody else can."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest

from grader.audit import Asked
from hub import enginewatch
from hub.accounts import Accounts
from hub.images import image_name
from hub.launch import LaunchPlan
from hub.portal.machine import look, place
from hub.settings import Settings
from hub.site import site_label
from hub.spawners.docker import labels

ADDRESSES = ("administration", "administration/log", "administration/stop", "administration/idle")


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def server(used: float, **more: Any) -> dict[str, Any]:
    """A server as the hub describes it, last used so many hours ago."""
    about = {"ready": True, "pending": None, "started": hours_ago(9), "last_activity": hours_ago(used)}
    return about | more


@pytest.fixture
def accounts(school: Any) -> Accounts:
    """Carol waits; dave is approved."""
    found = Accounts(school.settings)
    found.add("carol", "carols-long-password", authorized=False)
    found.add("dave", "daves-long-password")
    return found


def approved(accounts: Accounts) -> dict[str, bool]:
    return {name: is_approved for name, _email, is_approved in accounts.people()}


def deeds(school: Any) -> list[tuple[str, str, str, str]]:
    return [(each.who, each.what, each.subject, each.detail) for each in school.store.deeds(Asked())]


@pytest.mark.parametrize("name", ["alice", "teacher", "nobody"])
def test_nobody_but_an_administrator_sees_or_does_anything(
    visit: Any, accounts: Accounts, tiny_hub: Any, name: str
) -> None:
    tiny_hub.running = {"alice": {"base": server(1)}}
    browser = visit(name)

    seen = [browser.get(address).status_code for address in ADDRESSES]
    done = [
        browser.post("administration/accounts/carol/approve").status_code,
        browser.post("administration/accounts/carol/discard").status_code,
        browser.post("administration/stop", username="alice", server="base").status_code,
        browser.post("administration/idle", hours="1").status_code,
    ]

    assert set(seen + done) == {403}
    assert "administration" not in browser.get().text
    assert approved(accounts) == {"carol": False, "dave": True}
    assert not [each for each in tiny_hub.asked if each.startswith("stop")]


def test_accounts_that_wait_are_approved_and_discarded_in_place(
    visit: Any, school: Any, accounts: Accounts
) -> None:
    accounts.add("eve", "eves-long-password", authorized=False)
    browser = visit("admin")

    page = browser.get("administration").text
    browser.post("administration/accounts/carol/approve")
    browser.post("administration/accounts/eve/discard")
    wrong = [
        browser.post("administration/accounts/dave/discard").status_code,  # approved already
        browser.post("administration/accounts/nobody-at-all/approve").status_code,
    ]

    assert 'href="/services/portal/administration"' in browser.get().text
    assert "on no roster" in page
    assert approved(accounts) == {"carol": True, "dave": True}
    assert wrong == [409, 404]
    assert deeds(school) == [
        ("admin", "account.discard", "eve", ""),
        ("admin", "account.approve", "carol", ""),
    ]
    assert "Nobody waits for an account." in browser.get("administration").text


def test_a_server_is_stopped_after_a_question(visit: Any, school: Any, tiny_hub: Any) -> None:
    tiny_hub.running = {
        "alice": {"base": server(1)},
        "bob": {"network": server(1, ready=False, pending="spawn")},
    }
    browser = visit("admin")

    page = browser.get("administration").text
    question = browser.get("administration/stop?username=alice&server=base").text
    assert [each for each in tiny_hub.asked if each.startswith("stop")] == []
    browser.post("administration/stop", username="alice", server="base")

    assert 'aria-label="Stop base of alice"' in page
    assert 'data-state="starting"' in page
    assert "Stop this server?" in question
    assert tiny_hub.asked == ["stop alice/base"]
    assert deeds(school) == [("admin", "server.stop", "", "username: alice, server: base")]
    assert browser.get("administration/stop?username=zoe&server=base").status_code == 404


def test_only_servers_that_nobody_used_for_so_long_are_stopped(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    tiny_hub.running = {
        "alice": {"base": server(7), "network": server(0.1)},
        "bob": {"base": server(5)},
        "teacher": {"base": server(9, ready=False, pending="stop")},
    }
    browser = visit("admin")

    question = browser.get("administration/idle?hours=6").text
    browser.post("administration/idle", hours="6")

    assert "<bdi>alice</bdi>" in question
    assert "<bdi>bob</bdi>" not in question
    assert tiny_hub.asked == ["stop alice/base"]
    assert browser.post("administration/idle", hours="0").status_code == 422
    assert browser.post("administration/idle", hours="²").status_code == 422
    assert deeds(school) == [("admin", "server.stop-idle", "", "hours: 6")]


def test_all_servers_of_a_large_site_are_listed(visit: Any, tiny_hub: Any) -> None:
    tiny_hub.running = {f"student{number:04}": {"base": server(1)} for number in range(450)}

    page = visit("admin").get("administration").text

    assert all(f"<bdi>{name}</bdi>" in page for name in tiny_hub.running)
    assert "450 servers up." in page


def test_jobs_of_all_courses_are_seen_cancelled_and_tried_again(visit: Any, school: Any) -> None:
    store = school.store
    failed, _ = store.open_job("ict101", "lab-two", "teacher")
    store.finish_job(failed.id, "failed", "The grader lost its way.")
    waiting, _ = store.open_job("ict101", "lab-one", "teacher")
    browser = visit("admin")

    page = browser.get("administration").text
    browser.post(f"administration/jobs/{waiting.id}/cancel")

    assert "The grader lost its way." in page
    assert f"administration/jobs/{failed.id}/retry" in page
    assert store.job(waiting.id).state == "cancelled"
    assert browser.post(f"administration/jobs/{waiting.id}/cancel").status_code == 409
    assert browser.post("administration/jobs/99999/cancel").status_code == 404
    assert browser.post(f"administration/jobs/{failed.id}/retry").status_code == 303
    assert store.jobs("ict101", "lab-two")[0].requested_by == "admin"


def test_the_page_says_what_the_machine_has_and_later_what_takes_room(visit: Any, school: Any) -> None:
    browser = visit("admin")

    first = browser.get("administration").text
    for _ in range(300):
        page = browser.get("administration").text
        if "<h3>What takes room</h3>" in page:
            break
        time.sleep(0.1)

    assert "free of" in first
    assert "tables of revision" in first
    assert "JupyterHub" in first
    assert "databases in files" in page
    assert look(school.settings).disk_total > 0


def test_a_hub_that_does_not_answer_leaves_the_rest_of_the_page(
    visit: Any, tiny_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = visit("admin")
    tiny_hub.raw_users = b"<html>"

    page = browser.get("administration")

    assert page.status_code == 200
    assert "does not understand" in page.text
    assert "Accounts that wait" in page.text


def test_what_a_folder_takes_is_counted_without_following_links(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "kept").write_bytes(b"x" * 50_000)
    (outside / "large").write_bytes(b"x" * 9_000_000)
    (inside / "link").symlink_to(outside)

    whole = place("inside", time.monotonic() + 60, [inside])
    cut = place("inside", time.monotonic() - 1, [inside])

    assert 50_000 <= whole.size < 1_000_000
    assert whole.whole
    assert not cut.whole


def test_what_the_machine_offers_is_as_ict_up_saw_it_last(visit: Any, school: Any) -> None:
    browser = visit("admin")

    before = browser.get("administration").text
    enginewatch.look(school.settings)
    after = browser.get("administration").text

    assert "<dt>Kernel</dt>" not in before
    assert f"<dt>Kernel</dt><dd>{os.uname().release}</dd>" in after


@pytest.mark.docker
def test_what_memory_servers_use_is_beside_them(
    visit: Any, school: Any, tiny_hub: Any, docker_engine: docker.DockerClient
) -> None:
    image = image_name(Settings(), "base")
    launch = LaunchPlan(
        "alice", "base", image, Path("/"), {}, 64, 1.0, 64, 0, nested=False, label=site_label(school.settings)
    )
    tiny_hub.running = {"alice": {"base": server(1)}, "bob": {"base": server(1)}}
    browser = visit("admin")
    container = docker_engine.containers.run(
        image, ["sleep", "60"], labels=labels(launch), mem_limit=f"{launch.memory_mb}m", detach=True
    )
    try:
        enginewatch.look_at_servers(school.settings)
    finally:
        container.remove(force=True)
    page = browser.get("administration").text
    file = school.settings.places.run / "servers.json"
    os.utime(file, (time.time() - 600, time.time() - 600))
    later = browser.get("administration").text

    limit = f'of <data value="{64 * 2**20}">'
    assert page.count(limit) == 1
    assert limit not in later
