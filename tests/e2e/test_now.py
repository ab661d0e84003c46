"""A student works in a real JupyterLab; an instructor sees where she is, is let into her server, and is shown out."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from benchmarks.journey import COURSE, PATIENCE_MS, Instructor, Student, browser
from benchmarks.site import DemoSite

LAB = "net-subnetting"


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.parametrize("spawner", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_an_instructor_sees_a_student_at_work_and_is_let_into_her_server_for_a_while(
    spawner: str, tmp_path: Path, chromium: str, root: Path, request: pytest.FixtureRequest
) -> None:
    if spawner == "docker":
        request.getfixturevalue("base_image")
    pictures = root / "test-artifacts"
    with DemoSite(tmp_path, spawner) as site, browser(chromium) as window:
        alice, teacher = (
            who(window, site, name, pictures) for who, name in ((Student, "alice"), (Instructor, "teacher"))
        )
        kernels = f"{site.url}/user/alice/base/api/kernels"
        alice.login()
        alice.start(LAB)
        alice.open()
        alice.work(LAB)
        teacher.login()
        teacher.portal(f"courses/{COURSE}/now")

        row = teacher.page.locator('[data-student="alice"]')
        solved = row.get_by_role("cell", name=re.compile(r"^(\d+) of \1$"))
        expect(solved).to_be_visible(timeout=PATIENCE_MS)
        expect(teacher.page.get_by_role("region", name="IPv4 subnetting")).to_be_visible()

        page = alice.context.new_page()
        page.goto(f"{site.url}/services/portal/labs/{COURSE}/{LAB}")
        page.get_by_label("What is it about?").fill("Which prefix?")
        page.get_by_label("Let them open my server too").check()
        page.get_by_role("button", name="Raise my hand").click()
        expect(page.get_by_text("Nobody has opened it yet.")).to_be_visible()
        expect(teacher.page.get_by_text("Which prefix?")).to_be_visible(timeout=PATIENCE_MS)
        teacher.picture("now")

        teacher.page.get_by_role("button", name="Open the server of").click()
        teacher.page.get_by_role("button", name="Accept invitation").click()
        teacher.page.get_by_role("button", name="Authorize").click()
        teacher.page.wait_for_selector(
            '.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=PATIENCE_MS
        )
        expect(page.get_by_text("In it: teacher")).to_be_visible(timeout=PATIENCE_MS)
        assert teacher.page.request.get(kernels).status == 200
        teacher.picture("in-her-server")

        page.get_by_role("button", name="Let nobody in any more").click()
        expect(page.get_by_role("button", name="Let the instructors open my server")).to_be_visible()
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while (status := teacher.page.request.get(kernels).status) == 200 and time.monotonic() < deadline:
            time.sleep(1)
        assert status == 403
        assert page.request.get(kernels).status == 200, "it is still hers"
