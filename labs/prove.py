"""What every lab must satisfy before anyone sees it; how a notebook is graded is passed in.

A lab of ours gets every proof. An nbgrader assignment folder has no attempts and its text is not ours: it is
built, its solution earns every point, its release none, and nothing leaks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

import nbformat
from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict

from labs import build, leaks, prose
from labs.model import Attempt, Lab, LabError

Marks = Mapping[str, float]  # exercise -> points earned; an exercise that is not there earned nothing
Said = Mapping[str, str]  # exercise -> what its checks said, as a student reads it
# gets what is handed in: notebooks by name; and the seed of the student's own values, "" for a preview's
Grade = Callable[[Lab, Mapping[str, NotebookNode], str], tuple[Marks, Said]]
Check = Callable[[Lab], str]  # says what was shown; raises LabError

ATTEMPTS = 4  # a lab has at least so many
OTHER_STUDENT = "somebody else"  # the seed of values that are not a preview's
MOST_LINES = 20  # of what the checks of an exercise said
GRADING_LIMIT_S = 240.0  # for one notebook with an answer to everything, kernel start included


class Proof(BaseModel):
    """One thing shown, or not, about a lab. message: what was shown; if not, what is wrong and where."""

    model_config = ConfigDict(frozen=True)

    lab: str
    name: str
    passed: bool
    message: str
    seconds: float


def prove(lab: Lab, grade: Grade) -> list[Proof]:
    """Try every proof on `lab`, marks being given by `grade` in the lab's environment."""
    return list(proofs([lab], grade))


def proofs(labs: Iterable[Lab], grade: Grade | None, *, jobs: int = 1) -> Iterator[Proof]:
    """Try the proofs on every lab and give each as it is done, `jobs` of them at a time.

    Without `grade` only those that run nothing. `grade` is called from threads; what it raises ends the iterator
    when the proofs under way are done.
    """
    with ThreadPoolExecutor(jobs, thread_name_prefix="proof") as pool:
        running = []
        for lab in labs:
            yield (built := _tried(lab, "builds", _builds))
            if not built.passed:
                continue
            for name, check in _static(lab):
                yield _tried(lab, name, check)
            if grade:
                running += [pool.submit(_tried, lab, name, check) for name, check in _graded(lab, grade)]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _static(lab: Lab) -> Iterator[tuple[str, Check]]:
    """What can be shown of a lab that builds without running anything."""
    yield "leaks nothing", _leaks_nothing
    if lab.format == "myst":
        yield "text", _text
        yield "attempts declared", _attempts_declared


def _graded(lab: Lab, grade: Grade) -> Iterator[tuple[str, Check]]:
    """What is shown by grading; the slow ones, where every check waits until its time is up, come first."""
    ours = lab.format == "myst"
    if ours:
        yield "empty answers earn nothing", partial(_empty_earns_nothing, grade=grade)
    yield "release earns nothing", partial(_release_earns_nothing, grade=grade)
    yield "solution earns all", partial(_solution_earns_all, grade=grade)
    if not ours:
        return
    yield "earns all with other values", partial(_solution_earns_all, grade=grade, variant=OTHER_STUDENT)
    try:
        attempts = lab.attempts()
    except LabError:
        return  # "attempts declared" said so
    for attempt in attempts:
        yield f"attempt {attempt.name}", partial(_attempt_earns, attempt=attempt, grade=grade)


def _tried(lab: Lab, name: str, check: Check) -> Proof:
    """Run one proof: what it returns was shown; a LabError says what is wrong."""
    start = time.monotonic()
    try:
        message, passed = check(lab), True
    except LabError as error:
        message, passed = str(error), False
    return Proof(
        lab=lab.name, name=name, passed=passed, message=message, seconds=round(time.monotonic() - start, 2)
    )


# ---------------------------------------------------------------- without running anything


def _builds(lab: Lab) -> str:
    once, again = build.source_notebooks(lab), build.source_notebooks(lab)
    if {name: nbformat.writes(n) for name, n in once.items()} != {
        n: nbformat.writes(b) for n, b in again.items()
    }:
        raise LabError(f"{lab.folder}: built twice, it differs. Something in it is random.")
    for source in once.values():
        try:
            release = build.released(source)
        except Exception as error:  # nbgrader raises RuntimeError and its own
            raise LabError(f"{lab.folder}: nbgrader cannot make a release: {error}") from error
        if lab.format == "myst":
            leaks.release_is_valid(lab, release)
    build.data_files(lab)
    return f"{len(lab.exercise)} exercises, {lab.max_points:g} points"


def _leaks_nothing(lab: Lab) -> str:
    count = 0
    for source in build.source_notebooks(lab).values():
        found = leaks.leaks(source, build.released(source), _texts_beside(lab))
        if found:
            raise LabError("\n".join(f"{lab.folder}: {leak}" for leak in found))
        count += leaks.secret_pieces(source)
    return f"{count} pieces of solutions and hidden checks, none in the release"


def _texts_beside(lab: Lab) -> dict[str, str]:
    """The data files that students get, as text."""
    return {
        name: file.read_text(encoding="utf-8", errors="replace")
        for name, file in build.data_files(lab).items()
    }


def _text(lab: Lab) -> str:
    if problems := prose.problems(lab, build.source_notebook(lab)):
        raise LabError("\n".join(f"{lab.text}: {problem}" for problem in problems))
    return "headings, pictures, hints and sentences are in order"


def _attempts_declared(lab: Lab) -> str:
    attempts = lab.attempts()
    if len(attempts) < ATTEMPTS:
        raise LabError(f"{lab.folder / 'attempts'}: {len(attempts)} attempts; a lab has at least {ATTEMPTS}.")
    return f"{len(attempts)} attempts"


# ---------------------------------------------------------------- marks


def _automatic(lab: Lab) -> dict[str, float]:
    """The points that no instructor has to give: exercise -> points of its check cells."""
    points: dict[str, float] = {}
    exercises = build.exercises_by_cell(lab)
    for source in build.source_notebooks(lab).values():
        for cell in source.cells:
            meta = cell.metadata.get("nbgrader", {})
            if meta.get("grade") and not meta.get("solution") and cell.cell_type == "code":
                exercise = exercises[meta["grade_id"]]
                points[exercise] = points.get(exercise, 0) + float(meta["points"])
    return points


def _compare(
    lab: Lab, notebooks: Mapping[str, NotebookNode], expected: Marks, grade: Grade, variant: str = ""
) -> str:
    """Grade `notebooks` and insist on exactly the expected marks, in time."""
    start = time.monotonic()
    marks, said = grade(lab, notebooks, variant)
    seconds = time.monotonic() - start
    wrong = [
        f"{exercise} earned {marks.get(exercise, 0):g}, must earn {points:g}{_quoted(said.get(exercise, ''))}"
        for exercise, points in expected.items()
        if abs(marks.get(exercise, 0) - points) > 1e-6
    ]
    if wrong:
        raise LabError(f"{lab.folder}: {'; '.join(wrong)}")
    if seconds > GRADING_LIMIT_S:
        raise LabError(f"{lab.folder}: took {seconds:.0f} s to grade, {GRADING_LIMIT_S:.0f} s is the limit.")
    return f"{sum(expected.values()):g} of {sum(_automatic(lab).values()):g} points"


def _quoted(said: str) -> str:
    """What the checks said, below the sentence about their marks: an author sees which one it was."""
    return "".join(f"\n    {line}" for line in said.strip().splitlines()[:MOST_LINES])


def _solution_earns_all(lab: Lab, grade: Grade, variant: str = "") -> str:
    return _compare(lab, build.solved_notebooks(lab), _automatic(lab), grade, variant)


def _release_earns_nothing(lab: Lab, grade: Grade) -> str:
    return _compare(lab, build.release_notebooks(lab), dict.fromkeys(_automatic(lab), 0.0), grade)


def _empty_earns_nothing(lab: Lab, grade: Grade) -> str:
    """Starter code gone as well: the names that checks look for do not even exist."""
    return _compare(lab, {lab.name: build.blank_notebook(lab)}, dict.fromkeys(_automatic(lab), 0.0), grade)


def _attempt_earns(lab: Lab, attempt: Attempt, grade: Grade) -> str:
    rest = _automatic(lab) if attempt.rest == "solution" else dict.fromkeys(_automatic(lab), 0.0)
    handed_in = {lab.name: build.attempt_notebook(lab, attempt)}
    try:
        return _compare(lab, handed_in, {**rest, **attempt.earns}, grade)
    except LabError as error:
        raise LabError(f"attempts/{attempt.name}.py ({attempt.about}): {error}") from error
