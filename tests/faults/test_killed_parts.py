"""kill -9 of each part of a site, in the middle of submissions and grading: it comes back, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.people import COURSE, hub_pid, portal_pid, processes, service_pid, traefik_pid

pytestmark = pytest.mark.slow
FILE = "api/contents/mine.txt"


@pytest.fixture(scope="module")
def school(open_school: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A site whose servers are processes; ada has one, with a file in her home."""
    with open_school(tmp_path_factory.mktemp("killed"), "process") as opened:
        ada = opened.people["ada"]
        ada.start("base")
        ada.in_server("PUT", "base", FILE, json={"type": "file", "format": "text", "content": "mine"})
        yield opened


@pytest.fixture
def before(school: Any) -> dict[str, Any]:
    """What the hub says of ada's server before anything happens."""
    server: dict[str, Any] = school.people["ada"].server("base")
    assert server["ready"]
    return server


def assert_ada_goes_on(waiting: Any, school: Any, before: dict[str, Any]) -> None:
    """Her server is the one it was, and reached through the proxy."""
    ada = school.people["ada"]
    waiting(lambda: ada.in_server("GET", "base", FILE).status_code == 200, "her server's answer")
    assert ada.server("base")["started"] == before["started"]
    assert ada.in_server("GET", "base", FILE).json()["content"] == "mine"


def test_a_killed_hub_comes_back_with_its_servers(
    waiting: Any, kill: Any, school: Any, before: dict[str, Any]
) -> None:
    with school.at_work():
        old = hub_pid(school.site.folder)
        kill(old)
        waiting(lambda: hub_pid(school.site.folder) != old, "another hub")
        waiting(school.site.answers, "the portal")
        school.go_on()

    assert_ada_goes_on(waiting, school, before)
    school.assert_nothing_lost()
    assert "hub was ended by SIGKILL; starting it again" in school.log("up")


def test_a_killed_portal_comes_back_within_seconds(
    waiting: Any, kill: Any, school: Any, before: dict[str, Any]
) -> None:
    with school.at_work():
        old = portal_pid(school.site.folder)
        kill(old)
        # without being asked half a minute long: the hub's own look at services is that slow
        waiting(school.site.answers, "the portal", timeout_s=20)
        school.go_on()

    assert portal_pid(school.site.folder) != old
    assert_ada_goes_on(waiting, school, before)
    school.assert_nothing_lost()
    assert "Service portal exited with status -9" in school.log("hub")


def test_a_killed_proxy_comes_back_with_its_routes(
    waiting: Any, kill: Any, school: Any, before: dict[str, Any]
) -> None:
    with school.at_work():
        old = traefik_pid(school.site.folder)
        kill(old)
        waiting(lambda: traefik_pid(school.site.folder) != old, "another proxy")
        waiting(school.site.answers, "the portal")
        school.go_on()

    assert_ada_goes_on(waiting, school, before)
    school.assert_nothing_lost()
    assert "traefik was ended by SIGKILL; starting it again" in school.log("up")


def test_what_starts_grading_comes_back_and_leaves_the_job_that_runs_alone(
    waiting: Any, kill: Any, school: Any
) -> None:
    with school.at_work():
        job = school.store.jobs(COURSE, "sums", only_open=True)[0]
        old = service_pid(school.site.folder, "grading")
        kill(old)
        waiting(lambda: service_pid(school.site.folder, "grading") not in (0, old), "another one")
        school.go_on()

    school.assert_nothing_lost()
    assert school.store.job(job.id).starts == 1
    assert "Service grading exited with status -9" in school.log("hub")


def test_a_killed_grading_job_goes_on_without_anybody_looking(waiting: Any, kill: Any, school: Any) -> None:
    settings = str((school.site.folder / "ictlabs.toml").resolve())
    with school.at_work():
        job = school.store.jobs(COURSE, "sums", only_open=True)[0]
        (grader,) = set(processes(f"--settings {settings} grade --job {job.id}"))
    # nobody presses Grade any more
    kill(grader)
    waiting(lambda: not school.store.jobs(COURSE, only_open=True), "the job's end")

    assert school.store.job(job.id).state == "done"
    assert school.store.job(job.id).starts == 2
    school.assert_nothing_lost()
    assert f"job {job.id} of sums has no process any more; starting it again" in school.log("hub")


def test_a_killed_grading_worker_costs_no_mark(waiting: Any, kill: Any, school: Any) -> None:
    with school.at_work():
        (job,) = school.store.jobs(COURSE, "sums", only_open=True)
        waiting(lambda: [i for i in school.store.items(job.id) if i.worker], "a worker's first report")
        done = [item for item in school.store.items(job.id) if item.worker]
        kill(int(done[-1].worker.rpartition(":")[2]))
        school.go_on()

    school.assert_nothing_lost()
    assert school.store.job(job.id).state == "done"


def test_a_killed_server_of_a_student_starts_again_with_its_files(
    waiting: Any, kill: Any, school: Any
) -> None:
    ada = school.people["ada"]
    before = ada.server("base")
    exchange = f"ICTLABS_EXCHANGE_URL={school.site_plan.portal_url}/"
    with school.at_work():
        (server,) = set(processes("-m ictlab.server", exchange))  # nobody else has one
        kill(server)
        # the hub sees that it is gone as soon as somebody presses Start
        waiting(lambda: ada.start("base")["started"] != before["started"], "another server")
        school.go_on()

    assert ada.in_server("GET", "base", FILE).json()["content"] == "mine"
    school.assert_nothing_lost()
    # with the comma it is said of servers that this hub started, without of those that it found
    assert re.search("ada server stopped,? with exit code", school.log("hub"))
