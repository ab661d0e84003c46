"""Turns graded notebooks into pages a student may read: everything a student made is escaped or cleaned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nbformat
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from nbformat import NotebookNode

from grader.archives import pack
from grader.clean import PICTURES, clean_html, markdown_html, picture
from grader.gradebook import SubmissionMarks, gradebook_of
from grader.marks import exercise_cells, released_exercises
from grader.models import Report, Submission
from grader.settings import Places
from grader.store import Store

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
HIDDEN = re.compile(r"^[^\n]*BEGIN HIDDEN TESTS.*?END HIDDEN TESTS[^\n]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class FeedbackResult:
    """released: whose feedback can be read now. waiting: who still has to be marked by a person.

    held: for whom the lab is not closed yet, where nothing is to be revealed before.
    """

    released: tuple[str, ...]
    waiting: tuple[str, ...]
    held: tuple[str, ...] = ()


def release_feedback(
    store: Store,
    places: Places,
    course: str,
    lab: str,
    *,
    by: str,
    students: Sequence[str] = (),
    unmarked_too: bool = False,
) -> FeedbackResult:
    """Make and release the feedback of every newest submission that is in the gradebook.

    Those a person still has to mark are left out, unless `unmarked_too`, and those who must not see it yet.
    """
    gradebook, release = gradebook_of(places, course), store.find_release(course, lab)
    if release.late_kind != "none":  # marks by hand since then change what can be taken off
        late = store.class_lateness(course, store.graded_work(course))
        with gradebook.writer():
            gradebook.set_penalties(lab, {name: cost.share for (of, name), cost in late.items() if of == lab})
    reports = {submission.id: report for submission, report in store.reports(course, lab)}
    cells = exercise_cells(store.blob(store.find_release(course, lab).sha256))
    released: list[str] = []
    waiting: list[str] = []
    newest = store.newest_submissions(course, lab)
    held = store.kept_waiting(course, lab, [each.username for each in newest])
    for submission in newest:
        report = reports.get(submission.id)
        if (students and submission.username not in students) or report is None or not report.in_gradebook_at:
            continue
        if submission.username in held:
            continue
        marks = gradebook.submission_marks(lab, submission.username)
        exercises = released_exercises(report.exercises, marks, cells)
        if marks.needs_manual and not unmarked_too:
            waiting.append(submission.username)
            continue
        store.release_feedback(
            submission.id,
            pages_of(store, submission, report, marks, release.reveal),
            by=by,
            points=marks.points,
            max_points=marks.max_points,
            late_penalty=marks.late_penalty,
            exercises=exercises
            if release.reveal != "marks"
            else [each | {"message": ""} for each in exercises],
        )
        released.append(submission.username)
    asked = {each.username for each in newest if not students or each.username in students}
    return FeedbackResult(tuple(released), tuple(waiting), tuple(sorted(held & asked)))


def pages_of(
    store: Store, submission: Submission, report: Report, marks: SubmissionMarks, reveal: str
) -> bytes:
    """A zip of <notebook>.html. The same marks and comments make the same bytes. reveal: see grader.schedule."""
    return pack(
        {
            f"{name}.html": notebook_page(store, name, submission, report, marks, reveal=reveal).encode()
            for name in report.notebooks
        }
    )


def notebook_page(
    store: Store,
    name: str,
    submission: Submission,
    report: Report,
    marks: SubmissionMarks,
    *,
    reveal: str = "messages",
) -> str:
    """The page of one of a report's notebooks, as feedback has it."""
    raw = store.blob(report.notebooks[name]).read_text(encoding="utf-8")
    return page(nbformat.reads(raw, as_version=4), name, submission, report, marks, reveal=reveal)


def page(
    notebook: NotebookNode,
    name: str,
    submission: Submission,
    report: Report,
    marks: SubmissionMarks,
    *,
    reveal: str = "messages",
) -> str:
    """One notebook's page. It has no script, loads nothing, and a policy forbids both."""
    cells = [_cell(cell, marks.cells.get(name, {}), reveal) for cell in notebook.cells]
    template = _templates().get_template("feedback.html")
    return template.render(
        name=name,
        submission=submission,
        report=report,
        marks=marks,
        cells=cells,
        messages=reveal != "marks",
        several=len(report.notebooks) > 1,
    )


def released_page(notebook: NotebookNode, name: str) -> str:
    """A released notebook as students see it, under the same rules: no script, nothing loaded."""
    cells = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        points = meta.get("points") if meta.get("grade") and not meta.get("solution") else None
        more = {"answer": bool(meta.get("solution")), "points": points}
        cells.append(_cell(cell, {}) | more)
    return _templates().get_template("released.html").render(name=name, cells=cells)


def _templates() -> Environment:
    return Environment(loader=PackageLoader("grader"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _cell(cell: NotebookNode, marks: Mapping[str, Any], reveal: str = "messages") -> dict[str, Any]:
    meta = cell.metadata.get("nbgrader", {})
    mark = marks.get(meta.get("grade_id"))
    hidden = bool(HIDDEN.search(cell.source)) or "BEGIN HIDDEN TESTS" in cell.source
    shown = HIDDEN.sub("", cell.source).strip("\n")
    if "HIDDEN TESTS" in shown:
        shown = ""
    return {
        "kind": cell.cell_type,
        "source": shown,
        "html": _cleaned(markdown_html(shown)) if cell.cell_type == "markdown" else None,
        "pictures": _attached(cell),
        "hidden": hidden,
        "outputs": []
        if hidden and reveal == "marks"
        else [_output(output, hidden) for output in cell.get("outputs", [])],
        "mark": mark,
    }


def _cleaned(html: str) -> Markup:
    return Markup(html)  # noqa: S704 (grader.clean made it)


def _output(output: NotebookNode, hidden: bool) -> dict[str, Any]:
    if output.output_type == "stream":
        return {"text": ANSI.sub("", output.text), "error": output.name == "stderr"}
    if output.output_type == "error":
        lines = [f"{output.ename}: {output.evalue}"] if hidden else output.traceback
        return {"text": ANSI.sub("", "\n".join(lines)), "error": True}
    data = output.get("data", {})
    for mime in PICTURES:
        if address := _address(mime, data.get(mime)):
            return {"picture": address}
    if isinstance(data.get("text/html"), str):
        return {"html": _cleaned(clean_html(data["text/html"]))}
    return {"text": ANSI.sub("", str(data.get("text/plain", "")))}


def _attached(cell: NotebookNode) -> list[str]:
    bundles = cell.get("attachments", {}).values()
    found = (_address(mime, bundle.get(mime)) for bundle in bundles for mime in PICTURES)
    return [address for address in found if address]


def _address(mime: str, data: object) -> str | None:
    safe = picture(data)
    return f"data:{mime};base64,{safe}" if safe else None
