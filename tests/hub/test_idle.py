"""A server that nobody uses is stopped and its files stay; one that somebody uses is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.site import DemoSite

IDLE_S = 8


@pytest.mark.slow
def test_a_server_is_stopped_when_its_user_is_gone_and_not_before(
    tmp_path: Path, visit: Callable[[DemoSite, str], Any]
) -> None:
    with DemoSite(tmp_path, "process", hub=f"idle_s = {IDLE_S}") as site:
        alice = visit(site, "alice")
        alice.login()
        alice.start_server()
        contents = "/user/alice/base/api/contents"
        alice.http.get("/user/alice/base/lab")  # the hub lets her in
        token = next(c.value for c in alice.http.cookies.jar if c.name == "_xsrf" and "/user/" in c.path)
        note = {"type": "file", "format": "text", "content": "what I did"}
        saved = alice.http.put(f"{contents}/note.txt", json=note, headers={"X-XSRFToken": token})
        assert saved.status_code == 201, saved.text

        deadline = time.monotonic() + 3 * IDLE_S
        while time.monotonic() < deadline:
            assert alice.http.get(contents).status_code == 200, "she was at work"
            time.sleep(1)
        while alice.api("GET", "users/alice").json()["servers"]:
            assert time.monotonic() < deadline + 10 * IDLE_S, site.text()
            time.sleep(1)

        assert (tmp_path / "var" / "homes" / "alice" / "note.txt").read_text() == "what I did"
        alice.start_server()
        alice.http.get("/user/alice/base/lab")
        assert alice.http.get(f"{contents}/note.txt").json()["content"] == "what I did"


@pytest.mark.slow
def test_a_site_that_stops_nobodys_server_comes_up(tmp_path: Path) -> None:
    with DemoSite(tmp_path, "process", hub="idle_s = 0") as site:
        assert site.answers()
