"""What a lab is: lab.toml and the attempts as closed, frozen models; errors name the file and the key."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

LAB_NAME = re.compile(r"^[a-z][a-z0-9-]{0,63}$")
# nbgrader's own rule for assignments is looser; these are the names its exchange allows
ASSIGNMENT_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+ -]{0,63}$")

NAMESPACES = frozenset({"netns", "userns"})  # in a lab's `needs`: networks, or whole containers, of its own

Track = Literal["network", "linux", "security", "database", "cloud", "ai", "wireless", "iot", "programming"]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


# an nbgrader folder cannot say these and gets defaults; a lab.toml must
_REQUIRED = frozenset({"title", "track", "level", "minutes", "environment"})


class LabError(Exception):
    """A lab cannot be used; the message names the file, what is wrong and what to do."""


class Closed(BaseModel):
    """Frozen, and an unknown key is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Exercise(Closed):
    """One thing to do: an answer cell, its checks, its points."""

    id: Id
    title: Words
    points: float = Field(gt=0, le=1000)
    outcomes: tuple[Id, ...] = ()


class Attempt(Closed):
    """A plausible wrong or partial answer, and the marks it must earn.

    answers: exercise -> the whole content of its answer cell.
    earns: exercise -> points, as declared.
    rest: what stands in the cells that have no answer here.
    """

    name: Id
    about: Words
    earns: dict[str, float]
    rest: Literal["untouched", "solution"] = "untouched"
    answers: dict[str, str]


class Lab(Closed):
    """One lab folder, read. `Lab.load` is the way to make one."""

    name: str
    folder: Path
    format: Literal["myst", "nbgrader"]
    title: Words
    track: Track = "programming"
    level: int = Field(default=1, ge=1, le=3)
    minutes: int = Field(default=60, gt=0, le=600)
    environment: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,29}$")] = "base"
    needs: tuple[Id, ...] = ()
    preload: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")], ...] = ()
    fork: bool = True
    cell_seconds: int = Field(default=0, ge=0, le=600)
    memory_mb: int = Field(default=0, ge=0, le=65536)
    cpus: float = Field(default=0, ge=0, le=64)
    requires: tuple[Annotated[str, StringConstraints(pattern=LAB_NAME.pattern)], ...] = ()
    objectives: tuple[Words, ...] = ()
    outcomes: tuple[Id, ...] = ()
    maps_to: tuple[Words, ...] = ()
    exercise: tuple[Exercise, ...] = Field(min_length=1)

    @field_validator("exercise")
    @classmethod
    def _ids_once(cls, exercises: tuple[Exercise, ...], info: ValidationInfo) -> tuple[Exercise, ...]:
        ids = [exercise.id for exercise in exercises]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"id used twice: {', '.join(twice)}")
        # a grade id is check-EXERCISE[-hidden][-NUMBER]: the exercise must be readable from it
        unclear = [i for i in ids if re.search(r"^(check|setup|written)-|-hidden$|-\d+$", i)]
        if unclear and info.data.get("format") == "myst":
            raise ValueError(f"id may not start with check-, or end with -hidden or -1: {', '.join(unclear)}")
        return exercises

    @property
    def exercises(self) -> Mapping[str, Exercise]:
        """The exercises by id, in reading order."""
        return MappingProxyType({exercise.id: exercise for exercise in self.exercise})

    @property
    def nested(self) -> bool:
        """Whether it makes namespaces of its own, so that walls around it must allow that."""
        return not NAMESPACES.isdisjoint(self.needs)

    @property
    def max_points(self) -> float:
        """Points of the whole lab."""
        return sum(exercise.points for exercise in self.exercise)

    @property
    def text(self) -> Path:
        """The file with text, solutions and checks."""
        return self.folder / "lab.md"

    def first_paragraph(self) -> str:
        """Who needs the lab and why, as its text begins, without markup; "" for a folder of nbgrader's."""
        if not self.text.is_file():
            return ""
        after_title = re.split(
            r"^# .*\n", self.text.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE
        )
        paragraph = after_title[-1].strip().split("\n\n")[0]
        return " ".join(re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", paragraph).split())

    @property
    def data(self) -> Path:
        """The folder whose content stands beside the notebook; may be missing."""
        return self.folder / "data"

    @classmethod
    def load(cls, folder: Path) -> Lab:
        """Read a lab folder: one with a lab.toml, or an ordinary nbgrader assignment with notebooks.

        Raises LabError that names the file and the key.
        """
        folder = folder.resolve()
        if not (folder / "lab.toml").is_file():
            return _load_assignment(folder)
        if not LAB_NAME.match(folder.name):
            raise LabError(
                f"{folder}: a lab's folder is named with small letters, digits and hyphens, "
                "at most 64, such as net-subnetting. Rename it."
            )
        lab = _from_table(cls, folder / "lab.toml", name=folder.name, folder=folder, format="myst")
        if not lab.text.is_file():
            raise LabError(
                f"{lab.text}: no such file. A lab has its text and exercises there. See docs/lab-author.md."
            )
        return lab

    def attempts(self) -> tuple[Attempt, ...]:
        """Read attempts/*.py, by name. Raises LabError that names the file and the line."""
        return tuple(_load_attempt(self, file) for file in sorted((self.folder / "attempts").glob("*.py")))


def _from_table(model: type[Lab], file: Path, **known: Any) -> Lab:
    """Check a TOML file against `model`; `known` are fields that do not stand in the file."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError(f"{file}: not valid TOML: {error}. Mend that line.") from error
    for key in known:
        if key in table:
            raise LabError(f"{file}: {key}: not a key of the file. Remove it; it follows from the folder.")
    for key in _REQUIRED - table.keys():
        raise LabError(f"{file}: {key}: field required. docs/lab-author.md explains every key.")
    try:
        return model.model_validate({**table, **known})
    except ValidationError as error:
        lines = [f"{file}: {_key(e['loc'])}: {e['msg']}." for e in error.errors()]
        raise LabError("\n".join(lines) + "\ndocs/lab-author.md explains every key.") from error


def _key(location: tuple[int | str, ...]) -> str:
    """Write a place in the file as an author counts: exercise[1] is the first."""
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


# ---------------------------------------------------------------- attempts

_HEADER = re.compile(r"^#\s*(attempt|earns|rest|answer):\s*(.*?)\s*$")


def _load_attempt(lab: Lab, file: Path) -> Attempt:
    head: dict[str, str] = {}
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match = _HEADER.match(line)
        if match is None:
            if current is not None:
                current.append(line)
            elif line.strip() and not line.startswith("#"):
                raise LabError(
                    f"{file}:{number}: code before the first `# answer: EXERCISE` line. Put it below one."
                )
            continue
        key, value = match.groups()
        if key == "answer":
            if value not in lab.exercises:
                raise LabError(f"{file}:{number}: no exercise {value!r} in lab.toml. {_choices(lab)}")
            if value in blocks:
                raise LabError(f"{file}:{number}: a second answer to {value!r}. Keep one.")
            current = blocks[value] = []
        elif current is not None or key in head:
            raise LabError(
                f"{file}:{number}: `# {key}:` stands once, before the first answer. Move or remove it."
            )
        else:
            head[key] = value
    if not head.get("attempt") or "earns" not in head:
        raise LabError(
            f"{file}: starts with `# attempt: what goes wrong` and `# earns: EXERCISE=POINTS …`. Add them."
        )
    try:
        return Attempt.model_validate(
            {
                "name": file.stem,
                "about": head["attempt"],
                "earns": _earns(lab, file, head["earns"], tuple(blocks)),
                "rest": head.get("rest", "untouched"),
                "answers": {exercise: "\n".join(lines).strip("\n") for exercise, lines in blocks.items()},
            }
        )
    except ValidationError as error:
        raise LabError("\n".join(f"{file}: {_key(e['loc'])}: {e['msg']}." for e in error.errors())) from error


def _earns(lab: Lab, file: Path, declared: str, answered: tuple[str, ...]) -> dict[str, float]:
    earns: dict[str, float] = {}
    for part in declared.replace(",", " ").split():
        exercise, equals, points = part.partition("=")
        if exercise not in lab.exercises:
            raise LabError(f"{file}: earns: no exercise {exercise!r} in lab.toml. {_choices(lab)}")
        try:
            earns[exercise] = float(points)
        except ValueError:
            raise LabError(f"{file}: earns: {part!r} is not EXERCISE=POINTS. Write it as costs=2.") from None
        if (
            not equals
            or not math.isfinite(earns[exercise])
            or not 0 <= earns[exercise] <= lab.exercises[exercise].points
        ):
            most = lab.exercises[exercise].points
            raise LabError(
                f"{file}: earns: {part!r}: points of {exercise} go from 0 to {most:g}. Mend one of the two."
            )
    if missing := [exercise for exercise in answered if exercise not in earns]:
        raise LabError(
            f"{file}: earns: says nothing of {', '.join(missing)}, which it answers. Add what that earns."
        )
    return earns


def _choices(lab: Lab) -> str:
    return f"Its exercises are: {', '.join(lab.exercises)}."


# ---------------------------------------------------------------- nbgrader's own folders


def _load_assignment(folder: Path) -> Lab:
    """Read an ordinary nbgrader assignment: the exercises are its grade cells."""
    notebooks = assignment_notebooks(folder)
    if not notebooks:
        raise LabError(
            f"{folder}: neither a lab.toml nor a notebook (.ipynb) is there. See docs/lab-author.md."
        )
    if not ASSIGNMENT_NAME.match(folder.name):
        raise LabError(
            f"{folder}: an assignment's name has letters, digits, spaces and _.+- only. Rename the folder."
        )
    import nbformat  # takes 0.2 s: only for those who have such a folder

    points: dict[str, float] = {}  # two notebooks may use one grade id: they count as one exercise
    for file in notebooks:
        try:
            for cell in nbformat.read(file, as_version=4).cells:
                meta = cell.metadata.get("nbgrader") or {}
                if (meta.get("grade") or meta.get("task")) and float(meta.get("points") or 0) > 0:
                    points[meta["grade_id"]] = points.get(meta["grade_id"], 0) + float(meta["points"])
        except Exception as error:  # whatever nbformat makes of a broken file
            raise LabError(
                f"{file}: not a notebook that nbgrader can use: {error}. Open and save it in Jupyter."
            ) from error
    exercises = [{"id": grade_id, "title": grade_id, "points": most} for grade_id, most in points.items()]
    try:
        return Lab.model_validate(
            {
                "name": folder.name,
                "folder": folder,
                "format": "nbgrader",
                "title": folder.name,
                "exercise": exercises,
            }
        )
    except ValidationError as error:
        lines = [f"{folder}: {_key(e['loc'])}: {e['msg']}." for e in error.errors()]
        raise LabError("\n".join(lines) + "\nIts exercises are the grade cells of its notebooks.") from error


def assignment_notebooks(folder: Path) -> list[Path]:
    """List the notebooks of an nbgrader assignment folder, by name."""
    return sorted(file for file in folder.glob("*.ipynb") if file.is_file() and not file.name.startswith("."))
