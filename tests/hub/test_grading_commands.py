"""`ict release`, `ict grade` and `ict feedback`: what they print, and their exit codes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner, Result

from grader.archives import pack
from grader.audit import Asked
from grader.coursefolder import create_course_folder
from grader.sandbox import unavailable
from grader.settings import GraderSettings, SandboxSettings
from grader.store import MemberRow, Store
from hub.cli import main
from hub.commands import feedback, grade, release
from hub.settings import LabsSettings, Settings

CELLS: list[tuple[str, bool, bool, str]] = [
    ("one", False, True, "### BEGIN SOLUTION\none = 1\n### END SOLUTION"),
    ("check-one", True, False, "assert one == 1"),
]


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """A site with a course and a lab `tiny` of its own; nothing is released."""
    cells = []
    for name, graded, solution, source in CELLS:
        meta: dict[str, Any] = {"schema_version": 3, "grade_id": name, "grade": graded, "solution": solution}
        meta |= {"locked": graded, "task": False} | ({"points": 2} if graded else {})
        cells.append(nbformat.v4.new_code_cell(source, metadata={"nbgrader": meta}))
    (tmp_path / "mine" / "tiny").mkdir(parents=True)
    (tmp_path / "mine/tiny/tiny.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    settings = Settings(
        root=tmp_path,
        labs=LabsSettings(folders=(Path("mine"),)),
        grader=GraderSettings(sandbox=SandboxSettings(backend="process")),
    )
    store = Store.open(settings.database_url, settings.places)
    store.create_course("ict101")
    store.enrol("ict101", [MemberRow("alice"), MemberRow("bob")])
    create_course_folder(settings.places, "ict101")
    return settings


def ict(site: Settings, module: Any, *words: str) -> Result:
    return CliRunner().invoke(module.command, list(words), obj=site, catch_exceptions=False)


def hand_in(site: Settings, username: str, answer: str) -> None:
    store = Store.open(site.database_url, site.places)
    raw = (site.places.course("ict101") / "release/tiny/tiny.ipynb").read_text()
    notebook = nbformat.reads(raw, as_version=4)
    notebook.cells[0].source = answer
    store.submit("ict101", "tiny", username, pack({"tiny.ipynb": nbformat.writes(notebook).encode()}))


def test_from_release_to_feedback(site: Settings, missing: Callable[[str, str], None]) -> None:
    if reason := unavailable("process"):
        missing(f"no jail can be built here: {reason}", "`ict doctor` says more")
    released = ict(site, release, "ict101", "tiny", "--due", "2030-05-01T18:00")
    assert (released.exit_code, released.stdout) == (
        0, "tiny is released to ict101: 2 points, due 2030-05-01 18:00 UTC.\n",
    )  # fmt: skip
    hand_in(site, "alice", "one = 1")
    hand_in(site, "bob", "one = 2")

    graded = ict(site, grade, "ict101", "tiny")
    assert graded.exit_code == 0
    assert "/2  alice                    2 of 2" in graded.stdout
    assert "/2  bob                      0 of 2" in graded.stdout
    again = ict(site, grade, "ict101", "tiny", "--student", "alice")
    assert "1/1  alice                    2 of 2  (graded before)" in again.stdout

    told = ict(site, feedback, "ict101", "tiny")
    assert (told.exit_code, told.stdout) == (0, "alice\nbob\nFeedback of 2 students can be read.\n")
    deeds = Store.open(site.database_url, site.places).deeds(Asked(course="ict101"))
    assert [each.what for each in deeds] == ["feedback.release", "lab.grade", "lab.grade", "lab.release"]


def test_exit_codes_when_nothing_can_be_done(site: Settings) -> None:
    assert ict(site, grade, "ict101", "tiny").exit_code == 2
    assert ict(site, grade, "ict999", "tiny").exit_code == 2
    assert ict(site, release, "ict101", "nope").exit_code == 1
    assert ict(site, release, "ict999", "tiny").exit_code == 1
    assert not site.places.course("ict999").exists()
    assert ict(site, release, "ict101", "tiny", "--due", "soon").exit_code == 2
    assert ict(site, release, "ict101", "tiny").exit_code == 0
    assert ict(site, grade, "ict101", "tiny", "--student", "zoe").exit_code == 2
    empty = ict(site, feedback, "ict101", "tiny")
    assert (empty.exit_code, "comes first" in empty.stderr) == (1, True)


def test_a_fault_of_the_grader_is_exit_code_1(site: Settings) -> None:
    ict(site, release, "ict101", "tiny")
    hand_in(site, "alice", "one = 1")
    store = Store.open(site.database_url, site.places)
    store.blob(store.newest_submissions("ict101", "tiny")[0].sha256).unlink()
    result = ict(site, grade, "ict101", "tiny")
    assert result.exit_code == 1
    assert "alice" in result.stderr


def test_a_release_is_given_terms_and_keeps_those_that_are_not_named(site: Settings) -> None:
    ict(
        site, release, "ict101", "tiny", "--due", "2030-05-01T18:00", "--late", "bank:3:10", "--attempts", "2"
    )
    ict(site, release, "ict101", "tiny", "--cutoff", "2030-05-08T18:00", "--reveal", "marks")

    store = Store.open(site.database_url, site.places)
    row = store.find_release("ict101", "tiny")
    assert (row.due_at, row.cutoff_at) == (
        datetime(2030, 5, 1, 18, tzinfo=UTC), datetime(2030, 5, 8, 18, tzinfo=UTC),
    )  # fmt: skip
    assert (row.late_kind, row.late_percent, row.attempts, row.reveal) == ("bank", 10, 2, "marks")
    assert store.course("ict101").late_days == 3

    ict(site, release, "ict101", "tiny", "--cutoff", "none", "--attempts", "none", "--late", "none")
    row = store.find_release("ict101", "tiny")
    assert (row.cutoff_at, row.attempts, row.late_kind, row.reveal) == (None, None, "none", "marks")
    store.close()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--late", "fine:3"),
        ("--late", "deduction"),
        ("--late", "bank:x"),
        ("--attempts", "many"),
        ("--opens", "1"),
    ],
)
def test_terms_that_cannot_be_read_are_refused(site: Settings, option: str, value: str) -> None:
    assert ict(site, release, "ict101", "tiny", option, value).exit_code == 2


@pytest.mark.parametrize("name", ["release", "grade", "feedback"])
def test_help_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"ict {name} ict101" in shown.output
