"""Feedback that students read: their marks and messages, and nothing that runs or should stay hidden."""

from __future__ import annotations

import re
import zipfile
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from grader.clean import displayable
from grader.feedback import release_feedback

SCRIPTS = (
    "<script>steal()</script>",
    "<img src=x onerror=steal()>",
    "<svg onload=steal()><script>steal()</script></svg>",
    "<a href='javascript:steal()'>x</a>",
    "[x](javascript:steal())",
    "<iframe srcdoc='<script>steal()</script>'></iframe>",
    "<style>@import url(//evil)</style>",
    "<form action=//evil><input name=p></form>",
    "<p style='background:url(//evil)' onclick=steal()>x</p>",
)
RUNS = re.compile(
    r"<script(?! type=.application/json)|<svg|<iframe|<form|<input|onerror\s*=|onload\s*=|onclick\s*=|javascript:|evil\)",
    re.IGNORECASE,
)


def _page(course: Any, username: str) -> str:
    submission = next(s for s in course.store.newest_submissions("ict101", "sums") if s.username == username)
    with zipfile.ZipFile(course.store.blob(course.store.feedback_of(submission.id).sha256)) as archive:
        return archive.read("sums.html").decode()


def _tags(page: str) -> str:
    """The page without its escaped text: what a browser takes for markup."""
    return "".join(re.findall(r"<[^>]*>", page))


def test_the_student_reads_mark_message_and_comment(course: Any) -> None:
    course.hand_in("alice", course.notebook(add="def add(a, b):\n    return 3", why="So it is."))
    course.grade()
    with Gradebook(course.gradebook.url, "ict101") as gradebook:
        grade = gradebook.find_grade("why", "sums", "sums", "alice")
        grade.manual_score, grade.needs_manual_grade = 0.5, False
        gradebook.find_comment("why", "sums", "sums", "alice").manual_comment = "Half <b>right</b>."
        gradebook.db.commit()
    result = release_feedback(course.store, course.places, "ict101", "sums", by="teacher")
    assert result.released == ("alice",)
    page = _page(course, "alice")
    assert "Mark: 0.5 of 3 points" in page
    assert "a hidden one" in page
    assert "Half &lt;b&gt;right&lt;/b&gt;." in page
    feedback = course.store.feedback_of(course.store.newest_submissions("ict101", "sums")[0].id)
    assert (feedback.points, feedback.max_points, feedback.released_by) == (0.5, 3, "teacher")


def test_hidden_tests_are_not_shown_nor_the_lines_around_a_failure(course: Any) -> None:
    course.hand_in("alice", course.notebook(add="def add(a, b):\n    return 3"))
    course.grade()
    release_feedback(course.store, course.places, "ict101", "sums", by="teacher")
    page = _page(course, "alice")
    assert "add(20, 22)" not in page
    assert "HIDDEN TESTS" not in page
    assert "Hidden tests ran here" in page


def test_what_waits_for_a_person_is_left_out_unless_asked_for(course: Any) -> None:
    course.solved("alice", why="So it is.")
    course.solved("bob")
    course.grade()
    release = {
        "store": course.store,
        "places": course.places,
        "course": "ict101",
        "lab": "sums",
        "by": "teacher",
    }
    assert release_feedback(**release) == type(release_feedback(**release))(("bob",), ("alice",))
    assert release_feedback(**release, unmarked_too=True).released == ("alice", "bob")
    assert "still have to be marked by a person" in _page(course, "alice")


def test_a_submission_that_could_not_be_read_gets_feedback_that_says_so(course: Any) -> None:
    course.hand_in("alice", b"{nope")
    course.grade()
    release_feedback(course.store, course.places, "ict101", "sums", by="teacher")
    assert "JSON cannot be read" in _page(course, "alice")


def test_no_script_of_a_student_is_in_feedback(course: Any) -> None:
    shown = "\n".join(f"display({{'text/html': {s!r}}}, raw=True)\nprint({s!r})" for s in SCRIPTS)
    code = (
        f"{shown}\ndisplay({{'application/javascript': 'steal()', 'image/svg+xml': {SCRIPTS[2]!r}}}, raw=True)\n"
        "display({'image/png': 'x\" onerror=\"steal()'}, raw=True)\n"
        f"raise Exception({SCRIPTS[0]!r})"
    )
    notebook = course.notebook(add=code, why="\n\n".join(SCRIPTS))
    for kind in ("markdown", "raw"):
        notebook["cells"] += [
            {"cell_type": kind, "metadata": {"raw_mimetype": "text/html"}, "source": s} for s in SCRIPTS
        ]
    course.hand_in("alice", notebook)
    course.grade()
    release_feedback(course.store, course.places, "ict101", "sums", by="teacher", unmarked_too=True)
    page = _page(course, "alice")
    assert "&lt;script&gt;steal()" in page
    assert not RUNS.search(_tags(page)), RUNS.search(_tags(page))
    assert "default-src 'none'" in page


def test_formgrader_gets_notebooks_without_scripts_too(course: Any) -> None:
    """Formgrader shows autograded/ by nbconvert, which cleans nothing."""
    from nbconvert.exporters import HTMLExporter

    notebook = course.notebook(
        add=f"display({{'text/html': {''.join(SCRIPTS)!r}}}, raw=True)", why=SCRIPTS[0]
    )
    notebook["cells"] += [
        {"cell_type": kind, "metadata": {}, "source": s} for s in SCRIPTS for kind in ("markdown", "raw")
    ]
    course.hand_in("alice", notebook)
    course.grade()
    file = course.places.course("ict101") / "autograded/alice/sums/sums.ipynb"
    page, _ = HTMLExporter(template_name="basic").from_filename(str(file))
    assert not RUNS.search(_tags(page)), RUNS.search(_tags(page))


@pytest.mark.parametrize("text", ["a < b and `x<y`", "$a<b$", "| a | b |\n|---|---|\n| 1 | 2 |", "*plain*"])
def test_harmless_text_stays_as_it_was(text: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    shown = displayable(notebook).cells[0].source
    assert "script" not in shown
    assert shown == text or "&lt;" in shown
