"""The progress of a lab in its own notebook: run a check, take a hint, hand in; and what was done, noted beside it."""

from __future__ import annotations

import html
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = ".progress.jsonl"  # beside the notebook: hints taken and checks run; handed in with it
SESSION = "JPY_SESSION_NAME"  # JupyterLab tells a kernel whose it is
_HINT = re.compile(r"<details>\s*<summary>\s*Hint[^<]*</summary>(.*?)(?=<details>|</details>)", re.DOTALL)
_HEADING = re.compile(r"^## +(.+?)\s*$", re.MULTILINE)


class ProgressError(Exception):
    """The notebook cannot be found or read; the message says what to do."""


@dataclass
class Exercise:
    """One exercise of the notebook: its visible checks, its hints, and what it has earned here so far."""

    name: str
    title: str
    points: float = 0
    hidden_points: float = 0
    checks: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    taken: int = 0
    earned: float | None = None
    said: str = ""

    @property
    def state(self) -> str:
        """In words."""
        if self.earned is None:
            return "not checked yet"
        more = f"; {self.hidden_points:g} more when it is graded" if self.hidden_points else ""
        return f"{self.earned:g} of {self.points:g} points{more}"


def notebook_file() -> Path:
    """The notebook that this kernel belongs to. Raises ProgressError."""
    told = os.environ.get(SESSION, "")
    for file in (Path(told), Path.home() / told, Path(Path(told).name)):
        if told and file.suffix == ".ipynb" and file.is_file():
            return file.absolute()
    beside = sorted(Path.cwd().glob("*.ipynb"))
    if len(beside) == 1:
        return beside[0]
    raise ProgressError("It is not clear which notebook this is. Say so: progress('my-notebook.ipynb').")


def read(file: Path) -> list[Exercise]:
    """The exercises of a released notebook, in order. Raises ProgressError."""
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProgressError(f"{file.name} cannot be read as a notebook: {error}. Save it first.") from error
    found: dict[str, Exercise] = {}
    title, hints = "", list[str]()
    for cell in cells:
        source = "".join(cell.get("source", ""))
        meta = cell.get("metadata", {}).get("nbgrader", {})
        if cell.get("cell_type") == "markdown":
            if headings := _HEADING.findall(source):
                title = headings[-1]
            hints += [text.strip() for text in _HINT.findall(source)]
            continue
        name = cell.get("metadata", {}).get("ictlabs", {}).get("exercise", "")
        if meta.get("solution") and not meta.get("grade"):
            name = name or str(meta.get("grade_id", "")).removeprefix("answer-")
            exercise = found.setdefault(name, Exercise(name, title))
            exercise.title, exercise.hints, hints = title, hints, []
        elif meta.get("grade") and name:
            exercise = found.setdefault(name, Exercise(name, title))
            points = float(meta.get("points", 0))
            if any(line.strip() and not line.startswith("#") for line in source.splitlines()):
                exercise.checks.append(source)
                exercise.points += points
            else:  # the release says only that there is one
                exercise.hidden_points += points
    return [exercise for exercise in found.values() if exercise.checks or exercise.hidden_points]


class Progress:
    """A panel with a row for each exercise. Checks run in this kernel, as their own cells would."""

    def __init__(self, file: Path | str | None = None) -> None:
        """Read the notebook, and what was noted before."""
        self.file = Path(file).absolute() if file else notebook_file()
        self.exercises = {exercise.name: exercise for exercise in read(self.file)}
        for event in self._events():
            exercise = self.exercises.get(str(event.get("exercise")))
            if exercise is None:
                continue
            if event.get("event") == "hint":
                exercise.taken = max(exercise.taken, int(event.get("hint", 0)))
            elif event.get("event") == "check":
                exercise.earned = float(event.get("earned", 0))
        self._box: Any = None

    # --- what the buttons do ---

    def check(self, name: str) -> Exercise:
        """Run the visible checks of an exercise and note what they earned."""
        from IPython import get_ipython
        from IPython.utils.capture import capture_output

        exercise, shell = self._exercise(name), get_ipython()
        earned, said = 0.0, []
        for source in exercise.checks:
            with capture_output() as heard:
                done = shell.run_cell(source, store_history=False, silent=False)
            said.append(heard.stdout.strip())
            if done.success and not heard.stderr:
                earned += _number(heard.outputs)
            elif not done.success:
                said.append(
                    "This check needs cells above it: run the notebook from its top, then check again."
                )
        exercise.earned, exercise.said = earned, "\n".join(part for part in said if part)
        self._note(event="check", exercise=name, earned=earned, points=exercise.points)
        return exercise

    def hint(self, name: str) -> str:
        """The next hint of an exercise; taking it is noted and costs nothing."""
        exercise = self._exercise(name)
        if exercise.taken < len(exercise.hints):
            exercise.taken += 1
            self._note(event="hint", exercise=name, hint=exercise.taken)
        if not exercise.hints:
            return "There are no hints for this exercise."
        return exercise.hints[exercise.taken - 1]

    def submit(self) -> str:
        """Hand in the lab as it was saved last; returns a sentence with the receipt."""
        from ictlab.exchange.client import Service, ServiceError
        from ictlab.exchange.files import pack_folder

        folder = self.file.parent
        course, lab = folder.parent.name, folder.name
        saved = time.time() - self.file.stat().st_mtime
        try:
            told = Service.from_environment().submit(course, lab, pack_folder(folder))
        except ServiceError as error:
            return f"Not handed in: {error}"
        return (
            f"Handed in {lab} as it was saved {_ago(saved)} ago. Save again (Ctrl+S) and hand in again after a change. "
            f"Receipt: {told['receipt']}"
        )

    def _exercise(self, name: str) -> Exercise:
        if name not in self.exercises:
            raise ProgressError(f"There is no exercise {name!r}. There are: {', '.join(self.exercises)}.")
        return self.exercises[name]

    # --- what is noted ---

    def _note(self, **event: Any) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **event})
        with (self.file.parent / EVENTS).open("a", encoding="utf-8") as out:
            out.write(line + "\n")

    def _events(self) -> list[dict[str, Any]]:
        events = []
        try:
            lines = (self.file.parent / EVENTS).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # half a line, of a kernel that was ended
            if isinstance(event, dict):
                events.append(event)
        return events

    # --- what is shown ---

    def __repr__(self) -> str:
        return "\n".join(f"{exercise.title}: {exercise.state}" for exercise in self.exercises.values())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from ictlab.show.network import _widgets_run

        items = "".join(
            f"<li>{html.escape(exercise.title)}: {html.escape(exercise.state)}</li>"
            for exercise in self.exercises.values()
        )
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": f"<ul>{items}</ul>"}
        if _widgets_run():
            if self._box is None:
                self._build()
            view = "application/vnd.jupyter.widget-view+json"
            bundle |= {k: v for k, v in (self._box._repr_mimebundle_() or {}).items() if k == view}
        return bundle

    def _build(self) -> None:
        import ipywidgets

        self._states: dict[str, Any] = {}
        self._said = ipywidgets.HTML()
        rows: list[Any] = []
        for exercise in self.exercises.values():
            state = self._states[exercise.name] = ipywidgets.HTML(layout={"flex": "1 1 20em"})
            buttons = []
            for label, act, there in (
                ("Check", self._on_check, exercise.checks),
                ("Hint", self._on_hint, exercise.hints),
            ):
                if there:
                    tooltip = f"{label}: {exercise.title}"
                    button = ipywidgets.Button(description=label, tooltip=tooltip, layout={"width": "6em"})
                    button.on_click(lambda _button, act=act, name=exercise.name: act(name))
                    buttons.append(button)
            rows.append(ipywidgets.HBox([state, *buttons], layout={"flex_flow": "row wrap"}))
            self._redraw(exercise)
        submit = ipywidgets.Button(description="Submit", button_style="primary")
        submit.on_click(lambda _button: self._tell("Submit", self.submit()))
        self._box = ipywidgets.VBox([*rows, submit, self._said])

    def _on_check(self, name: str) -> None:
        exercise = self.check(name)
        self._redraw(exercise)
        self._tell(exercise.title, exercise.said or "The check said nothing.")

    def _on_hint(self, name: str) -> None:
        text, exercise = self.hint(name), self.exercises[name]
        self._redraw(exercise)
        self._tell(f"{exercise.title}, hint {exercise.taken} of {len(exercise.hints)}", text)

    def _redraw(self, exercise: Exercise) -> None:
        done = exercise.earned is not None and exercise.earned >= exercise.points
        mark = "✓" if done else "…" if exercise.earned is None else "✗"
        hints = f", hints taken: {exercise.taken}" if exercise.taken else ""
        self._states[
            exercise.name
        ].value = f"<span>{mark} <strong>{html.escape(exercise.title)}</strong>: {html.escape(exercise.state + hints)}</span>"

    def _tell(self, title: str, text: str) -> None:
        self._said.value = (
            f'<div role="status" aria-live="polite"><strong>{html.escape(title)}</strong>'
            f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre></div>'
        )


def _number(outputs: Sequence[Any]) -> float:
    """The value of a cell's last line, as it was shown."""
    shown = outputs[-1].data.get("text/plain", "") if outputs else ""
    try:
        return float(shown)
    except ValueError:
        return 0.0


def progress(file: Path | str | None = None) -> Progress:
    """The panel of the notebook that this kernel belongs to, or of `file`. Put it last in a cell."""
    return Progress(file)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
