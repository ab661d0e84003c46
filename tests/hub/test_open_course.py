"""Joining an open course at a real site: the portal counts it at once, and the hub agrees before the portal forgets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PORTAL = "/services/portal/"


def groups(person: Any) -> list[str]:
    """The groups the hub has this person in."""
    found: list[str] = person.api("GET", f"users/{person.name}").json()["groups"]
    return found


def wait_for(person: Any, group: str, inside: bool) -> None:
    deadline = time.monotonic() + 60
    while (group in groups(person)) != inside:
        assert time.monotonic() < deadline, groups(person)
        time.sleep(1)


def test_who_joins_an_open_course_is_in_it_at_once_and_stays(
    process_site: Any, visit: Callable[..., Any]
) -> None:
    assert process_site.ict("course", "create", "self101", "--title", "On your own").returncode == 0
    assert process_site.ict("release", "self101", "linux-permissions").returncode == 0
    assert process_site.ict("course", "open", "self101").returncode == 0
    bob = visit(process_site, "bob")
    bob.login()
    lab = f"{PORTAL}labs/self101/linux-permissions"
    catalogue = bob.http.get(f"{PORTAL}catalogue")
    csrf = re.search(r'name="csrf" value="([^"]+)"', catalogue.text)
    assert csrf
    refused = bob.http.get(lab)

    joined = bob.http.post(
        f"{PORTAL}courses/self101/join", data={"csrf": csrf[1], "lab": "linux-permissions"}
    )

    assert refused.status_code == 404
    assert (joined.status_code, joined.url.path) == (200, lab)
    wait_for(bob, "nbgrader-self101", True)
    time.sleep(31)  # as long as the portal counts somebody in whom the hub does not
    assert bob.http.get(lab).status_code == 200

    left = bob.http.post(f"{PORTAL}courses/self101/leave", data={"csrf": csrf[1]})

    assert "You left the course On your own." in left.text
    assert bob.http.get(lab).status_code == 404
    wait_for(bob, "nbgrader-self101", False)
    time.sleep(31)
    assert bob.http.get(lab).status_code == 404
