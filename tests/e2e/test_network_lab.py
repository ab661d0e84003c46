"""A lab on a network of routers, in a real browser: done to full marks, and a cut seen in the drawing."""

from __future__ import annotations

import re
from pathlib import Path

import docker
import pytest
from playwright.sync_api import expect

from benchmarks.journey import COURSE, Instructor, Student, browser
from benchmarks.site import DemoSite
from grader.release import release_lab
from grader.store import Store
from hub.images import image_name
from hub.settings import Settings, load_settings
from labs.library import Library

LAB = "net-ospf"
CONVERGES_MS = 120_000  # routers that meet again say hello, elect and compute, beside whatever else runs here


@pytest.mark.browser
@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_ospf_lab_is_done_and_a_cut_shows(
    tmp_path: Path, chromium: str, root: Path, docker_engine: docker.DockerClient
) -> None:
    docker_engine.images.get(image_name(Settings(), "network"))
    pictures = root / "test-artifacts"
    with DemoSite(tmp_path, "docker") as site, browser(chromium) as window:
        settings = load_settings(tmp_path / "ictlabs.toml")
        store = Store.open(settings.database_url, settings.places)
        release_lab(store, settings.places, Library().lab(LAB), COURSE, by="teacher")
        alice = Student(window, site, "alice", pictures)
        teacher = Instructor(window, site, "teacher", pictures)

        alice.login()
        alice.start(LAB)
        alice.open()
        alice.work(LAB)
        drawing = alice.page.locator(".jp-OutputArea-output:has(svg[role=img])").first
        drawing.scroll_into_view_if_needed()
        way = drawing.locator("strong").first
        expect(way).to_have_text(re.compile("h1 → r1 → r2 → r3 → h3"), timeout=CONVERGES_MS)
        expect(drawing.locator("line.ict-down")).to_have_count(0)
        alice.picture("drawn")

        drawing.get_by_role("button", name="Cut or mend it").click()  # the first cable: r1 to r2
        expect(way).to_have_text(re.compile("h1 → r1 → r3 → h3"), timeout=CONVERGES_MS)
        expect(drawing.locator("line.ict-down")).to_have_count(1)
        expect(drawing.get_by_text("✕ down")).to_be_visible()
        alice.picture("cut")

        drawing.get_by_role("button", name="Cut or mend it").click()
        expect(way).to_have_text(re.compile("h1 → r1 → r2 → r3 → h3"), timeout=CONVERGES_MS)

        alice.submit(LAB)
        teacher.login()
        teacher.grade(LAB)
        teacher.release_feedback(LAB)
        mark = alice.read_feedback(LAB)

        points = Library().lab(LAB).max_points
        assert mark == f"{points:g} / {points:g}"
    assert site.process.returncode == 0, site.text()
