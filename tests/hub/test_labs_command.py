"""`ict labs` lists, starts, builds and proves; what is wrong is a sentence and exit code 1."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import nbgrader
import pytest
import requests
from click.testing import CliRunner, Result

from hub.commands.labs import command
from hub.settings import LabsSettings, Settings


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """A site with a folder of labs of its own, empty."""
    (tmp_path / "mine").mkdir()
    return Settings(root=tmp_path, labs=LabsSettings(folders=(Path("mine"),)))


def ict_labs(site: Settings, *words: str) -> Result:
    return CliRunner().invoke(command, list(words), obj=site, catch_exceptions=False)


def started(site: Settings, name: str = "net-mine") -> Path:
    assert ict_labs(site, "new", name, "--into", str(site.root / "mine")).exit_code == 0
    return site.root / "mine" / name


def test_list_has_the_catalog_and_the_sites_own(site: Settings) -> None:
    started(site)

    table = ict_labs(site, "list")
    data: dict[str, Any] = json.loads(ict_labs(site, "list", "--json").stdout)

    assert table.exit_code == 0
    assert {"net-mine", "net-subnetting"} <= {line.split()[0] for line in table.stdout.splitlines()}
    mine = next(lab for lab in data["labs"] if lab["name"] == "net-mine")
    assert (mine["points"], mine["exercises"], data["problems"]) == (3, 1, {})


def test_broken_lab_is_listed_as_a_problem(site: Settings) -> None:
    (started(site) / "lab.toml").write_text("title = 1")

    result = ict_labs(site, "list")

    assert result.exit_code == 1
    assert "net-mine/lab.toml" in result.stderr
    assert "net-subnetting" in result.stdout


def test_new_lab_passes_the_proofs_that_run_nothing(site: Settings) -> None:
    started(site)

    result = ict_labs(site, "prove", "--lab", "net-mine", "--static", "--json")

    assert result.exit_code == 0
    assert all(proof["passed"] for proof in json.loads(result.stdout))


@pytest.mark.parametrize("name", ["Net Mine", "../net-mine", "net_mine", "x" * 65])
def test_new_refuses_a_bad_name(site: Settings, name: str) -> None:
    result = ict_labs(site, "new", name, "--into", str(site.root / "mine"))

    assert result.exit_code == 1
    assert "small letters" in result.stderr
    assert list((site.root / "mine").iterdir()) == []


def test_new_replaces_nothing(site: Settings) -> None:
    folder = started(site)
    (folder / "lab.md").write_text("mine")

    assert ict_labs(site, "new", "net-mine", "--into", str(site.root / "mine")).exit_code == 1
    assert (folder / "lab.md").read_text() == "mine"


def test_build_writes_source_release_and_solution(site: Settings, tmp_path: Path) -> None:
    result = ict_labs(site, "build", "--lab", "net-subnetting", "--into", str(tmp_path / "out"))

    assert result.exit_code == 0
    texts = {
        name: (tmp_path / "out" / name / "net-subnetting.ipynb").read_text()
        for name in ("source", "release", "solved")
    }
    assert ("BEGIN SOLUTION" in texts["source"], "BEGIN SOLUTION" in texts["release"]) == (True, False)
    assert ("172.20.64.1" in texts["solved"], "172.20.64.1" in texts["release"]) == (True, False)
    assert (tmp_path / "out" / "release" / "branch_plan.csv").is_file()


def test_failed_proof_is_exit_code_1_and_named(site: Settings) -> None:
    text = started(site) / "lab.md"
    text.write_text(text.read_text().replace("## Count the hosts", "#### Count the hosts"))

    result = ict_labs(site, "prove", "--lab", "net-mine", "--static")

    assert result.exit_code == 1
    assert "FAILED  net-mine: text" in result.stderr
    assert "level 4 after level 1" in result.stderr
    assert "text" in result.stdout.splitlines()[1]


@pytest.mark.parametrize(
    "words", [("prove", "--lab", "nothing"), ("build", "--lab", "nothing", "--into", "x")]
)
def test_unknown_lab_lists_what_there_is(site: Settings, words: tuple[str, ...]) -> None:
    result = ict_labs(site, *words)

    assert result.exit_code == 1
    assert "net-subnetting" in result.stderr


def test_new_takes_what_the_lab_is(site: Settings) -> None:
    words = ("--title", 'Rings & "stars"', "--track", "network", "--level", "2", "--minutes", "70")
    result = ict_labs(site, "new", "net-rings", *words, "--environment", "network")

    assert result.exit_code == 0
    (lab,) = (
        lab
        for lab in json.loads(ict_labs(site, "list", "--json").stdout)["labs"]
        if lab["name"] == "net-rings"
    )
    assert (lab["title"], lab["level"], lab["minutes"]) == ('Rings & "stars"', 2, 70)
    assert (lab["track"], lab["environment"]) == ("network", "network")
    assert ict_labs(site, "prove", "--lab", "net-rings", "--static").exit_code == 0


def test_new_leaves_nothing_of_what_cannot_be(site: Settings) -> None:
    result = ict_labs(site, "new", "net-rings", "--title", "")

    assert result.exit_code == 1
    assert "title" in result.stderr
    assert list((site.root / "mine").iterdir()) == []


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course folder of nbgrader's with two of its own example's assignment, and a release and a gradebook."""
    quickstart = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide" / "source" / "ps1"
    for name in ("ps1", "Problem Set 2"):
        shutil.copytree(quickstart, tmp_path / "course" / "source" / name)
    shutil.copytree(quickstart, tmp_path / "course" / "release" / "ps1")
    (tmp_path / "course" / "gradebook.db").write_text("")
    return tmp_path / "course"


def test_import_makes_labs_of_a_course_and_keeps_cells_and_points(site: Settings, course: Path) -> None:
    result = ict_labs(site, "import", str(course))

    assert result.exit_code == 0, result.output
    labs = {lab["name"]: lab for lab in json.loads(ict_labs(site, "list", "--json").stdout)["labs"]}
    before = [
        nbformat.read(file, as_version=4) for file in sorted((course / "source" / "ps1").glob("*.ipynb"))
    ]
    points = sum(
        cell.metadata.get("nbgrader", {}).get("points", 0) for notebook in before for cell in notebook.cells
    )
    for name in ("ps1", "Problem Set 2"):
        after = [
            nbformat.read(file, as_version=4) for file in sorted((site.root / "mine" / name).glob("*.ipynb"))
        ]
        assert labs[name]["points"] == points > 0
        assert [notebook.cells for notebook in after] == [notebook.cells for notebook in before]


def test_import_of_one_assignment_and_not_twice(site: Settings, course: Path) -> None:
    assert ict_labs(site, "import", str(course / "source" / "ps1")).exit_code == 0

    again = ict_labs(site, "import", str(course))

    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert [folder.name for folder in (site.root / "mine").iterdir()] == ["ps1"]


def test_import_of_what_is_no_course_says_what_is_wanted(site: Settings, tmp_path: Path) -> None:
    result = ict_labs(site, "import", str(tmp_path))

    assert result.exit_code == 1
    assert "source/ASSIGNMENT" in result.stderr


def test_import_takes_all_or_nothing(site: Settings, course: Path) -> None:
    (course / "source" / "Problem Set 2" / "broken.ipynb").write_text("{")

    result = ict_labs(site, "import", str(course))

    assert result.exit_code == 1
    assert "broken.ipynb" in result.stderr
    assert list((site.root / "mine").iterdir()) == []


@pytest.mark.docker
@pytest.mark.parametrize("solved", [False, True])
def test_preview_shows_the_release_in_its_image_until_it_is_stopped(
    tmp_path: Path, base_image: str, docker_engine: Any, solved: bool
) -> None:
    words = ["labs", "preview", "net-subnetting", *(["--solved"] if solved else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        base, token = url.partition("/lab/")[0], url.partition("token=")[2]
        answer = requests.get(
            f"{base}/api/contents/preview/net-subnetting/net-subnetting.ipynb?token={token}", timeout=30
        )
        text = answer.text
        assert requests.get(f"{base}/api/contents", timeout=30).status_code == 403
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)

    assert ("YOUR ANSWER HERE" in text, "172.20.64.1" in text) == (True, solved)
    assert process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(base, timeout=5)
