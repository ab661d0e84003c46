"""Turns the bytes a student sent into a notebook that may be run: bounded, and locked as it was released."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import preprocessors as steps
from nbgrader.api import MissingEntry

from grader.engine.released import ReleasedCell, ReleasedNotebook
from grader.settings import SandboxSettings

CELL_TYPES = ("code", "markdown", "raw")
PICTURES = ("image/png", "image/jpeg", "image/gif")


class Unreadable(Exception):
    """The notebook cannot be graded; the message says why, to the student."""


@dataclass(frozen=True)
class Sanitised:
    """A notebook that may be run, and what had to be mended on the way, in sentences for the student."""

    notebook: NotebookNode
    notes: tuple[str, ...]


def sanitise(raw: bytes, released: ReleasedNotebook, settings: SandboxSettings) -> Sanitised:
    """Read `raw`, mend it from the release, and run nbgrader's own sanitising steps over it.

    Raises Unreadable if it is not a notebook of bounded size.
    """
    sent = _parse(raw, released.name, settings)
    notes: list[str] = []
    cells = _mended([_clean(cell, notes) for cell in sent["cells"]], released, notes)
    return Sanitised(_nbgrader_steps(_notebook(cells, released), released), tuple(dict.fromkeys(notes)))


def untouched(released: ReleasedNotebook) -> NotebookNode:
    """The released cells with no answers: stands in for a notebook that is missing or cannot be read."""
    return _nbgrader_steps(_notebook([_restored(cell) for cell in released.cells], released), released)


def scrubbed(text: str) -> str:
    """`text` without lone surrogates (they cannot be stored as UTF-8) and NULs (PostgreSQL refuses them)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _parse(raw: bytes, name: str, settings: SandboxSettings) -> dict[str, Any]:
    file = f"{name}.ipynb"
    if len(raw) > settings.max_notebook_mb * 1_000_000:
        raise Unreadable(
            f"{file} has {len(raw) / 1e6:.1f} MB; at most {settings.max_notebook_mb} MB are read. "
            "Clear its outputs and large pictures and submit again."
        )
    try:
        sent = json.loads(raw.decode("utf-8-sig"), parse_constant=lambda _: None)
    except RecursionError:
        raise Unreadable(
            f"{file} is nested too deeply to be a notebook. Submit it from JupyterLab."
        ) from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(
            f"{file} is not a notebook: its JSON cannot be read{where}. "
            "Open it in JupyterLab, save and submit again."
        ) from None
    if not isinstance(sent, dict) or not isinstance(sent.get("cells"), list) or sent.get("nbformat") != 4:
        raise Unreadable(
            f"{file} is not a notebook of format 4 with a list of cells. "
            "Open it in JupyterLab, save and submit again."
        )
    if len(sent["cells"]) > settings.max_cells:
        raise Unreadable(
            f"{file} has {len(sent['cells'])} cells; at most {settings.max_cells} are read. "
            "Delete some and submit again."
        )
    return sent


def _clean(cell: object, notes: list[str]) -> NotebookNode | None:
    """The cell with nothing but type, source, pictures and the nbgrader id it claims; no tags, no outputs."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in CELL_TYPES:
        notes.append("A cell that is neither code nor text was left out.")
        return None
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str):
        notes.append("A cell without text was left out.")
        return None
    made = _cell(str(cell["cell_type"]), scrubbed(source))
    if made.cell_type != "code" and (pictures := _pictures(cell.get("attachments"))):
        made["attachments"] = pictures
    meta = cell.get("metadata")
    nbgrader = meta.get("nbgrader") if isinstance(meta, dict) else None
    if isinstance(nbgrader, dict) and isinstance(nbgrader.get("grade_id"), str):
        made.metadata["nbgrader"] = {"grade_id": nbgrader["grade_id"]}
        made.metadata["claims"] = {k: nbgrader.get(k) for k in ("grade", "solution", "points")}
    return made


def _pictures(attachments: object) -> Any:
    """Pasted pictures, which written answers may need."""
    kept: dict[str, dict[str, str]] = {}
    if isinstance(attachments, dict):
        for name, bundle in attachments.items():
            if isinstance(bundle, dict):
                data = {
                    m: d for m, d in bundle.items() if m in PICTURES and isinstance(d, str) and d.isascii()
                }
                if data:
                    kept[scrubbed(name)] = data
    return nbformat.from_dict(kept)


def _mended(
    cells: list[NotebookNode | None], released: ReleasedNotebook, notes: list[str]
) -> list[NotebookNode]:
    """Give each released cell back its flags, points and locked text, once, and put deleted ones back."""
    kept: list[NotebookNode] = []
    seen: set[str] = set()
    for cell in cells:
        if cell is None:
            continue
        claims = cell.metadata.pop("claims", None)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        original = released.cell(name) if name is not None else None
        if original is None or name in seen:
            if name in seen:
                notes.append(f"Cell {name!r} was there more than once: the first one counts.")
            cell.metadata.pop("nbgrader", None)
            kept.append(cell)
            continue
        seen.add(name)
        kept.append(_relocked(cell, original, claims, notes))
    _put_back(kept, seen, released, notes)
    return kept


def _relocked(
    cell: NotebookNode, original: ReleasedCell, claims: dict[str, Any] | None, notes: list[str]
) -> NotebookNode:
    if claims is not None and (
        bool(claims["grade"]) != original.grade
        or bool(claims["solution"]) != original.solution
        or (original.grade and claims["points"] != original.points)
    ):
        notes.append(f"The settings of cell {original.name!r} had been changed: they are as released again.")
    if cell.cell_type != original.cell_type:
        notes.append(
            f"The type of cell {original.name!r} had been changed: it is {original.cell_type} again."
        )
    elif original.locked and not original.hides_tests and cell.source.strip() != original.source.strip():
        notes.append(
            f"The text of the locked cell {original.name!r} had been changed: it is as released again."
        )
    made = _cell(original.cell_type, original.source if original.locked else cell.source)
    if original.cell_type != "code" and not original.locked and "attachments" in cell:
        made["attachments"] = cell["attachments"]
    return _marked(made, original)


def _put_back(
    cells: list[NotebookNode], seen: set[str], released: ReleasedNotebook, notes: list[str]
) -> None:
    """Insert deleted graded and locked cells behind the released cell they followed.

    Plain answer cells stay away: their starter text could undo an answer that was moved elsewhere.
    """
    at = 0
    for original in released.cells:
        if original.name in seen:
            at = 1 + next(
                i
                for i, c in enumerate(cells)
                if c.metadata.get("nbgrader", {}).get("grade_id") == original.name
            )
        elif original.locked or original.grade or original.task:
            cells.insert(at, _restored(original))
            at += 1
            notes.append(f"Cell {original.name!r} had been deleted: it was put back.")


def _restored(original: ReleasedCell) -> NotebookNode:
    cell = _cell(original.cell_type, original.source)
    return _marked(cell, original)


def _marked(cell: NotebookNode, original: ReleasedCell) -> NotebookNode:
    """Give a cell its metadata: all of it is the release's."""
    cell.metadata["nbgrader"] = nbformat.from_dict(original.metadata())
    if original.last:
        cell.metadata["ictlabs"] = NotebookNode(last=True)
    return cell


def _cell(cell_type: str, source: str) -> NotebookNode:
    """A cell of nothing but its text. nbformat's own makers check each against a schema, which takes longer than all else."""
    made = NotebookNode(cell_type=cell_type, metadata=NotebookNode(), source=source)
    if cell_type == "code":
        made.update(execution_count=None, outputs=[])
    return made


def _notebook(cells: list[NotebookNode], released: ReleasedNotebook) -> NotebookNode:
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index}"  # the student's ids may repeat, which nbformat refuses
    metadata = {"kernelspec": dict(released.kernelspec)} if released.kernelspec else {}
    return NotebookNode(cells=cells, metadata=nbformat.from_dict(metadata), nbformat=4, nbformat_minor=5)


class _Held:
    """Answers nbgrader's questions to its gradebook from the release held in memory."""

    def __init__(self, released: ReleasedNotebook) -> None:
        self.released = released

    def find_source_cell(self, name: str, notebook: str, assignment: str) -> ReleasedCell:
        cell = self.released.cell(name)
        if cell is None:
            raise MissingEntry(name)
        return cell

    def find_graded_cell(self, name: str, notebook: str, assignment: str) -> _Graded:
        return _Graded(self.find_source_cell(name, notebook, assignment).points or 0.0)


@dataclass(frozen=True)
class _Graded:
    max_score: float


class _OverwriteCells(steps.OverwriteCells):
    """nbgrader's own step, without a database of its own."""

    def __init__(self, released: ReleasedNotebook) -> None:
        super().__init__()
        self.gradebook = _Held(released)
        self.notebook_id = self.assignment_id = released.name

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        for index, cell in enumerate(nb.cells):
            nb.cells[index], resources = self.preprocess_cell(cell, resources, index)
        return nb, resources


def _nbgrader_steps(nb: NotebookNode, released: ReleasedNotebook) -> NotebookNode:
    """Run nbgrader's step that gives locked cells their text and checksums back.

    Its others have nothing to do: there are no outputs, no id twice, the kernelspec and the cells' metadata are the
    release's own, which were checked when it was made.
    """
    made: NotebookNode = _OverwriteCells(released)(nb, {})[0]
    return made
