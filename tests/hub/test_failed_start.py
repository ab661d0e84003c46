"""A server that dies while it starts: said soon, in words, to the person who waits; the log has the details."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.site import DemoSite
from grader.ownership import give

Visit = Callable[[DemoSite, str], Any]
SITES = ["process_site", pytest.param("docker_site", marks=pytest.mark.docker)]


@pytest.mark.parametrize("fixture", SITES)
def test_an_early_death_is_told_in_a_sentence_and_the_next_start_works(
    fixture: str, request: pytest.FixtureRequest, visit: Visit
) -> None:
    site: DemoSite = request.getfixturevalue(fixture)
    bob = visit(site, "bob")
    bob.login()
    bob.stop_server()
    home = site.folder / "var" / "homes" / "bob"
    config = home / ".jupyter" / "jupyter_server_config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("import os; print('my last words', flush=True); os._exit(3)\n")
    give(home)

    began = time.monotonic()
    answer = bob.api("POST", "users/bob/servers/base")
    while "failed" not in (progress := bob.api("GET", "users/bob/servers/base/progress").text):
        assert time.monotonic() - began < 60
    took_s = time.monotonic() - began
    config.unlink()
    again = bob.start_server()

    event = json.loads(progress.split("data:")[-1])
    assert "stopped while it was starting" in event["message"]
    assert "last words" not in event["message"]
    assert answer.status_code in (202, 500)
    assert "Traceback" not in answer.text
    assert took_s < 30
    assert "my last words" in (site.folder / "var" / "logs" / "hub.log").read_text()
    assert again["ready"]
    bob.stop_server()
