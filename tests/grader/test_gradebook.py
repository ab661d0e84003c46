"""The gradebook: releases go in, marks come out, and what an instructor's folder holds is never trusted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook, get_alembic_version

from grader.coursefolder import create_course_folder, replace_folder
from grader.gradebook import CourseGradebook, GradebookError, gradebook_of
from grader.ownership import site_uid
from grader.settings import Places


def test_a_release_is_in_source_gradebook_and_release(course: Any) -> None:
    folder = course.places.course("ict101")
    released = (folder / "release/sums/sums.ipynb").read_text()
    assert "BEGIN HIDDEN TESTS" in (folder / "source/sums/sums.ipynb").read_text()
    assert "HIDDEN" not in released
    assert "return a + b" not in released
    held = course.gradebook.released("sums", {"sums.ipynb": released.encode()})
    assert [(c.name, c.points, c.locked) for c in held.notebooks[0].cells] == [
        ("add", None, False), ("check-add", 2.0, True), ("why", 1.0, False),
    ]  # fmt: skip
    assert held.notebooks[0].cells[1].hides_tests
    assert course.released.max_points == 3


def test_nbgraders_own_tools_find_a_gradebook_of_their_version(
    course: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from sqlalchemy import create_engine, text

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    engine = create_engine(course.gradebook.url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    assert found == get_alembic_version()
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert gradebook.find_assignment("sums").course_id == "ict101"


def test_files_of_a_course_belong_to_the_site_user(course: Any) -> None:
    course.solved("alice")
    course.grade()
    folder = course.places.course("ict101")
    assert {path.lstat().st_uid for path in [folder, *folder.rglob("*")]} == {site_uid()}


def test_cells_cannot_change_under_what_was_handed_in(course: Any) -> None:
    course.solved("alice")
    course.grade()
    source = course.folder / "sums/sums.ipynb"
    lab_notebook = nbformat.read(source, as_version=4)
    del lab_notebook.cells[2]
    source.write_text(nbformat.writes(lab_notebook))
    from labs.model import Lab

    with pytest.raises(GradebookError, match="give the changed one a new name"):
        course.gradebook.prepare_release(Lab.load(course.folder / "sums"))
    assert course.marks() == {"alice": (2, False)}


def test_the_due_time_of_a_release_is_the_gradebooks(course: Any) -> None:
    due = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    course.release(due_at=due)
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        assert gradebook.find_assignment("sums").duedate == due.replace(tzinfo=None)


def test_an_assignment_that_is_not_there_is_named(course: Any) -> None:
    with pytest.raises(GradebookError, match="nope is not in the gradebook of ict101"):
        course.gradebook.released("nope", {})
    with pytest.raises(GradebookError, match="no such course"):
        gradebook_of(course.places, "ict999")


def test_a_link_in_the_place_of_the_gradebook_is_refused(tmp_path: Path) -> None:
    places = Places(data=tmp_path / "var")
    root = create_course_folder(places, "ict101")
    (root / "gradebook.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(GradebookError, match="is a link"):
        CourseGradebook(places, "ict101").marks()
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("step", ["autograded", "autograded/alice"])
def test_links_in_a_course_folder_are_never_followed(tmp_path: Path, step: str) -> None:
    """An instructor's server may write there; the site may write elsewhere too."""
    root = create_course_folder(Places(data=tmp_path / "var"), "ict101")
    (tmp_path / "outside" / "sums").mkdir(parents=True)
    (tmp_path / "outside" / "sums" / "keep").write_text("mine")
    if step == "autograded":
        (root / "autograded").rmdir()
    (root / step).symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"autograded|alice|directory|links"):
        replace_folder(root, "autograded/alice/sums", {"a.txt": b"x"})
    assert sorted(p.name for p in (tmp_path / "outside").rglob("*")) == ["keep", "sums"]


def test_a_link_in_the_place_of_a_folder_is_replaced_itself(tmp_path: Path) -> None:
    root = create_course_folder(Places(data=tmp_path / "var"), "ict101")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "keep").write_text("mine")
    (root / "autograded" / "alice").mkdir()
    (root / "autograded" / "alice" / "sums").symlink_to(tmp_path / "outside")
    replace_folder(root, "autograded/alice/sums", {"deep/a.txt": b"x"})
    assert (root / "autograded/alice/sums/deep/a.txt").read_bytes() == b"x"
    assert not (root / "autograded/alice/sums").is_symlink()
    assert (tmp_path / "outside" / "keep").read_text() == "mine"


def test_the_courses_own_configuration_is_never_run(course: Any) -> None:
    (course.places.course("ict101") / "nbgrader_config.py").write_text("raise SystemExit(9)\n")
    course.solved("alice")
    assert course.grade().failed == ()
