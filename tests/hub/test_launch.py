"""A launch plan gives a person what the person may have, and nothing of anybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.models import Member
from grader.store import Room
from hub.launch import LaunchRefused, plan
from hub.settings import HubSettings, Settings
from hub.site import Site

SITE = Site("docker", "test", "172.18.0.1", 8001, 8002, 8003, keep_servers=True)


def member(course: str, role: str) -> Member:
    return Member(course=course, username="alice", role=role)


def test_a_student_gets_a_home_and_the_limits_and_no_course_folder(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, hub=HubSettings(memory_mb=700, cpus=1.5, pids=99))

    launch = plan("alice", "base", [member("ict101", "student")], settings, SITE)

    assert launch.home == tmp_path / "var" / "homes" / "alice"
    assert launch.courses == {}
    assert (launch.memory_mb, launch.cpus, launch.pids) == (700, 1.5, 99)
    assert launch.env["ICTLABS_EXCHANGE_URL"] == "http://172.18.0.1:8002/services/portal/api/exchange"


def test_an_environment_of_networks_has_room_for_its_routers(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, hub=HubSettings(pids=99))

    launch = plan("alice", "network", [member("ict101", "student")], settings, SITE)

    assert launch.nested
    assert launch.pids == 1024
    assert not plan("alice", "base", [], settings, SITE).nested


def test_a_lab_that_needs_more_than_the_site_gives_gets_it_and_one_that_needs_less_takes_nothing(
    tmp_path: Path,
) -> None:
    settings = Settings(root=tmp_path, hub=HubSettings(memory_mb=700, cpus=1.5))

    hungry = plan("alice", "base", [], settings, SITE, room=Room(memory_mb=2000, cpus=3))
    modest = plan("alice", "base", [], settings, SITE, room=Room(memory_mb=100, cpus=0.5))

    assert (hungry.memory_mb, hungry.cpus) == (2000, 3)
    assert (modest.memory_mb, modest.cpus) == (700, 1.5)


def test_an_instructor_gets_the_folders_of_the_courses_taught_only(tmp_path: Path) -> None:
    rows = [member("ict101", "instructor"), member("ict102", "student")]

    launch = plan("alice", "base", rows, Settings(root=tmp_path), SITE)

    assert launch.courses == {"ict101": tmp_path / "var" / "courses" / "ict101"}
    assert json.loads(launch.env["ICTLABS_COURSES"]) == [
        {"course": "ict101", "role": "instructor"},
        {"course": "ict102", "role": "student"},
    ]


@pytest.mark.parametrize("name", ["../bob", "", "a b", "Alice", "x" * 40])
def test_a_name_that_could_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LaunchRefused, match="not a user name"):
        plan(name, "base", [], Settings(root=tmp_path), SITE)


def test_an_unknown_environment_is_refused_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="Start a lab from the portal"):
        plan("alice", "../base", [], Settings(root=tmp_path), SITE)


def test_planning_touches_nothing(tmp_path: Path) -> None:
    plan("alice", "base", [], Settings(root=tmp_path), SITE)

    assert list(tmp_path.iterdir()) == []
