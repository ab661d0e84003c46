"""`ict up`: a clean stop, a quick second start, servers that outlive the hub, and plain words when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.site import DemoSite, free_ports
from hub.settings import Settings, load_settings
from hub.site import is_listening
from hub.spawners.docker import remove_network, sweep
from hub.supervise import MAX_STARTS, Part, restart

Visit = Callable[[DemoSite, str], Any]


def test_ctrl_c_leaves_no_process_and_no_port(
    tmp_path: Path, visit: Visit, processes_of: Callable[[DemoSite], list[str]]
) -> None:
    with DemoSite(tmp_path, "process") as site:
        alice = visit(site, "alice")
        alice.login()
        alice.start_server()
        assert any("ictlab.server" in command for command in processes_of(site))
        code = site.stop()

    assert code == 0, site.text()
    assert processes_of(site) == []
    assert not any(is_listening("127.0.0.1", port) for port in range(site.port, site.port + 4))


def test_check_says_that_a_site_was_never_up(tmp_path: Path) -> None:
    settings = tmp_path / "ictlabs.toml"
    settings.write_text("")
    command = [sys.executable, "-m", "hub.cli", "--settings", str(settings), "up", "--check"]

    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 1
    assert "Start the site with: ict up" in checked.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.docker
def test_ctrl_c_leaves_no_container_and_no_network(  # noqa: PLR0917 (pytest passes fixtures by name)
    tmp_path: Path,
    visit: Visit,
    containers_of: Callable[[DemoSite], list[Any]],
    processes_of: Callable[[DemoSite], list[str]],
    docker_engine: Any,
    base_image: str,
) -> None:
    with DemoSite(tmp_path, "docker") as site:
        alice = visit(site, "alice")
        alice.login()
        alice.start_server()
        assert len(containers_of(site)) == 1
        code = site.stop()

    assert code == 0, site.text()
    assert containers_of(site) == []
    assert processes_of(site) == []
    assert not docker_engine.networks.list(names=[f"ictlabs-{site.port}"])


def test_a_second_start_loses_nothing(tmp_path: Path, visit: Visit) -> None:
    with DemoSite(tmp_path, "process") as site:
        passwords = dict(site.passwords)
    (site.folder / "var" / "homes" / "alice").mkdir(parents=True, exist_ok=True)
    (site.folder / "var" / "homes" / "alice" / "work.txt").write_text("mine")

    with site:
        site.passwords = passwords
        alice = visit(site, "alice")
        page = alice.login()

        assert "net-subnetting" in page.text
        assert (site.folder / "var" / "homes" / "alice" / "work.txt").read_text() == "mine"
        assert "password as shown at the first start" in site.text()


def start_for_keeps(site: DemoSite) -> subprocess.Popen[bytes]:
    """`ict up` without --demo, on a site that a demo start has set up."""
    log = (site.folder / "keeps.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "--settings", str(site.folder / "ictlabs.toml"), "up"],
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not site.answers():
        assert process.poll() is None, (site.folder / "keeps.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> None:
    os.killpg(process.pid, number)
    process.wait(90)


@pytest.mark.parametrize("spawner", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_servers_outlive_a_restart_of_the_site_for_keeps(
    tmp_path: Path, visit: Visit, spawner: str, request: pytest.FixtureRequest
) -> None:
    if spawner == "docker":
        request.getfixturevalue("base_image")
    with DemoSite(tmp_path, spawner) as site:
        passwords = dict(site.passwords)
    site.passwords = passwords
    first = start_for_keeps(site)
    alice = visit(site, "alice")
    alice.login()
    before = alice.start_server()
    stop(first)

    second = start_for_keeps(site)
    try:
        again = visit(site, "alice")
        again.login()
        after = again.api("GET", "users/alice").json()["servers"]["base"]
        page = again.http.get(f"{after['url']}lab")  # through the server's own login

        assert after["ready"]
        assert after["started"] == before["started"]
        assert (page.status_code, page.url.path) == (200, f"{after['url']}lab")
    finally:
        again.stop_server()
        stop(second)
        if spawner == "docker":
            settings = load_settings(site.folder / "ictlabs.toml")
            sweep(settings, set())
            remove_network(settings)


def test_what_a_killed_supervisor_left_is_stopped_at_the_next_start(tmp_path: Path, visit: Visit) -> None:
    with DemoSite(tmp_path, "process") as site:
        passwords = dict(site.passwords)
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()
        assert site.answers()  # the hub and the proxy do not notice

        with site:
            site.passwords = passwords

            assert "of an earlier run" in site.text()
            assert visit(site, "alice").login().url.path == "/services/portal/"


def test_parts_that_are_killed_come_back_and_servers_still_find_them(tmp_path: Path, visit: Visit) -> None:
    with DemoSite(tmp_path, "process") as site:
        alice = visit(site, "alice")
        alice.login()
        alice.start_server()
        plan = (site.folder / "var" / "run" / "site.json").read_text()
        for part in ("hub", "traefik"):
            pid_file = site.folder / "var" / "run" / f"{part}.pid"
            pid = int(pid_file.read_text())
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: site.process.poll() is None and int(pid_file.read_text() or pid) != pid)  # noqa: B023
            wait_until(site.answers)

        wait_until(lambda: alice.api("GET", "users/alice").status_code == 200)
        server = alice.api("GET", "users/alice").json()["servers"]["base"]
        page = alice.http.get(f"{server['url']}lab")

        assert page.status_code == 200
        assert (site.folder / "var" / "run" / "site.json").read_text() == plan
        assert "address already in use" not in (site.folder / "var" / "logs" / "hub.log").read_text()


def test_a_part_that_ends_again_and_again_is_given_rest_and_never_given_up(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    for folder in (settings.places.run, settings.places.logs):
        folder.mkdir(parents=True)
    said: list[str] = []
    part = Part("hub", ["sh", "-c", "echo no database; exit 3"], {"PATH": os.environ["PATH"]}, settings)
    resting: set[str] = set()
    part.start()

    def look() -> None:
        assert part.process is not None
        part.process.wait(30)
        restart(part, resting, said.append)

    for _ in range(2 * MAX_STARTS):
        look()
    assert part.log_file.read_text().count("no database") == MAX_STARTS
    assert [each for each in said if "it is tried again" in each] == said[-1:]
    assert "hub ended with exit code 3" in said[0] and "no database" in said[-1]
    part.starts = [at - 60 for at in part.starts]  # a minute later
    look()

    assert said[-1] == "hub ended with exit code 3; starting it again"


def wait_until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_ports_that_servers_know_stay_when_the_supervisor_was_killed(tmp_path: Path) -> None:
    plan = tmp_path / "var" / "run" / "site.json"
    with DemoSite(tmp_path, "process") as site:
        passwords, before = dict(site.passwords), plan.read_text()
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()

        with site:
            site.passwords = passwords

            assert plan.read_text() == before


def test_a_second_up_leaves_the_first_alone(tmp_path: Path) -> None:
    with DemoSite(tmp_path, "process") as site:
        second = ict(tmp_path, "up")

        assert second.returncode == 1
        assert "is up already" in second.stderr
        assert site.answers()


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    (tmp_path / "ictlabs.toml").write_text(f'[hub]\nport = {port}\nspawner = "process"\n')
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()

        result = ict(tmp_path, "up")

    assert result.returncode == 1
    assert f"something else listens on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_docker_the_site_refuses_to_listen_to_the_network(tmp_path: Path) -> None:
    (tmp_path / "ictlabs.toml").write_text('[hub]\nhost = "0.0.0.0"\nspawner = "process"\n')

    result = ict(tmp_path, "up")

    assert result.returncode == 1
    assert "loopback only" in result.stderr


def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "ictlabs.toml").write_text("[hub]\nprot = 8000\n")

    result = ict(tmp_path, "doctor")

    assert result.returncode == 1
    assert "ictlabs.toml: hub.prot" in result.stderr


def ict(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hub.cli", "--settings", str(folder / "ictlabs.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
