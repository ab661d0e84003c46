"""Reads lab.md: cells with short keys become a notebook with nbgrader's metadata, or an error names the cell.

The format is written down in labs/build.py.
"""

from __future__ import annotations

import re
from typing import Any

import nbformat
from nbformat import NotebookNode

from labs.model import Lab, LabError

HIDDEN_NOTE = "# Hidden checks (points: {:g}): they run when your work is graded."
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
SOLUTION_MARK = re.compile(r"^\s*### (BEGIN|END) SOLUTION\s*$")
HIDDEN_MARK = re.compile(r"^\s*### (BEGIN|END) HIDDEN TESTS\s*$")
_SHAPES = {  # keys that may stand together on a cell -> its kind
    frozenset[str](): "plain",
    frozenset({"setup"}): "setup",
    frozenset({"answer"}): "answer",
    frozenset({"written"}): "written",
    frozenset({"check"}): "check",
    frozenset({"check", "points"}): "check",
    frozenset({"check", "hidden"}): "check",
    frozenset({"check", "hidden", "points"}): "check",
}


def read_myst(lab: Lab) -> NotebookNode:
    """Read lab.md into a source notebook with nbgrader's metadata. Raises LabError that names the cell."""
    import jupytext  # takes 0.2 s: grading does without

    try:
        read = jupytext.reads(lab.text.read_text(encoding="utf-8"), fmt="md:myst")
    except Exception as error:  # jupytext raises whatever its YAML parser does
        raise LabError(f"{lab.text}: not a MyST notebook: {error}. See docs/lab-author.md.") from error
    kernel = read.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNELSPEC["name"]:
        raise LabError(
            f"{lab.text}: kernelspec: name: {kernel!r} must be 'python3'. Copy the template's first lines."
        )
    if not read.cells or read.cells[0].source.split("\n")[0] != f"# {lab.title}":
        raise LabError(
            f"{lab.text}: the text starts with `# {lab.title}`, as the title in lab.toml. Make them the same."
        )
    notebook: NotebookNode = nbformat.v4.new_notebook(
        metadata={"kernelspec": dict(KERNELSPEC), "language_info": {"name": "python"}}
    )
    kinds = [_kind(lab, number, cell) for number, cell in enumerate(read.cells, 1)]
    points = _points(lab, read.cells)
    taken: dict[str, int] = {}
    for number, cell in enumerate(read.cells, 1):
        notebook.cells.append(
            _source_cell(lab, cell, number, kinds[number - 1], points=points.get(number, 0), taken=taken)
        )
    _in_order(lab, notebook)
    return notebook


def _where(lab: Lab, number: int, cell: NotebookNode) -> str:
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"{lab.text}: cell {number} ({first[:40]!r})"


def _kind(lab: Lab, number: int, cell: NotebookNode) -> str:
    """Say what the keys of a cell make it."""
    where = _where(lab, number, cell)
    kind = _SHAPES.get(frozenset(cell.metadata))
    if kind is None:
        raise LabError(
            f"{where}: keys {', '.join(sorted(cell.metadata))} do not go together. See labs/build.py."
        )
    plain = "markdown" if cell.cell_type == "markdown" else "code"
    wanted = {"written": "markdown", "plain": plain}.get(kind, "code")
    if cell.cell_type != wanted:
        raise LabError(f"{where}: {kind} stands on a {cell.cell_type} cell; it needs a {wanted} cell.")
    exercise = str(cell.metadata.get(kind))
    if kind in ("answer", "written", "check") and exercise not in lab.exercises:
        raise LabError(
            f"{where}: {kind}: no exercise {exercise!r} in lab.toml. Its ids: {', '.join(lab.exercises)}."
        )
    if kind == "setup" and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", str(exercise)):
        raise LabError(f"{where}: setup: {exercise!r} is not an id. Use letters, digits and hyphens.")
    if cell.metadata.get("hidden", True) not in (True, "last"):
        raise LabError(f"{where}: hidden: is `true` or `last`. Leave the line out for a visible check.")
    return kind


def _points(lab: Lab, cells: list[NotebookNode]) -> dict[int, float]:
    """Share each exercise's points among its check cells: cell number -> points."""
    points: dict[int, float] = {}
    for exercise in lab.exercise:
        checks = [(n, c) for n, c in enumerate(cells, 1) if c.metadata.get("check") == exercise.id]
        written = [n for n, c in enumerate(cells, 1) if c.metadata.get("written") == exercise.id]
        if written:
            points[written[0]] = exercise.points
            continue
        if len(checks) == 1 and "points" not in checks[0][1].metadata:
            points[checks[0][0]] = exercise.points
            continue
        for number, cell in checks:
            value = cell.metadata.get("points")
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value <= exercise.points
            ):
                where = _where(lab, number, cell)
                raise LabError(
                    f"{where}: points: {value!r}; each check of {exercise.id} needs a number from 0."
                )
            points[number] = value
        if checks and abs((total := sum(points[n] for n, _ in checks)) - exercise.points) > 1e-9:
            raise LabError(
                f"{lab.text}: the checks of {exercise.id} have {total:g} points, lab.toml says "
                f"{exercise.points:g}. Mend one of the two."
            )
    return points


def _source_cell(
    lab: Lab, cell: NotebookNode, number: int, kind: str, *, points: float, taken: dict[str, int]
) -> NotebookNode:
    source = cell.source
    _marks_in_order(lab, number, cell, kind)
    if kind == "plain":
        return _new_cell(cell.cell_type, source, f"cell-{number}", {})
    base = {"setup": "setup-{}", "check": "check-{}"}.get(kind, "{}").format(cell.metadata[kind])
    if kind == "check" and "hidden" not in cell.metadata and not source.startswith("%%"):
        # the student sees what the code is for before reading it, or instead
        source = f"# Check: {lab.exercises[cell.metadata[kind]].title} (points: {points:g}). Run this cell.\n{source}"
    if "hidden" in cell.metadata:
        base += "-hidden"
        source = f"{HIDDEN_NOTE.format(points)}\n### BEGIN HIDDEN TESTS\n{source}\n### END HIDDEN TESTS"
    taken[base] = taken.get(base, 0) + 1
    if taken[base] > 1 and kind != "check":
        raise LabError(
            f"{_where(lab, number, cell)}: a second {kind} cell {cell.metadata[kind]!r}. Keep one."
        )
    grade_id = base if taken[base] == 1 else f"{base}-{taken[base]}"
    meta: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": kind in ("check", "written"),
        "solution": kind in ("answer", "written"),
        "locked": kind in ("check", "setup"),
        "task": False,
    }
    metadata: dict[str, Any] = {"nbgrader": meta}
    if kind != "setup":
        metadata["ictlabs"] = {"exercise": cell.metadata[kind]}
        if cell.metadata.get("hidden") == "last":
            metadata["ictlabs"]["last"] = True
    if meta["grade"]:
        meta["points"] = int(points) if float(points).is_integer() else float(points)
    return _new_cell(cell.cell_type, source, re.sub(r"[^A-Za-z0-9_-]", "-", grade_id)[:64], metadata)


def _new_cell(cell_type: str, source: str, cell_id: str, metadata: dict[str, Any]) -> NotebookNode:
    """Make a cell with an id of ours: nbformat's own is random, and the same lab must give the same bytes."""
    make: Any = nbformat.v4.new_markdown_cell if cell_type == "markdown" else nbformat.v4.new_code_cell
    cell: NotebookNode = make(source, id=cell_id, metadata=metadata)
    return cell


def _marks_in_order(lab: Lab, number: int, cell: NotebookNode, kind: str) -> None:
    """Refuse marks that are not in pairs, or stand where nbgrader would not take them out."""
    for name, pattern, kinds in (
        ("SOLUTION", SOLUTION_MARK, ("answer", "written")),
        ("HIDDEN TESTS", HIDDEN_MARK, ("check",)),
    ):
        found = [match.group(1) for line in cell.source.splitlines() if (match := pattern.match(line))]
        loose = sum(
            f"{edge} {name}" in line for line in cell.source.splitlines() for edge in ("BEGIN", "END")
        )
        where = _where(lab, number, cell)
        if found != ["BEGIN", "END"] * (len(found) // 2) or loose != len(found):
            raise LabError(
                f"{where}: `### BEGIN {name}` and `### END {name}` stand in pairs, each on a line of its own."
            )
        if found and kind not in kinds:
            raise LabError(
                f"{where}: `### BEGIN {name}` belongs in a cell with the key {' or '.join(kinds)}."
            )
        if not found and name == "SOLUTION" and kind in kinds:
            raise LabError(f"{where}: no `### BEGIN SOLUTION`. Mark what the release must not have.")
        if found and "hidden" in cell.metadata:
            raise LabError(f"{where}: the whole cell is hidden already. Take the marks out.")


def _in_order(lab: Lab, notebook: NotebookNode) -> None:
    """Each exercise has one answer (or written) cell, and its checks come after it."""
    place: dict[str, list[tuple[int, str]]] = {exercise: [] for exercise in lab.exercises}
    for number, cell in enumerate(notebook.cells):
        if "ictlabs" in cell.metadata:
            meta = cell.metadata["nbgrader"]
            kind = (
                "written" if meta["grade"] and meta["solution"] else "answer" if meta["solution"] else "check"
            )
            place[cell.metadata["ictlabs"]["exercise"]].append((number, kind))
    for exercise, cells in place.items():
        kinds = [kind for _, kind in cells]
        if kinds != ["written"] and (
            kinds[:1] != ["answer"] or len(kinds) < 2 or kinds[1:] != ["check"] * len(kinds[1:])
        ):
            raise LabError(
                f"{lab.text}: exercise {exercise} has the cells: {', '.join(kinds) or 'none'}. "
                "It needs one `:answer:` and after it one `:check:` or more, or one written cell."
            )
    ids = [cell.id for cell in notebook.cells]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise LabError(
            f"{lab.folder}: two cells would get the id {', '.join(sorted(twice))}. Rename an exercise."
        )
