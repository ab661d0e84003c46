"""A lab that cannot be used is refused with a sentence that names the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labs.model import Lab, LabError

Change = Callable[[str, str, str], Lab]


def test_template_is_a_lab(folder: Path) -> None:
    lab = Lab.load(folder)

    assert (lab.name, lab.max_points, list(lab.exercises)) == ("net-hosts", 3, ["hosts"])
    assert [attempt.name for attempt in lab.attempts()] == [
        "counts_all",
        "no_function",
        "not_the_network",
        "one_case",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("minutes = 15\n", "", "lab.toml: minutes"),
        ("level = 1 ", "level = 4 ", "lab.toml: level"),
        ('track = "network"', 'track = "netwrok"', "lab.toml: track"),
        ("points = 3", "points = 0", "lab.toml: exercise[1].points"),
        ("minutes = 15", "minutes = 15\ncolour = 1", "lab.toml: colour"),
        ("minutes = 15", 'minutes = 15\nfolder = "/etc"', "lab.toml: folder"),
        ('id = "hosts"', 'id = "check-hosts"', "lab.toml: exercise"),
        ('id = "hosts"', 'id = "hosts"\nhints = 3', "lab.toml: exercise[1].hints"),
        (
            "[[exercise]]",
            '[[exercise]]\nid = "hosts"\ntitle = "x"\npoints = 1\n[[exercise]]',
            "id used twice: hosts",
        ),
        ("level = 1 ", "level = = 1 ", "lab.toml: not valid TOML"),
    ],
)
def test_error_in_lab_toml_names_file_and_key(change: Change, old: str, new: str, said: str) -> None:
    with pytest.raises(LabError) as error:
        change("lab.toml", old, new)

    assert said in str(error.value)


def test_folder_name_is_checked(folder: Path) -> None:
    renamed = folder.rename(folder.parent / "Net Hosts")

    with pytest.raises(LabError, match="Rename it"):
        Lab.load(renamed)


def test_lab_without_text_is_refused(folder: Path) -> None:
    (folder / "lab.md").unlink()

    with pytest.raises(LabError, match=r"lab\.md: no such file"):
        Lab.load(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "before the first"),
        ("# answer: hosts\nx = 1\n", "Add them"),
        ("# attempt: a\n# earns: hosts=9\n# answer: hosts\n", "from 0 to 3"),
        ("# attempt: a\n# earns: hosts=nan\n# answer: hosts\n", "from 0 to 3"),
        ("# attempt: a\n# earns: hosts\n# answer: hosts\n", "not EXERCISE=POINTS"),
        ("# attempt: a\n# earns: nothing=1\n", "no exercise 'nothing'"),
        ("# attempt: a\n# earns:\n# answer: hosts\n", "says nothing of hosts"),
        ("# attempt: a\n# earns: hosts=1\n# answer: other\n", "no exercise 'other'"),
        ("# attempt: a\n# earns: hosts=1\n# answer: hosts\n# answer: hosts\n", "a second answer"),
        ("# attempt: a\n# earns: hosts=1\n# rest: half\n# answer: hosts\n", "rest"),
        ("# attempt: a\n# earns: hosts=1\n# answer: hosts\n# earns: hosts=2\n", "stands once"),
    ],
)
def test_error_in_an_attempt_names_the_file(folder: Path, text: str, said: str) -> None:
    (folder / "attempts" / "wrong.py").write_text(text)

    with pytest.raises(LabError) as error:
        Lab.load(folder).attempts()

    assert "wrong.py" in str(error.value)
    assert said in str(error.value)
