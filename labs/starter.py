"""Starts labs: one from the template that passes its proofs at once, or those of an nbgrader course folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labs.library import CATALOG
from labs.model import LAB_NAME, Lab, LabError, assignment_notebooks

TEMPLATE = CATALOG.parent / "template"
NBGRADER_SOURCE = "source"  # where a course folder of nbgrader's has its assignments


def start(name: str, into: Path, values: Mapping[str, str | int]) -> Lab:
    """Make the folder into/name from the template. values: keys of lab.toml that differ, such as title and track.

    Raises LabError, and leaves nothing then.
    """
    target = into / name
    if not LAB_NAME.match(name):
        raise LabError(f"{name}: a lab's name has small letters, digits and hyphens, such as net-vlans.")
    if target.exists():
        raise LabError(f"{target}: is there already. Choose another name.")
    into.mkdir(parents=True, exist_ok=True)
    shutil.copytree(TEMPLATE, target, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        table, text = target / "lab.toml", target / "lab.md"
        written = table.read_text(encoding="utf-8")
        for key, value in values.items():
            shown = str(value) if isinstance(value, int) else _quoted(value)
            line = f"{key} = {shown}  ".replace("\\", r"\\")  # re.sub reads a backslash as its own
            written = re.sub(rf"^{key} = [^#\n]*", line, written, count=1, flags=re.MULTILINE)
        table.write_text(re.sub(r" +$", "", written, flags=re.MULTILINE), encoding="utf-8")
        if "title" in values:
            heading = f"# {values['title']}"
            lines = re.sub(
                r"^# .*$", lambda _m: heading, text.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE
            )
            text.write_text(lines, encoding="utf-8")
        return Lab.load(target)
    except LabError:
        shutil.rmtree(target)
        raise


def _quoted(value: str) -> str:
    """A TOML string."""
    return '"' + "".join(c if c >= " " and c not in '"\\' else f"\\u{ord(c):04x}" for c in value) + '"'


@dataclass(frozen=True)
class Imported:
    """One assignment that became a lab. cells: of its notebooks."""

    lab: Lab
    notebooks: int
    cells: int


def import_course(path: Path, into: Path) -> list[Imported]:
    """Copy the assignments of an nbgrader course folder (or one assignment's folder) as labs into `into`.

    Cells and points stay as they are; what students sent, marks and nbgrader's settings are left out. All or nothing:
    raises LabError, and copies none then.
    """
    found = _assignments(path)
    for folder in found:
        if (into / folder.name).exists():
            raise LabError(
                f"{into / folder.name}: is there already. Rename {folder}, or remove that lab first."
            )
    into.mkdir(parents=True, exist_ok=True)
    made: list[Imported] = []
    try:
        for folder in found:
            shutil.copytree(
                folder, into / folder.name, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.pyc")
            )
            lab = Lab.load(into / folder.name)
            notebooks = assignment_notebooks(lab.folder)
            cells = sum(len(_cells(file)) for file in notebooks)
            made.append(Imported(lab, len(notebooks), cells))
    except (LabError, OSError) as error:
        for folder in found:
            shutil.rmtree(into / folder.name, ignore_errors=True)
        raise LabError(str(error)) from error
    return made


def _assignments(path: Path) -> list[Path]:
    if assignment_notebooks(path):
        return [path.resolve()]
    source = path / NBGRADER_SOURCE if (path / NBGRADER_SOURCE).is_dir() else path
    found = [
        folder.resolve()
        for folder in sorted(source.glob("*"))
        if folder.is_dir() and assignment_notebooks(folder)
    ]
    if not found:
        raise LabError(
            f"{path}: no assignments. Give nbgrader's course folder, which has source/ASSIGNMENT/*.ipynb, or one "
            "assignment's folder."
        )
    return found


def _cells(file: Path) -> list[object]:
    import nbformat

    return list(nbformat.read(file, as_version=4).cells)
