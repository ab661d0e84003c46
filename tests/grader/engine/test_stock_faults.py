"""Each fault of stock nbgrader that was reproduced, and that this grader does not have it.

Handing in for another student, the client's time of submission and links in what is collected are faults of its
exchange: tests/grader/record/test_exchange*.py has those. The time that reaches the gradebook and scripts in pages are
tried in test_pipeline.py and test_feedback.py. Marks are not exported as CSV.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import nbformat
import pytest


@pytest.fixture
def reply(bench: Any, cell: Callable[..., Any]) -> Callable[[str], str]:
    """Run code where answers run, and give what it printed."""

    def run(code: str) -> str:
        graded = bench.grade(bench.solved(add=code))
        outputs = cell(graded.notebooks["sums"], "add").outputs
        return "".join(o.get("text", "") + o.get("evalue", "") for o in outputs)

    return run


def test_a_skip_execution_tag_on_a_locked_test_earns_nothing(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    notebook = bench.notebook()
    for name in ("check-add", "check-double"):
        cell(notebook, name).metadata["tags"] = ["skip-execution"]
    assert points(bench.grade(notebook)) == {"add": 0, "double": 0, "why": 0}


def test_a_hand_graded_cell_that_says_it_is_no_solution_still_waits_for_a_person(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    notebook = bench.solved(why="Full marks, please.")
    cell(notebook, "why").metadata["nbgrader"]["solution"] = False
    graded = bench.grade(notebook)
    assert points(graded)["why"] is None
    assert graded.needs_manual


def test_a_code_cell_marked_by_hand_cannot_pass_for_a_test(
    make_bench: Callable[..., Any], cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    """In stock, `solution: false` makes the student's own code its own test."""
    bench = make_bench([("written", "essay", 5, "### BEGIN SOLUTION\nx\n### END SOLUTION")], "essay")
    notebook = bench.notebook(essay="1 + 1")
    made = cell(notebook, "essay")
    made.cell_type, made.outputs, made.execution_count = "code", [], None
    made.metadata["nbgrader"]["solution"] = False
    assert points(bench.grade(notebook)) == {"essay": None}


def test_a_test_that_says_it_is_not_graded_is_graded(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    notebook = bench.notebook()
    cell(notebook, "check-add").metadata["nbgrader"] |= {"grade": False, "locked": False}
    cell(notebook, "check-add").source = "pass"
    assert points(bench.grade(notebook))["add"] == 0


def test_points_come_from_the_gradebook(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    notebook = bench.solved()
    cell(notebook, "check-add").metadata["nbgrader"]["points"] = 1000
    graded = bench.grade(notebook)
    assert points(graded)["add"] == 2
    assert graded.max_points == 7


@pytest.mark.parametrize("version", [0, 1, 4, 99, -1, "3", None, [], 1e400])
def test_an_edited_schema_version_stops_nothing(
    bench: Any, points: Callable[..., Any], version: object
) -> None:
    notebook = bench.solved()
    for made in notebook.cells:
        if "nbgrader" in made.metadata:
            made.metadata["nbgrader"]["schema_version"] = version
    assert points(bench.grade(notebook)) == {"add": 2, "double": 3, "why": 0}


@pytest.mark.parametrize("name", ["add", "check-add", "why", "setup-numbers"])
def test_a_duplicated_cell_stops_nothing(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any], name: str
) -> None:
    notebook = bench.solved()
    notebook.cells.append(nbformat.from_dict(json.loads(json.dumps(cell(notebook, name)))))
    graded = bench.grade(notebook)
    assert points(graded) == {"add": 2, "double": 3, "why": 0}
    assert f"Cell '{name}' was there more than once" in graded.message


def test_a_deleted_test_is_put_back(bench: Any, cell: Callable[..., Any], points: Callable[..., Any]) -> None:
    notebook = bench.notebook()
    for name in ("check-add", "check-double", "why"):
        notebook.cells.remove(cell(notebook, name))
    graded = bench.grade(notebook)
    assert points(graded) == {"add": 0, "double": 0, "why": 0}
    assert "Cell 'check-add' had been deleted: it was put back." in graded.message


def test_leaving_python_gives_nought_with_a_message_not_null(bench: Any, points: Callable[..., Any]) -> None:
    graded = bench.grade(bench.notebook(add="import os; os._exit(0)"))
    assert points(graded) == {"add": 0, "double": 0, "why": 0}
    assert "Cell 3 ended Python" in graded.message
    assert "ended Python" in graded.exercises[0].message


def test_student_code_finds_no_source_no_hidden_test_and_no_other_submission(
    bench: Any, reply: Callable[[str], str]
) -> None:
    """Neither in the working folder nor anywhere else it may read."""
    (bench.places.course("ict101") / "submitted" / "victim").mkdir(parents=True)
    (bench.places.course("ict101") / "submitted" / "victim" / "secret.txt").write_text("of-another-4711")
    bench.settings = bench.settings.model_copy(update={"cell_timeout_s": 60, "total_timeout_s": 90})
    said = reply(
        "import os\nfound = []\n"
        "words = [b'add(NUMBERS' + b'[0], 41)', b'of-another' + b'-4711']\n"
        f"skip = ('/proc', '/sys', '/dev', '/usr', '/lib', '/bin', '/sbin', {sys.base_prefix!r})\n"
        "for base, folders, names in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if not os.path.join(base, f).startswith(skip) and f not in ('site-packages', 'share')]\n"
        "    for name in names:\n"
        "        try: text = open(os.path.join(base, name), 'rb').read(1 << 20)\n"
        "        except OSError: continue\n"
        "        if any(w in text for w in words): found.append(os.path.join(base, name))\n"
        f"print('FOUND', found, os.path.exists({str(bench.places.data)!r}), os.listdir('.'))"
    )
    assert "FOUND [] False ['table.csv']" in said, said


def test_student_code_cannot_reach_the_gradebook(bench: Any, reply: Callable[[str], str]) -> None:
    file = bench.places.course("ict101") / "gradebook.db"
    before = file.read_bytes()
    said = reply(f"import sqlite3\nsqlite3.connect({str(file)!r}).execute('vacuum')")
    assert "unable to open database file" in said
    assert file.read_bytes() == before


def test_student_code_does_not_run_as_the_grader(reply: Callable[[str], str]) -> None:
    said = reply(
        "import os\nstatus = open('/proc/self/status').read()\n"
        "caps = [l.split()[1] for l in status.splitlines() if l.startswith('Cap')]\n"
        "print('UID', os.getuid() != 0, set(caps), len([p for p in os.listdir('/proc') if p.isdigit()]) < 6)"
    )
    assert "UID True {'0000000000000000'} True" in said, said


def test_output_is_limited_by_bytes_before_it_is_in_memory(bench: Any) -> None:
    """One line of a gigabyte: stock limits lines only, and only afterwards."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    graded = bench.grade(
        bench.solved(double="import os\nos.write(1, b'x' * (1 << 28))\nprint('y' * (1 << 28))")
    )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 1024 < 200
    assert len(json.dumps(graded.notebooks["sums"])) < 3_000_000
