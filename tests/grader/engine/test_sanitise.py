"""A sent notebook is read in bounds and mended from the release."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.engine.released import ReleasedCell, ReleasedNotebook
from grader.engine.sanitise import Unreadable, sanitise, untouched
from grader.settings import SandboxSettings


def _cell(name: str, **given: Any) -> ReleasedCell:
    known: dict[str, Any] = {
        "name": name,
        "cell_type": "code",
        "source": f"# {name}",
        "checksum": None,
        "grade": False,
        "solution": False,
        "task": False,
        "locked": False,
        "points": None,
        "exercise": name,
    }
    return ReleasedCell(**(known | given))


@pytest.fixture(scope="module")
def released() -> ReleasedNotebook:
    from nbgrader.utils import compute_checksum

    plain = (
        _cell("given", locked=True),
        _cell("answer", solution=True),
        _cell("check", grade=True, locked=True, points=2.0),
        _cell("written", cell_type="markdown", grade=True, solution=True, points=1.0),
    )
    cells = []
    for cell in plain:
        node = nbformat.v4.new_code_cell(cell.source)
        node.cell_type = cell.cell_type
        node.metadata["nbgrader"] = nbformat.from_dict(cell.metadata())
        cells.append(ReleasedCell(**(vars(cell) | {"checksum": compute_checksum(node)})))
    return ReleasedNotebook("lab", tuple(cells), {"name": "python3", "display_name": "Python 3"})


@pytest.fixture(scope="module")
def sent(released: ReleasedNotebook) -> str:
    return nbformat.writes(untouched(released))


WALLS = SandboxSettings(max_notebook_mb=1, max_cells=50)


def _meta(result: Any, name: str) -> Any:
    return next(c for c in result.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "JSON cannot be read"),
        (b"{nope", "JSON cannot be read"),
        (b"\xff\xfe\x00", "JSON cannot be read"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"nbformat": 4, "cells": ' + b'[{"a":' * 5000, "nested too deeply|JSON cannot be read"),
        (b"[]", "not a notebook of format 4"),
        (b'"text"', "not a notebook of format 4"),
        (b'{"nbformat": 3, "worksheets": []}', "not a notebook of format 4"),
        (b'{"nbformat": 4}', "not a notebook of format 4"),
        (b'{"nbformat": 4, "cells": {}}', "not a notebook of format 4"),
        (b'{"nbformat": 4, "cells": [' + b",".join([b"{}"] * 51) + b"]}", "51 cells; at most 50"),
        (b'{"nbformat": 4, "x": 1' + b"0" * 5000 + b"}", "JSON cannot be read"),
        (b" " * 1_000_001, "at most 1 MB"),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_sentence(
    released: ReleasedNotebook, raw: bytes, says: str
) -> None:
    with pytest.raises(Unreadable, match=says):
        sanitise(raw, released, WALLS)


def test_an_honest_notebook_comes_through_unchanged(released: ReleasedNotebook, sent: str) -> None:
    result = sanitise(sent.encode(), released, WALLS)
    assert result.notes == ()
    assert [c.source for c in result.notebook.cells] == [c.source for c in released.cells]


def test_locked_text_points_and_flags_come_from_the_release(released: ReleasedNotebook, sent: str) -> None:
    notebook = json.loads(sent)
    for cell in notebook["cells"]:
        cell["source"] = "changed"
        cell["metadata"]["tags"] = ["skip-execution"]
        cell["metadata"]["nbgrader"] |= {
            "grade": False, "solution": False, "locked": False, "points": 99, "schema_version": 7,
            "cell_type": "raw", "checksum": "x", "extra": {"deep": [1]},
        }  # fmt: skip
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    by_name = {c.metadata.nbgrader.grade_id: c for c in result.notebook.cells}
    assert {n: c.source for n, c in by_name.items()} == {
        "given": "# given", "answer": "changed", "check": "# check", "written": "changed",
    }  # fmt: skip
    for original in released.cells:
        assert dict(by_name[original.name].metadata) == {"nbgrader": original.metadata()}
    assert any("settings of cell 'check' had been changed" in note for note in result.notes)
    assert any("locked cell 'given' had been changed" in note for note in result.notes)


def test_a_changed_type_is_changed_back(released: ReleasedNotebook, sent: str) -> None:
    notebook = json.loads(sent)
    for cell in notebook["cells"]:
        cell["cell_type"] = "raw"
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    assert [c.cell_type for c in result.notebook.cells] == ["code", "code", "code", "markdown"]
    assert "The type of cell 'check' had been changed: it is code again." in result.notes


def test_deleted_cells_are_put_back_where_they_were_but_plain_answers_are_not(
    released: ReleasedNotebook, sent: str
) -> None:
    notebook = json.loads(sent)
    notebook["cells"] = [
        c for c in notebook["cells"] if c["metadata"]["nbgrader"]["grade_id"] in ("given", "written")
    ]
    notebook["cells"].insert(1, {"cell_type": "code", "source": "mine()", "metadata": {}, "outputs": []})
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    assert [c.source for c in result.notebook.cells] == ["# given", "# check", "mine()", "# written"]
    assert result.notes == ("Cell 'check' had been deleted: it was put back.",)


def test_with_every_cell_deleted_the_checks_are_still_there(released: ReleasedNotebook) -> None:
    result = sanitise(b'{"nbformat": 4, "cells": []}', released, WALLS)
    names = [c.metadata.nbgrader.grade_id for c in result.notebook.cells]
    assert names == ["given", "check", "written"]


def test_of_a_cell_that_is_there_twice_the_first_counts(released: ReleasedNotebook, sent: str) -> None:
    notebook = json.loads(sent)
    copy = json.loads(json.dumps(notebook["cells"][1])) | {"source": "second"}
    notebook["cells"].append(copy)
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    assert _meta(result, "answer").source == "# answer"
    assert "nbgrader" not in result.notebook.cells[-1].metadata
    assert result.notes == ("Cell 'answer' was there more than once: the first one counts.",)


def test_text_that_cannot_be_stored_is_made_storable(released: ReleasedNotebook, sent: str) -> None:
    notebook = json.loads(sent)
    notebook["cells"][1]["source"] = "x = '\ud800\x00'"
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    assert nbformat.writes(result.notebook).encode("utf-8")
    assert _meta(result, "answer").source == "x = '?'"


def test_pasted_pictures_stay_and_other_attachments_go(released: ReleasedNotebook, sent: str) -> None:
    notebook = json.loads(sent)
    notebook["cells"][3]["attachments"] = {
        "a.png": {"image/png": "QUJD", "text/html": "<script>"}, "b": {"image/svg+xml": "<svg/>"}, "c": 3,
    }  # fmt: skip
    result = sanitise(json.dumps(notebook).encode(), released, WALLS)
    assert _meta(result, "written").attachments == {"a.png": {"image/png": "QUJD"}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CELL = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "x"]) | JSON,
        "source": st.text(max_size=20) | JSON,
        "attachments": JSON,
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "tags": JSON,
                "nbgrader": st.fixed_dictionaries(
                    {},
                    optional={
                        "grade_id": st.sampled_from(["given", "answer", "check", "written", ""]) | JSON,
                        "schema_version": JSON,
                        "grade": JSON,
                        "points": JSON,
                    },
                )
                | JSON,
            },
        )
        | JSON,
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELL | JSON, max_size=8))
def test_whatever_is_sent_ends_as_the_released_cells_or_is_refused(
    released: ReleasedNotebook, cells: list[Any]
) -> None:
    """Property: every locked and graded cell is there once, as released, and the notebook can be stored."""
    raw = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()
    result = sanitise(raw, released, WALLS)
    nbformat.validate(result.notebook)
    nbformat.writes(result.notebook).encode("utf-8")
    named = [c for c in result.notebook.cells if "nbgrader" in c.metadata]
    names = [c.metadata.nbgrader.grade_id for c in named]
    assert len(names) == len(set(names))
    assert {"given", "check", "written"} <= set(names)
    for cell in named:
        original = released.cell(cell.metadata.nbgrader.grade_id)
        assert original is not None
        assert cell.metadata.nbgrader == original.metadata()
        assert not original.locked or cell.source == original.source
