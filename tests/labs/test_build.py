"""lab.md becomes nbgrader's notebooks: the same bytes each time, without solutions, and errors name the cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pytest

from labs import build
from labs.model import Lab, LabError

Change = Callable[[str, str, str], Lab]


def test_source_has_nbgraders_metadata(folder: Path) -> None:
    source = build.source_notebook(Lab.load(folder))
    nbformat.validate(source)
    meta = {c.id: c.metadata["nbgrader"] for c in source.cells if "nbgrader" in c.metadata}

    assert {i: (m["grade"], m["solution"], m["locked"], m.get("points")) for i, m in meta.items()} == {
        "hosts": (False, True, False, None),
        "check-hosts": (True, False, True, 1),
        "check-hosts-hidden": (True, False, True, 2),
    }
    assert source.metadata.kernelspec.name == "python3"


def test_release_lacks_solution_and_hidden_check(folder: Path) -> None:
    release = build.release_notebook(Lab.load(folder))
    text = nbformat.writes(release)

    assert "BEGIN SOLUTION" not in text
    assert "2147483646" not in text
    assert "# YOUR ANSWER HERE" in text
    assert all(c.metadata.nbgrader.checksum for c in release.cells if "nbgrader" in c.metadata)


def test_checks_say_what_they_are_worth(folder: Path) -> None:
    cells = {cell.id: cell.source.split("\n") for cell in build.release_notebook(Lab.load(folder)).cells}

    assert cells["check-hosts"][0] == "# Check: Count the hosts (points: 1). Run this cell."
    assert cells["check-hosts-hidden"] == ["# Hidden checks (points: 2): they run when your work is graded."]


def test_same_lab_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    lab = Lab.load(folder)
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "plan.csv").write_text("a,b\n")
    for name in ("one", "two"):
        build.write_source(lab, tmp_path / name)

    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert list(map(str, files)) == ["deep/plan.csv", "net-hosts.ipynb"]
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_solved_and_attempt_differ_from_the_release_only_in_answers(folder: Path) -> None:
    lab = Lab.load(folder)
    release, solved = build.release_notebook(lab), build.solved_notebook(lab)
    attempt = build.attempt_notebook(lab, lab.attempts()[0])

    for filled in (solved, attempt):
        assert [a.id for a, b in zip(filled.cells, release.cells, strict=True) if a != b] == ["hosts"]
    assert "SOLUTION" not in build.solutions(lab)["hosts"]


def test_jupytext_keeps_a_lab_unchanged_both_ways(folder: Path) -> None:
    """An author may edit lab.md as a notebook in JupyterLab and save it again."""
    once = jupytext.read(folder / "lab.md", fmt="md:myst")
    again = jupytext.reads(jupytext.writes(once, fmt="md:myst"), fmt="md:myst")

    assert [(c.cell_type, c.source, c.metadata) for c in once.cells] == [
        (c.cell_type, c.source, c.metadata) for c in again.cells
    ]


def test_written_answer_setup_and_second_check(folder: Path, change: Change) -> None:
    with (folder / "lab.toml").open("a") as toml:
        toml.write('[[exercise]]\nid = "why"\ntitle = "Say why"\npoints = 2\n')
    with (folder / "lab.md").open("a") as text:
        text.write(
            "```{code-cell}\n:check: hosts\n:points: 0\n\n0\n```\n\n```{code-cell}\n:setup: start\n\nx = 1\n```\n\n"
            '## Say why\n\n+++ {"written": "why"}\n\n### BEGIN SOLUTION\nBecause.\n### END SOLUTION\n\n+++\n\nEnd.\n'
        )
    source = build.source_notebook(Lab.load(folder))
    meta = {c.id: c.metadata["nbgrader"] for c in source.cells if "nbgrader" in c.metadata}

    assert meta["check-hosts-2"]["points"] == 0
    assert (meta["why"]["grade"], meta["why"]["solution"], meta["why"]["points"]) == (True, True, 2)
    assert (meta["setup-start"]["grade"], meta["setup-start"]["locked"]) == (False, True)
    assert "Because" not in nbformat.writes(build.released(source))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":answer: hosts", ":answer: host", "answer: no exercise 'host'"),
        (":answer: hosts", ":answre: hosts", "keys answre do not go together"),
        (":answer: hosts", ":answer: hosts\n:tags: [skip-execution]", "do not go together"),
        (":points: 1", ":points: 2", "have 4 points, lab.toml says 3"),
        (":points: 1", ":points: many", "needs a number"),
        (":points: 1\n", "", "needs a number"),
        (":hidden: true", ":hidden: false", "is `true` or `last`"),
        ("    ### END SOLUTION\n", "", "stand in pairs"),
        ("    ### END SOLUTION\n", "    # END SOLUTION\n", "stand in pairs"),
        (
            "    ### BEGIN SOLUTION\n    return 2 ** (32 - prefix_length) - 2\n    ### END SOLUTION\n",
            "",
            "no `### BEGIN",
        ),
        ("  name: python3", "  name: bash", "must be 'python3'"),
        ("# Count the hosts of a subnet", "# Count hosts", "the text starts with"),
        (":answer: hosts", ":setup: hosts", "belongs in a cell with the key answer"),
        (":check: hosts\n:points: 2", ":answer: hosts\n:points: 2", "do not go together"),
        (
            "check = Check(1)",
            "### BEGIN SOLUTION\n### END SOLUTION\ncheck = Check(1)",
            "belongs in a cell",
        ),
    ],
)
def test_error_in_the_text_names_file_and_cell(change: Change, old: str, new: str, said: str) -> None:
    lab = change("lab.md", old, new)

    with pytest.raises(LabError) as error:
        build.source_notebook(lab)

    assert "lab.md" in str(error.value)
    assert said in str(error.value)


def test_exercise_without_cells_is_named(folder: Path) -> None:
    with (folder / "lab.toml").open("a") as toml:
        toml.write('[[exercise]]\nid = "lost"\ntitle = "Lost"\npoints = 2\n')

    with pytest.raises(LabError, match="exercise lost has the cells: none"):
        build.source_notebook(Lab.load(folder))


@pytest.mark.parametrize("kind", ["link", "notebook"])
def test_data_is_plain_files(folder: Path, kind: str) -> None:
    (folder / "data").mkdir(exist_ok=True)
    if kind == "link":
        (folder / "data" / "passwd").symlink_to("/etc/passwd")
    else:
        (folder / "data" / "other.ipynb").write_text("{}")

    with pytest.raises(LabError, match="data"):
        build.data_files(Lab.load(folder))


def test_notebook_of_nbgraders_keeps_nbgraders_stub() -> None:
    source = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "def answer():\n    ### BEGIN SOLUTION\n    return 42\n    ### END SOLUTION",
                metadata={
                    "nbgrader": {
                        "schema_version": 3, "grade_id": "a", "grade": False, "solution": True, "locked": False,
                        "task": False,
                    }
                },
            )
        ]
    )  # fmt: skip

    assert build.released(source).cells[0].source.endswith("    raise NotImplementedError()")
