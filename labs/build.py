"""A lab folder becomes notebooks: the source that nbgrader's tools open, the release, the answered ones.

The format of `lab.md` (a MyST notebook, read by jupytext as `md:myst`)
----------------------------------------------------------------------
The first lines are always these; the builder refuses another kernel::

    ---
    kernelspec:
      name: python3
      display_name: Python 3
      language: python
    ---

Then text. The first line of text is `# <title of lab.toml>`; an exercise starts with
`## <its title in lab.toml>`. Headings go down one level at a time. A line `+++` splits two text cells. Code
is a `{code-cell}` block; what kind of cell it is stands on its first lines as `:key: value`, then one empty
line, then the code. A cell without a key is an ordinary cell that the student may change.

=====================  ====================================================================================
`:setup: ID`           Given code: locked; put back when graded if the student changed it. ID is unique.
`:answer: EXERCISE`    The one cell a student writes in. The solution stands between the lines
                       `### BEGIN SOLUTION` and `### END SOLUTION`, indented like the code around; the release
                       has `# YOUR ANSWER HERE` in its place. Lines outside the marks are starter code,
                       and stay.
                       The release must still be valid: give a function a docstring, so that its body is
                       not empty. `%%bash` and other cell magics work (first line of the code).
`:check: EXERCISE`     A check: locked. Without `:hidden:` the student sees it and may run it.
`:hidden: true`        With `:check:`: only the grader has this cell's code.
`:hidden: last`        The same, and it runs when every other cell has run, with the names as they were at its place: no
                       answer can look at it. For checks of values and functions; not for what later cells may change
                       in the system (files, services, networks).
`:points: N`           With `:check:`: the points of this cell. Leave it out when the exercise has one
                       check cell; with more, each has one (0 is allowed) and they add up to the exercise's
                       points in lab.toml.
=====================  ====================================================================================

A written answer, marked by hand, is a text cell after a line `+++ {"written": "EXERCISE"}`, ended by `+++`;
its model answer stands between the same marks. An exercise has exactly one answer cell or one written cell;
an answer has one check cell or more, all after it. Part of a visible check may be hidden too, between the
lines `### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS`.

Example::

    ```{code-cell}
    :answer: hosts

    def hosts(prefix_length):
        \"\"\"Return how many addresses hosts can use.\"\"\"
        ### BEGIN SOLUTION
        return 2 ** (32 - prefix_length) - 2
        ### END SOLUTION
    ```

    ```{code-cell}
    :check: hosts
    :points: 1

    ...
    ```

Marks of a check cell are nbgrader's: an error, or anything on stderr, earns nothing; a number as the value
of its last line (from 0 to the cell's points) is partial credit; anything else, also no value at all, earns
every point. So end every check cell with the number it earns. A missing answer (a name that does not exist,
`None`, a file that is not there) earns 0 with a sentence that says so, never a bare NameError:
`ictlab.check` does that.

Hints are text above the answer cell, two or three for each exercise, one inside the other so that they open
one at a time; empty lines as here::

    <details><summary>Hint 1</summary>

    Text.

    <details><summary>Hint 2</summary>

    Text.

    </details>
    </details>

`data/` is copied beside the notebook (its content, not the folder): `data/plan.csv` is read as `plan.csv`.
Names `*.ipynb` and the like of the lab itself are refused. Students have all of it, so nothing secret
stands there.

An attempt, `attempts/<name>.py`, is a plausible wrong or partial answer::

    # attempt: forgets that two addresses of a subnet are not for hosts
    # earns: hosts=1 split=4
    # rest: solution
    # answer: hosts
    def hosts(prefix_length):
        return 2 ** (32 - prefix_length)

`# attempt:` and `# earns:` come first. Each `# answer: EXERCISE` line starts a block that replaces the
whole answer cell (its first line may be `%%bash`). `# rest:` says what stands in the cells without a block:
`untouched` (the release as it is; the default) or `solution`. `# earns:` gives the exact marks of
exercises; an exercise that it does not name earns 0 if its cell is untouched, and every point if it is the
solution. An exercise with a block must be named. Written exercises take no part.

What nbgrader sees: kernelspec `python3`; grade ids `EXERCISE` (answer, written), `check-EXERCISE`,
`check-EXERCISE-2`, …, `check-EXERCISE-hidden`, `check-EXERCISE-hidden-2`, …, `setup-ID`. A mark of an
exercise is the sum over its check cells.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labs.model import Attempt, Lab, LabError, assignment_notebooks
from labs.myst import SOLUTION_MARK, read_myst

# What a student sees in place of a solution. A comment fits Python and shell alike; nbgrader's default
# (`raise NotImplementedError()`) is a syntax error in a %%bash cell. A course's nbgrader_config.py sets the
# same for nbgrader's own commands.
CODE_STUB = {"python": "# YOUR ANSWER HERE"}


def source_notebook(lab: Lab) -> NotebookNode:
    """Build the one notebook with solutions and hidden checks, as nbgrader's own tools open it."""
    notebooks = source_notebooks(lab)
    if len(notebooks) != 1:
        raise LabError(
            f"{lab.folder}: has {len(notebooks)} notebooks; this needs exactly one. Split the assignment."
        )
    return next(iter(notebooks.values()))


def source_notebooks(lab: Lab) -> dict[str, NotebookNode]:
    """Build every source notebook by its name without `.ipynb`. A lab of ours has one, named as the lab."""
    if lab.format == "nbgrader":
        files = assignment_notebooks(lab.folder)
        return {file.stem: nbformat.read(file, as_version=4) for file in files}
    return {lab.name: read_myst(lab)}


def release_notebook(lab: Lab) -> NotebookNode:
    """Build the notebook that students get: nbgrader's own steps take solutions and hidden checks out."""
    return released(source_notebook(lab))


def release_notebooks(lab: Lab) -> dict[str, NotebookNode]:
    """Build every released notebook by its name, as `source_notebooks`."""
    return {name: released(source) for name, source in source_notebooks(lab).items()}


def solved_notebook(lab: Lab) -> NotebookNode:
    """Build the release with the reference solutions filled in."""
    return _filled(release_notebook(lab), solutions(lab))


def solved_notebooks(lab: Lab) -> dict[str, NotebookNode]:
    """Build every released notebook with its reference solutions filled in."""
    sources = source_notebooks(lab)
    return {name: _filled(released(source), _solutions_of(source)) for name, source in sources.items()}


def attempt_notebook(lab: Lab, attempt: Attempt) -> NotebookNode:
    """Build the release with the attempt's answers filled in."""
    rest = solutions(lab) if attempt.rest == "solution" else {}
    return _filled(release_notebook(lab), {**rest, **attempt.answers})


def blank_notebook(lab: Lab) -> NotebookNode:
    """Build the release with every answer cell emptied, starter code and all."""
    return _filled(release_notebook(lab), dict.fromkeys(solutions(lab), ""))


def solutions(lab: Lab) -> dict[str, str]:
    """The reference solutions: grade id of the answer cell -> its content without nbgrader's marks."""
    return _solutions_of(source_notebook(lab))


def _solutions_of(source: NotebookNode) -> dict[str, str]:
    return {
        cell.metadata["nbgrader"]["grade_id"]: _without_marks(cell.source)
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def exercises_by_cell(lab: Lab) -> dict[str, str]:
    """The exercise that each grade cell's points count for: grade id -> exercise id."""
    return {
        meta["grade_id"]: cell.metadata.get("ictlabs", {}).get("exercise", meta["grade_id"])
        for notebook in source_notebooks(lab).values()
        for cell in notebook.cells
        if (meta := cell.metadata.get("nbgrader", {})).get("grade")
    }


def write_source(lab: Lab, folder: Path) -> None:
    """Write the source notebooks and the data beside them into `folder`, nbgrader's `source/<assignment>`.

    `folder` is made if it is missing; files of the same names are replaced. The same lab gives the same
    bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, notebook in source_notebooks(lab).items():
        (folder / f"{name}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    for relative, file in data_files(lab).items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)


def source_files(lab: Lab) -> dict[str, bytes]:
    """Everything a release is made from, with solutions and hidden checks: path -> bytes. The same lab, the same bytes."""
    files = {path: file.read_bytes() for path, file in data_files(lab).items()}
    notebooks = source_notebooks(lab).items()
    return files | {f"{name}.ipynb": f"{nbformat.writes(nb)}\n".encode() for name, nb in notebooks}


def data_files(lab: Lab) -> dict[str, Path]:
    """The files that stand beside the notebook: path in the release -> file of the lab."""
    root = lab.data if lab.format == "myst" else lab.folder
    files: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            continue
        if file.is_symlink():
            raise LabError(f"{file}: a link. The release is a plain copy: put the file itself there.")
        if not file.is_file() or (lab.format == "nbgrader" and relative.suffix == ".ipynb"):
            continue
        if relative.suffix == ".ipynb":
            raise LabError(
                f"{file}: a notebook among the data would be graded too. Keep another kind of file."
            )
        files[relative.as_posix()] = file
    return files


# ---------------------------------------------------------------- source -> release and answers


def clear_solutions(source: NotebookNode) -> Any:
    """Make the step that takes solutions out of `source`: with our stub in a lab of ours, else nbgrader's own.

    In a notebook of nbgrader's a function may have nothing but its solution, where a comment is not enough.
    """
    from nbgrader.preprocessors import ClearSolutions

    ours = any("ictlabs" in cell.metadata for cell in source.cells)
    return ClearSolutions(code_stub=CODE_STUB) if ours else ClearSolutions()


def released(source: NotebookNode) -> NotebookNode:
    """Take solutions and hidden checks out of a source notebook, as nbgrader's GenerateAssignment does."""
    from nbgrader import preprocessors as steps  # takes half a second: `ict labs list` does without

    notebook: NotebookNode = _copy(source)
    resources: dict[str, Any] = {}
    before = (
        steps.LockCells(),
        clear_solutions(source),
        steps.ClearOutput(),
        steps.CheckCellMetadata(),
        steps.ComputeChecksums(),
    )
    after = (
        steps.ClearHiddenTests(),
        steps.ClearMarkScheme(),
        steps.ComputeChecksums(),
        steps.CheckCellMetadata(),
    )
    for step in (*before, *after):
        notebook, resources = step.preprocess(notebook, resources)
    return notebook


def _filled(release: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    for cell in release.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("solution") and meta["grade_id"] in answers:
            cell.source = answers[meta["grade_id"]]
    return release


def _without_marks(source: str) -> str:
    return "\n".join(line for line in source.split("\n") if not SOLUTION_MARK.match(line))


def _copy(notebook: NotebookNode) -> Any:
    return nbformat.reads(nbformat.writes(notebook), as_version=4)
