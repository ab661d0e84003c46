"""A lab that is in order, to be broken by each test in one way; and a grader that runs notebooks right here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbgrader.utils import determine_grade, is_grade

from labs import build
from labs.library import CATALOG
from labs.model import Lab
from labs.prove import Grade


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the template, named as a lab."""
    copy = tmp_path / "net-hosts"
    shutil.copytree(CATALOG.parent / "template", copy)
    return copy


@pytest.fixture
def change(folder: Path) -> Callable[[str, str, str], Lab]:
    """`change(file, old, new)`: replace text in a file of the lab, which must be there, and load the lab."""

    def replace(name: str, old: str, new: str) -> Lab:
        file = folder / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return Lab.load(folder)

    return replace


@pytest.fixture
def grade(tmp_path: Path) -> Grade:
    """Grade as the engine does, hidden checks put back, but in a kernel of this machine: for trusted labs only."""

    def run(
        lab: Lab, notebooks: Mapping[str, NotebookNode], seed: str
    ) -> tuple[dict[str, float], dict[str, str]]:
        exercises, marks, said = build.exercises_by_cell(lab), dict[str, float](), dict[str, str]()
        for name, source in build.source_notebooks(lab).items():
            work = tmp_path / "work"
            shutil.rmtree(work, ignore_errors=True)
            build.write_source(lab, work)
            if seed:
                (work / ".variant").write_text(seed)
            _put_back(source, notebooks[name])
            place = {"metadata": {"path": str(work)}}
            NotebookClient(notebooks[name], allow_errors=True, timeout=60, resources=place).execute()
            for cell in notebooks[name].cells:
                if is_grade(cell) and cell.cell_type == "code":
                    exercise = exercises[cell.metadata["nbgrader"]["grade_id"]]
                    marks[exercise] = marks.get(exercise, 0) + (determine_grade(cell)[0] or 0)
                    said[exercise] = said.get(exercise, "") + "".join(o.get("text", "") for o in cell.outputs)
        return marks, said

    return run


def _put_back(source: NotebookNode, notebook: NotebookNode) -> None:
    """Give locked cells the text that the grader has."""
    texts = {
        cell.metadata["nbgrader"]["grade_id"]: cell.source
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("locked")
    }
    for cell in notebook.cells:
        cell.source = texts.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
