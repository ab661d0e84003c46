"""Every lab of the catalog is read, built the same each time, and proved in its real image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import nbformat
import pytest
from click.testing import CliRunner

from grader.engine.standalone import grade_files
from grader.sandbox import open_sandbox
from grader.settings import SandboxSettings
from hub.commands.labs import command
from hub.images import image_name
from hub.settings import Settings
from labs import build
from labs.library import CATALOG, Library
from labs.model import Lab
from labs.prove import proofs

LABS = Library().labs()
PROOFS = "test_all_proofs_in_the_real_image"
LEAST_PROOFS = 12  # 4 without running anything, 4 by grading, and 4 attempts
every_lab = pytest.mark.parametrize("lab", LABS.values(), ids=LABS.keys())


@pytest.fixture
def image_of(docker_engine: docker.DockerClient, missing: Callable[[str, str], None]) -> Callable[[Lab], str]:
    """`image_of(lab)`: the name of its environment's image, which is there."""

    def find(lab: Lab) -> str:
        name = image_name(Settings(), lab.environment)
        try:
            docker_engine.images.get(name)
        except docker.errors.ImageNotFound:
            missing(f"no image {name}", f"`ict images build {lab.environment}` builds it")
        return name

    return find


def test_no_lab_is_broken() -> None:
    assert Library().problems() == {}
    assert set(LABS) == {
        folder.name for folder in CATALOG.iterdir() if not folder.name.startswith((".", "_"))
    }


@every_lab
def test_proofs_that_run_nothing(lab: Lab) -> None:
    failed = [f"{proof.name}: {proof.message}" for proof in proofs([lab], None) if not proof.passed]

    assert failed == []


@every_lab
def test_same_bytes_each_time(lab: Lab, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build.write_source(lab, tmp_path / name)

    one, two = ({p.relative_to(d): p.read_bytes() for p in d.rglob("*") if p.is_file()}
                for d in (tmp_path / "one", tmp_path / "two"))  # fmt: skip
    assert one == two
    for file in (tmp_path / "one").glob("*.ipynb"):
        nbformat.validate(nbformat.read(file, as_version=4))


@every_lab
def test_lab_is_as_large_as_a_lab_should_be(lab: Lab) -> None:
    assert 5 <= len(lab.exercise) <= 10
    assert lab.outcomes
    assert 2 <= len(lab.objectives) <= 5
    assert lab.maps_to
    assert {outcome for exercise in lab.exercise for outcome in exercise.outcomes} <= set(lab.outcomes)
    assert set(lab.requires) <= set(LABS)
    assert (lab.folder / "instructor.md").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="module")
def proved(request: pytest.FixtureRequest, docker_engine: docker.DockerClient) -> list[dict[str, Any]]:
    """The proofs of the labs that this run asks for, all in one go: a proof mostly waits, and so does a lab's last one."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    asked = {item.callspec.params["lab"].name for item in items if item.originalname == PROOFS}
    names = [word for name in sorted(asked) for word in ("--lab", name)]
    answer = CliRunner().invoke(command, ["prove", "--json", *names], obj=Settings())
    assert answer.stdout, answer.output
    return list(json.loads(answer.stdout))


@every_lab
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(2400)  # the first one waits for all
def test_all_proofs_in_the_real_image(lab: Lab, proved: list[dict[str, Any]]) -> None:
    mine = [proof for proof in proved if proof["lab"] == lab.name]

    assert [f"{proof['name']}: {proof['message']}" for proof in mine if not proof["passed"]] == []
    assert len(mine) >= LEAST_PROOFS


@every_lab
@pytest.mark.docker
def test_missing_answers_end_in_a_sentence_not_in_a_trace(lab: Lab, image_of: Callable[[Lab], str]) -> None:
    blank = build.blank_notebook(lab)
    limits = SandboxSettings()
    sandbox = open_sandbox("docker", limits, image=image_of(lab))
    try:
        graded = grade_files(lab, {f"{lab.name}.ipynb": blank}, settings=limits, sandbox=sandbox)
    finally:
        sandbox.close()

    for cell in graded.notebooks[lab.name].cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            kinds = {output.output_type for output in cell.outputs}
            said = "".join(output.get("text", "") for output in cell.outputs)
            assert "error" not in kinds, f"{cell.id}: {cell.outputs}"
            assert said.strip(), f"{cell.id} says nothing"
