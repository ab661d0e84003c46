"""`ict labs` lists, starts, builds and proves; what is wrong is a sentence and exit code 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
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
