"""The proofs find what they are for: each test breaks a lab in one way, and exactly that proof fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbgrader
import pytest

from labs.model import Lab
from labs.prove import Grade, proofs, prove

Change = Callable[[str, str, str], Lab]


def failed(made: list[Any]) -> dict[str, str]:
    return {proof.name: proof.message for proof in made if not proof.passed}


def test_template_proves_everything(folder: Path, grade: Grade) -> None:
    made = prove(Lab.load(folder), grade)

    assert failed(made) == {}
    assert [proof.name for proof in made] == [
        "builds", "leaks nothing", "text", "attempts declared", "empty answers earn nothing", "release earns nothing",
        "solution earns all", "earns all with other values",
        "attempt counts_all", "attempt no_function", "attempt not_the_network", "attempt one_case",
    ]  # fmt: skip


def test_wrong_solution_is_found(change: Change, grade: Grade) -> None:
    lab = change("lab.md", "return 2 ** (32 - prefix_length) - 2", "return 2 ** (32 - prefix_length) - 1")

    said = failed(prove(lab, grade))

    assert set(said) == {"solution earns all", "earns all with other values"}
    assert "hosts earned 0, must earn 3" in said["solution earns all"]


def test_empty_answer_that_earns_is_found(change: Change, grade: Grade) -> None:
    """A check whose last line prints gives nbgrader no number, so it pays every point to everybody."""
    lab = change("lab.md", "points=2,\n    )\ncheck.earned", "points=2,\n    )\nprint(check.earned)")

    said = failed(prove(lab, grade))

    assert "hosts earned 2, must earn 0" in said["release earns nothing"]


def test_attempt_that_earns_something_else_is_found(change: Change, grade: Grade) -> None:
    lab = change("attempts/one_case.py", "hosts=1", "hosts=0")

    said = failed(prove(lab, grade))

    assert list(said) == ["attempt one_case"]
    assert "hosts earned 1, must earn 0\n    [ok] " in said["attempt one_case"]  # and what the checks said


def test_attempt_that_declares_nonsense_is_found(change: Change) -> None:
    lab = change("attempts/one_case.py", "hosts=1", "guests=1")

    assert list(failed(list(proofs([lab], None)))) == ["attempts declared"]


def test_fewer_than_four_attempts_are_found(folder: Path) -> None:
    (folder / "attempts" / "one_case.py").unlink()

    assert "3 attempts" in failed(list(proofs([Lab.load(folder)], None)))["attempts declared"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # the solution, wrapped and quoted differently, in a hint
        (
            "Each bit that is left",
            "Write `wanted = table['hosts'][ room ] - spare(room, extra)`. Each bit that is left",
        ),
        # the same in a visible check
        ("check = Check(1)", "wanted = table['hosts'][room] - spare(\n    room, extra)\ncheck = Check(1)"),
    ],
)
def test_solution_in_the_release_is_found(change: Change, old: str, new: str) -> None:
    change(
        "lab.md", "    return 2 **", '    wanted = table["hosts"][room] - spare(room, extra)\n    return 2 **'
    )
    lab = change("lab.md", old, new)

    assert "a piece of the solution of hosts" in failed(list(proofs([lab], None)))["leaks nothing"]


def test_hidden_check_in_the_data_is_found(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "notes.txt").write_text(
        "{length: check.call(function, length) for length in (30, 24, 16, 1)} found = \n"
        "found == {30: 2, 24: 254, 16: 65534, 1: 2147483646},\n"
    )

    said = failed(list(proofs([Lab.load(folder)], None)))["leaks nothing"]

    assert "data/notes.txt" in said
    assert "the hidden check-hosts-hidden" in said


def test_answer_shown_by_a_visible_check_is_found(change: Change) -> None:
    change("lab.md", "    return 2 ** (32 - prefix_length) - 2", '    return "10.7.64.0/20"')
    lab = change("lab.md", "len(range(1, 63))", '"10.7.64.0/20"')

    assert "shows '10.7.64.0/20'" in failed(list(proofs([lab], None)))["leaks nothing"]


def test_release_that_is_not_python_is_found(change: Change) -> None:
    lab = change(
        "lab.md",
        '    """Return how many addresses of a subnet are for hosts; prefix_length is 1 to 30."""\n',
        "",
    )

    assert "is not valid Python" in failed(list(proofs([lab], None)))["builds"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## Count the hosts", "### Count the hosts", "level 3 after level 1"),
        ("## Count the hosts", "## Count them", "no heading `## Count the hosts`"),
        ("Work from top", "![](plan.png)\n\nWork from top", "picture"),
        ("Work from top", '<img src="plan.png">\n\nWork from top', "no alt text"),
        ("Work from top", "TODO. Work from top", "unfinished"),
        ("Work from top", "Look at the red line. Work from top", "colour"),
        ("Work from top", "Read [here](https://example.org). Work from top", "only 'here'"),
        ("Work from top", "word " * 40 + "end. Work from top", "a sentence of"),
        ("<details><summary>Hint 2</summary>\n", "<details>\n", "1 hints"),
        ("</details>\n</details>", "</details>", "not closed"),
        ("\n<details><summary>Hint 2", "\n</details>\n<details><summary>Hint 2", "side by side"),
    ],
)
def test_text_that_stands_in_the_way_is_found(change: Change, old: str, new: str, said: str) -> None:
    lab = change("lab.md", old, new)
    if "side by side" in said:
        lab = change("lab.md", "</details>\n</details>", "</details>")

    assert said in failed(list(proofs([lab], None)))["text"]


def test_lab_that_does_not_build_has_one_failed_proof(change: Change, grade: Grade) -> None:
    lab = change("lab.md", ":points: 1", ":points: 2")

    made = prove(lab, grade)

    assert [proof.name for proof in made] == ["builds"]
    assert not made[0].passed


def test_nbgrader_folder_gets_the_proofs_that_fit(tmp_path: Path, grade: Grade) -> None:
    """nbgrader's own example has two notebooks and no attempts."""
    quickstart = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide" / "source" / "ps1"
    shutil.copytree(quickstart, tmp_path / "ps1")
    made = prove(Lab.load(tmp_path / "ps1"), grade)

    assert [proof.name for proof in made] == [
        "builds", "leaks nothing", "release earns nothing", "solution earns all",
    ]  # fmt: skip
    assert list(failed(made)) == []
