"""Who did what: every route that changes something has its line, with nothing in it that is nobody's business."""

from __future__ import annotations

import getpass
import importlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grader.audit import Asked
from hub.accounts import Accounts
from hub.deeds import DEEDS
from hub.portal.audit import CHANGES, LINES, SILENT

XSS = "<script>alert(1)</script>"


def lines(school: Any, **asked: Any) -> list[tuple[str, str, str | None, str, str]]:
    """Oldest first, without id and time."""
    found = school.store.deeds(Asked(**asked))[::-1]
    return [(each.who, each.what, each.course, each.subject, each.detail) for each in found]


def test_every_route_that_changes_something_has_a_line_or_a_reason(visit: Any) -> None:
    described = visit().client.app.openapi()["paths"]
    routes = {
        f"{method.upper()} {path.removeprefix('/services/portal')}"
        for path, methods in described.items()
        for method in methods
        if method.upper() in CHANGES
    }

    assert routes == set(LINES) | set(SILENT)
    assert not set(LINES) & set(SILENT)
    assert {line.what for line in LINES.values()} <= set(DEEDS)
    assert all(SILENT.values())


def test_what_an_instructor_does_is_written_down_without_any_text(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    browser.post("courses/ict101/people", username="carol", role="student", email="carol@example.org")
    browser.post("courses/ict101/announcements", title="A secret", text="Not for the log")
    browser.post("courses/ict101/labs/lab-one/grade")
    browser.post("courses/ict101/people/carol/remove")
    browser.client.delete(
        "/services/portal/api/exchange/releases/ict101/lab-two",
        headers={"Authorization": "token token-teacher"},
    )

    assert lines(school) == [
        ("teacher", "people.add", "ict101", "", "username: carol, role: student"),
        ("teacher", "announcement.make", "ict101", "", ""),
        ("teacher", "lab.grade", "ict101", "lab-one", ""),
        ("teacher", "people.remove", "ict101", "carol", ""),
        ("teacher", "lab.withdraw", "ict101", "lab-two", ""),
    ]


def test_what_is_refused_or_only_looked_at_is_not_written_down(visit: Any, school: Any) -> None:
    browser = visit("alice")

    browser.post("courses/ict101/labs/lab-one/grade")  # not hers to press
    browser.post("language", language="fr")
    browser.post("receipts/verify", receipt="nothing")
    browser.get("labs/ict101/lab-one")
    visit("teacher").post("courses/ict101/announcements", title="", text="")

    assert lines(school) == []


def test_a_log_that_cannot_be_written_stops_nobody(
    visit: Any, school: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = visit("teacher")
    with school.store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE audit")

    answer = browser.post("courses/ict101/people", username="carol", role="student")

    assert answer.status_code == 303
    assert school.store.someone("ict101", "carol")


def test_a_long_log_is_read_page_by_page(visit: Any, school: Any) -> None:
    for number in range(120):
        school.store.note("teacher", "lab.grade", course="ict101", subject=f"lab-{number:03}")
    browser = visit("admin")

    first = browser.get("administration/log?course=ict101").text
    seen, before = [], ""
    while True:
        page = browser.get(f"administration/log?course=ict101{before}").text
        seen += [number for number in range(119, -1, -1) if f"lab-{number:03}" in page]
        if 'rel="next"' not in page:
            break
        before = "&before=" + page.partition("before=")[2].partition('"')[0]

    assert seen == list(range(119, -1, -1))
    assert "asked for <bdi>lab-119</bdi> to be graded" in first


def test_an_instructor_reads_their_own_courses_log_and_no_other(visit: Any, school: Any) -> None:
    school.store.note("teacher", "lab.release", course="ict101", subject="lab-one")
    school.store.note("prof", "lab.release", course="net201", subject="lab-x")
    school.store.note("admin", "server.stop", detail="username: alice, server: base")

    teacher = visit("teacher")
    page = teacher.get("courses/ict101/log?course=net201").text

    assert "lab-one" in page
    assert "lab-x" not in page
    assert "server: base" not in page
    assert "courses/ict101/log" in teacher.get("courses/ict101").text
    assert teacher.get("courses/net201/log").status_code == 403
    assert visit("alice").get("courses/ict101/log").status_code == 403


def test_nothing_in_a_line_becomes_markup_and_odd_questions_are_answered(visit: Any, school: Any) -> None:
    school.store.note(XSS, "POST /a/new/route", course="ict101", subject=XSS, detail=XSS)
    browser = visit("admin")

    page = browser.get("administration/log").text
    odd = [
        browser.get(f"administration/log?{query}").status_code
        for query in ("day=0001-01-01", "day=9999-12-31", "day=x", "what=nothing", "person=%00", "course=%27")
    ]

    assert XSS not in page
    assert "<code>POST /a/new/route</code>" in page
    assert odd == [200] * 6


def test_a_command_says_under_which_name_of_the_machine_it_was_typed(school: Any, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text("carol,carol@example.org,A\n", encoding="utf-8")
    Accounts(school.settings).add("carol", "carols-long-password", authorized=False)
    jobs = school.store.open_job("ict101", "lab-two", "teacher")[0]

    for words in (
        ["course", "create", "new1"],
        ["course", "enrol", "ict101", str(roster)],
        ["people", "approve", "carol"],
        ["people", "password", "carol"],
        ["jobs", "cancel", str(jobs.id)],
    ):
        command = importlib.import_module(f"hub.commands.{words[0]}").command
        result = CliRunner().invoke(command, words[1:], obj=school.settings)
        assert result.exit_code == 0, result.output

    me = f"ict:{getpass.getuser()}"
    assert lines(school) == [
        (me, "course.create", "new1", "", ""),
        (me, "people.import", "ict101", "", "1 students"),
        (me, "account.approve", None, "carol", ""),
        (me, "account.password", None, "carol", ""),
        (me, "job.cancel", "ict101", str(jobs.id), ""),
    ]
