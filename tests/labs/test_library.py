"""Labs are found by being there; a broken one is named and stops none of the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbgrader
import pytest

from labs.library import CATALOG, Library, by_track
from labs.model import LabError


def test_folder_with_lab_toml_is_found(folder: Path) -> None:
    library = Library([folder.parent], catalog=None)

    assert list(library.labs()) == ["net-hosts"]
    assert library.lab("net-hosts").folder == folder.resolve()
    assert library.problems() == {}


def test_catalog_is_always_there() -> None:
    assert Library().folders == [CATALOG]


def test_broken_lab_is_a_problem_and_the_others_stay(folder: Path) -> None:
    broken = folder.parent / "net-broken"
    shutil.copytree(folder, broken)
    (broken / "lab.toml").write_text("title = 3")
    library = Library([folder.parent], catalog=None)

    assert list(library.labs()) == ["net-hosts"]
    assert "net-broken" in library.problems()[broken]


def test_second_lab_of_a_name_is_a_problem(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other / folder.name)
    library = Library([folder.parent, other], catalog=None)

    assert library.labs()["net-hosts"].folder == folder.resolve()
    assert "has this name already" in library.problems()[other / "net-hosts"]


@pytest.mark.parametrize("name", ["", "..", "../net-hosts", "net-other", "/etc"])
def test_unknown_name_lists_what_there_is(folder: Path, name: str) -> None:
    with pytest.raises(LabError, match="net-hosts"):
        Library([folder.parent], catalog=None).lab(name)


def test_missing_folder_is_a_problem(tmp_path: Path) -> None:
    library = Library([tmp_path / "nowhere"], catalog=None)

    assert library.labs() == {}
    assert "no such folder" in next(iter(library.problems().values()))


def test_ordinary_nbgrader_folder_is_a_lab(tmp_path: Path) -> None:
    quickstart = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide" / "source" / "ps1"
    shutil.copytree(quickstart, tmp_path / "ps1")
    lab = Library([tmp_path], catalog=None).lab("ps1")

    assert (lab.format, lab.title) == ("nbgrader", "ps1")
    assert lab.max_points == 13
    assert by_track(Library([tmp_path], catalog=None).labs()) == [lab]
