"""Carries out a made-up class: enrols it, hands in its attempts, and has them graded as any others are."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from grader.archives import pack
from grader.coursefolder import create_course_folder
from grader.past import Past
from grader.release import release_lab
from grader.store import Store
from hub.accounts import Accounts, new_password
from hub.democontent import KINDS, Classroom, Say
from hub.demoplan import (
    SOLUTION,
    TEACHER,
    UNTOUCHED,
    GivingBack,
    Grading,
    HandIn,
    Offer,
    Plan,
    draw_plan,
)
from hub.images import image_name
from hub.settings import Settings
from hub.wholefile import write_whole
from labs import build
from labs.library import Library
from labs.model import Attempt, Lab

if TYPE_CHECKING:
    from grader.models import Job
    from grader.pipeline import Step as Graded

COURSE = "demo"
TITLE = "A class to look at"
# Several tracks; each lab is graded in seconds. Those of the environments that are here are taken, the first LABS of them.
SUGGESTED = (
    "linux-text-tools",
    "net-subnetting",
    "data-sql-joins",
    "sec-sql-injection",
    "linux-permissions",
    "wireless-ofdm",
)
# It copies values that a preview shows; each student has others, so that it earns less than it declares.
COPIED = {("data-sql-joins", "constants")}

SO_FAR = "so-far-"  # and the number of exercises


class DemoError(Exception):
    """The class cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Wanted:
    """What a class is drawn from: kept beside the record, so that a second call goes on with the same class."""

    students: int
    labs: tuple[str, ...]
    seed: int
    now: datetime

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps({**self.__dict__, "now": self.now.isoformat()}, indent=1)

    @classmethod
    def loads(cls, text: str) -> Wanted:
        """From JSON."""
        kept = json.loads(text)
        return cls(kept["students"], tuple(kept["labs"]), kept["seed"], datetime.fromisoformat(kept["now"]))


@dataclass
class Made:
    """What the class has now. A mark is the points for one exercise of one submission."""

    course: str
    students: int
    labs: int
    submissions: int
    graded: int
    marks: int
    feedback: int
    seconds: float
    passwords: dict[str, str] = field(default_factory=dict)  # of accounts that were made now


def make_class(
    settings: Settings,
    course: str = COURSE,
    *,
    students: int | None = None,
    labs: tuple[str, ...] = (),
    seed: int | None = None,
    say: Say,
    graded: Callable[[Graded], None] | None = None,
) -> Made:
    """Fill `course` with a class, or go on where a call that was killed stopped. graded: hears of each submission.

    What is left out comes from that earlier call. Raises DemoError for a course that is not a demo's, and for another
    class than the one that is there.
    """
    began = time.monotonic()
    store = Store.open(settings.database_url, settings.places)
    try:
        with _alone(settings, course):
            library = Library([settings.root / folder for folder in settings.labs.folders])
            wanted = _wanted(settings, store, course, library, students=students, labs=labs, seed=seed)
            found, plan = _drawn(settings, library, wanted)
            room = Classroom(settings, store, Past(store.engine), course, found, plan, say, graded)
            _open(room, wanted)
            _live(room)
            for kind in KINDS:
                kind(room)
            return _counted(room, time.monotonic() - began, _accounts(room))
    finally:
        store.close()


# Which class


def planned(settings: Settings, course: str) -> Plan:
    """What the class of `course` does, as it was drawn."""
    library = Library([settings.root / folder for folder in settings.labs.folders])
    kept = _file(settings, course).read_text(encoding="utf-8")
    return _drawn(settings, library, Wanted.loads(kept))[1]


def _drawn(settings: Settings, library: Library, wanted: Wanted) -> tuple[dict[str, Lab], Plan]:
    labs = {name: library.lab(name) for name in wanted.labs}
    offers = [Offer(name, _earnings(lab)) for name, lab in labs.items()]
    zone = settings.site.timezone
    return labs, draw_plan(offers, wanted.students, seed=wanted.seed, now=wanted.now, timezone=zone)


def _file(settings: Settings, course: str) -> Path:
    return settings.places.data / "demo" / f"{course}.json"


def _wanted(
    settings: Settings,
    store: Store,
    course: str,
    library: Library,
    *,
    students: int | None,
    labs: tuple[str, ...],
    seed: int | None,
) -> Wanted:
    """The class that is there, or the one that is asked for."""
    file = _file(settings, course)
    if file.exists():
        kept = Wanted.loads(file.read_text(encoding="utf-8"))
        if (students or kept.students, labs or kept.labs, kept.seed if seed is None else seed) != (
            kept.students,
            kept.labs,
            kept.seed,
        ):
            raise DemoError(
                f"{course} has another class already: --students {kept.students} --seed {kept.seed} "
                f"{' '.join(f'--lab {lab}' for lab in kept.labs)}. Leave these options out, or choose another --course."
            )
        return kept
    if course in {row.id for row in store.courses()}:
        raise DemoError(
            f"{course} is a real course. Choose another --course: nothing is made up in a real one."
        )
    chosen = labs or _suggested(settings, library)
    for name in chosen:
        library.lab(name)
    now = datetime.now(UTC)
    wanted = Wanted(30 if students is None else students, tuple(dict.fromkeys(chosen)), seed or 0, now)
    write_whole(file, wanted.dumps())
    return wanted


def _suggested(settings: Settings, library: Library) -> tuple[str, ...]:
    """The suggested labs that can be graded here: in images that are built, or without any."""
    from grader.sandbox import choose, unavailable

    backend: str = settings.grader.sandbox.backend
    backend = choose() if backend == "auto" else backend
    there: dict[str, bool] = {}
    for environment in {library.lab(name).environment for name in SUGGESTED}:
        if backend == "docker":
            there[environment] = not unavailable("docker", image_name(settings, environment))
        else:  # this machine's own Python has what the base image has
            there[environment] = environment == "base" and not unavailable("process")
    found = tuple(
        name
        for name in SUGGESTED
        if there[(lab := library.lab(name)).environment] and (backend == "docker" or not lab.needs)
    )
    if not found:
        raise DemoError("No lab can be graded here. `ict doctor` says what is missing.")
    return found


def attempts(lab: Lab) -> dict[str, Attempt]:
    """What a student can hand in besides the whole solution and nothing at all: the lab's attempts, and how far one got.

    Who got so far has the first exercises right and has not touched the others.
    """
    if lab.format != "myst":
        return {}
    right = build.solutions(lab)
    found = {}
    for count in range(1, len(lab.exercise)):
        done = [exercise for exercise in lab.exercise[:count] if exercise.id in right]
        found[f"{SO_FAR}{count}"] = Attempt(
            name=f"{SO_FAR}{count}",
            about=f"the first {count} exercises",
            earns={exercise.id: exercise.points for exercise in done},
            answers={exercise.id: right[exercise.id] for exercise in done},
        )
    return found | {each.name: each for each in lab.attempts() if (lab.name, each.name) not in COPIED}


def _earnings(lab: Lab) -> dict[str, float]:
    """What can be handed in for a lab, and the share of the points that it should earn."""
    earns = {SOLUTION: 1.0, UNTOUCHED: 0.0}
    for attempt in attempts(lab).values():
        rest = sum(
            exercise.points
            for exercise in lab.exercise
            if attempt.rest == "solution" and exercise.id not in attempt.earns
        )
        earns[attempt.name] = (sum(attempt.earns.values()) + rest) / lab.max_points
    return earns


# The course


def _open(room: Classroom, wanted: Wanted) -> None:
    """The course with its people and labs."""
    store, course = room.store, room.course
    if course not in {row.id for row in store.courses()}:
        store.create_course(course, TITLE)
        store.enrol(course, room.plan.members())
        room.say(f"{course}: {wanted.students} students who do not exist, {len(wanted.labs)} labs")
    create_course_folder(room.settings.places, course)
    there = {release.lab for release in store.releases(course, withdrawn=True)}
    for window in room.plan.windows:
        if window.lab not in there:
            room.say(f"releasing {window.lab}")
            lab = room.labs[window.lab]
            release_lab(store, room.settings.places, lab, course, by=TEACHER, due_at=window.due_at)
        room.past.released(course, window.lab, window.opens_at)


def _live(room: Classroom) -> None:
    """The three weeks, step by step; what is in the record already is not done again."""
    planned = {(step.lab, step.username, step.at) for step in room.plan.steps if isinstance(step, HandIn)}
    there = {
        (row.lab, row.username, row.received_at) for row in room.store.submissions(room.course)
    } & planned
    # every step is in the record before the next begins
    behind = max((at for *_, at in there), default=datetime.min.replace(tzinfo=UTC))
    kept: dict[tuple[str, str], bytes] = {}
    came = Counter[str]()
    for step in room.plan.steps:
        if isinstance(step, HandIn):
            if (step.lab, step.username, step.at) not in there:
                _hand_in(room, step, kept)
                came[step.lab] += 1
        elif step.at > behind:
            if came:
                each = ", ".join(f"{lab} {count}" for lab, count in came.items())
                room.say(f"{step.at:%d %b}  handed in: {each}")
                came.clear()
            if isinstance(step, Grading):
                _grade(room, step)
            else:
                _give_back(room, step)
    if came:
        room.say(f"today   handed in: {', '.join(f'{lab} {count}' for lab, count in came.items())}")


def _hand_in(room: Classroom, step: HandIn, kept: dict[tuple[str, str], bytes]) -> None:
    if (step.lab, step.attempt) not in kept:
        kept[step.lab, step.attempt] = _archive(room.labs[step.lab], step.attempt)
    room.store.submit(room.course, step.lab, step.username, kept[step.lab, step.attempt], received_at=step.at)


def _archive(lab: Lab, name: str) -> bytes:
    """What a student sends who has got so far."""
    if name == SOLUTION:
        notebooks = build.solved_notebooks(lab)
    elif name == UNTOUCHED:
        notebooks = build.release_notebooks(lab)
    else:
        notebooks = {lab.name: build.attempt_notebook(lab, attempts(lab)[name])}
    files = {f"{stem}.ipynb": nbformat.writes(notebook).encode() for stem, notebook in notebooks.items()}
    return pack(files)


def _grade(room: Classroom, step: Grading) -> None:
    """Press Grade at a moment of the past. The job of that moment is the one that was asked for then."""
    from grader.pipeline import GradingError, grade_job

    store, settings = room.store, room.settings
    stands = ("waiting", "running", "done")  # one that failed is asked for again
    asked = [
        job for job in store.jobs(room.course, step.lab) if job.created_at == step.at and job.state in stands
    ]
    job = asked[0] if asked else _asked(room, step)
    if job.state != "done":
        began = time.monotonic()
        try:
            result = grade_job(
                store, settings.grader, settings.places, room.course, step.lab,
                requested_by=TEACHER, job_id=job.id, progress=room.graded,
                image_of=lambda release: image_name(settings, release.environment),
            )  # fmt: skip
        except GradingError as error:
            raise DemoError(str(error)) from error
        if result.failed:
            names = ", ".join(result.failed)
            raise DemoError(
                f"{step.lab}: not graded, by a fault of the grader: {names}. Start it again to go on."
            )
        room.say(f"{step.at:%d %b}  {step.lab}: {result.graded} graded in {time.monotonic() - began:.0f} s")
    room.past.ran(job.id)


def _asked(room: Classroom, step: Grading) -> Job:
    job, _ = room.store.open_job(room.course, step.lab, TEACHER)
    room.past.asked_for(job.id, step.at)
    return job


def _give_back(room: Classroom, step: GivingBack) -> None:
    from grader.feedback import release_feedback

    newest = [row.id for row in room.store.newest_submissions(room.course, step.lab)]
    if not room.store.feedback_for(newest).keys() >= set(newest):
        release_feedback(
            room.store, room.settings.places, room.course, step.lab, by=TEACHER, unmarked_too=True
        )
    out = room.store.feedback_for(newest)
    room.past.given_back([found for found, row in out.items() if row.released_at > step.at], step.at)
    room.say(f"{step.at:%d %b}  {step.lab}: {len(out)} can read their feedback")


# The end


def _accounts(room: Classroom) -> dict[str, str]:
    """An account for the instructor and for one student; returns the passwords of those made now."""
    accounts, made = Accounts(room.settings), {}
    for name in (TEACHER, room.plan.students[0].username):
        if not accounts.exists(name):
            made[name] = new_password()
            accounts.add(name, made[name])
    return made


def _counted(room: Classroom, seconds: float, passwords: dict[str, str]) -> Made:
    rows = room.store.handed_in(course=room.course)
    graded = [row for row in rows if row.is_graded]
    return Made(
        course=room.course,
        students=len(room.plan.students),
        labs=len(room.labs),
        submissions=len(rows),
        graded=len(graded),
        marks=sum(len(row.exercises or ()) for row in graded),
        feedback=sum(row.released_at is not None for row in rows),
        seconds=seconds,
        passwords=passwords,
    )


@contextlib.contextmanager
def _alone(settings: Settings, course: str) -> Iterator[None]:
    """Wait until no other process makes this class."""
    settings.places.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.places.run / f"demo-{course}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
