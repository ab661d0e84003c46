"""What a made-up class does in three weeks: who is in it and who hands in which attempt when, drawn from a seed. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from grader.roster import MemberRow

TEACHER = "demo-teacher"
ASSISTANT = "demo-assistant"
SOLUTION, UNTOUCHED = "the reference solution", "the untouched lab"  # no file of attempts/ has such a name
MOST_STUDENTS = 500

_WINDOW = timedelta(days=7, hours=14)  # from eight in the morning to ten in the evening
_FIRST_DUE, _LAST_DUE = 14, 1  # days ago, of the labs that are past due
_NEXT_DUE = timedelta(days=3)  # of the lab that is not due yet
_LOOKED_AT = timedelta(days=3)  # before the due time: a first grading
_GRACE = timedelta(hours=36)  # after the due time: the grading that counts
_TYPING = timedelta(minutes=2)  # nothing is handed in so shortly before now
_NEARNESS = 7  # the higher, the surer a student hands in the attempt closest to what they can
_TIMES = (1, 2, 3, 4)  # a student hands a lab in
_HOW_OFTEN = (30, 35, 22, 13)
# People learn in the evening, some over lunch, a few at night.
_HOURS = {0: 2, 8: 2, 9: 4, 10: 5, 11: 5, 12: 4, 13: 6, 14: 6, 15: 6, 16: 7, 17: 7, 18: 8, 19: 10, 20: 12}
_HOURS |= {21: 11, 22: 8, 23: 4}
_GIVEN = (
    "Amina", "Bilal", "Chiara", "Dmitri", "Élodie", "Farid", "Giulia", "Hana", "Ibrahim", "Jun", "Kofi", "Lan",
    "Mateo", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sanjay", "Thandi", "Ugo", "Valeria", "Wei", "Ximena",
    "Yusuf", "Zofia", "علياء", "سامي", "明", "晓",
)  # fmt: skip
_INITIALS = "ABCDEFGHKLMNPRSTVWYZ"


@dataclass(frozen=True)
class Student:
    """Somebody who does not exist. ability, diligence: 0 to 1."""

    username: str
    name: str
    section: str
    ability: float
    diligence: float


@dataclass(frozen=True)
class Offer:
    """A lab and what can be handed in for it: attempt -> share of the points that it earns."""

    lab: str
    earns: Mapping[str, float]


@dataclass(frozen=True)
class Window:
    """When students have a lab, and when its marks are made and given back. Moments later than now never come."""

    lab: str
    opens_at: datetime
    due_at: datetime
    graded_at: tuple[datetime, ...]
    feedback_at: datetime | None


@dataclass(frozen=True)
class HandIn:
    """A student hands in an attempt."""

    at: datetime
    lab: str
    username: str
    attempt: str


@dataclass(frozen=True)
class Grading:
    """The instructor presses Grade."""

    at: datetime
    lab: str


@dataclass(frozen=True)
class GivingBack:
    """The instructor releases feedback."""

    at: datetime
    lab: str


Step = HandIn | Grading | GivingBack


@dataclass(frozen=True)
class Plan:
    """A whole class. steps: in the order of time, all of them in the past."""

    students: tuple[Student, ...]
    windows: tuple[Window, ...]
    steps: tuple[Step, ...]

    def members(self) -> list[MemberRow]:
        """The class as a roster has it."""
        rows = [MemberRow(each.username, name=each.name, section=each.section) for each in self.students]
        return [
            *rows,
            MemberRow(TEACHER, "instructor", name="Dana Q. (demo)"),
            MemberRow(ASSISTANT, "assistant", name="Robin V. (demo)"),
        ]


def draw_plan(offers: Sequence[Offer], students: int, *, seed: int, now: datetime, timezone: str) -> Plan:
    """Draw a class. The same arguments give the same class; `now` is the end of its three weeks."""
    draw = random.Random(f"{seed}/people")  # noqa: S311 (nothing secret hangs on it)
    people = tuple(_student(number, students, draw) for number in range(students))
    windows = tuple(_windows([offer.lab for offer in offers], now, ZoneInfo(timezone)))
    steps: list[Step] = []
    for offer, window in zip(offers, windows, strict=True):
        draw = random.Random(f"{seed}/{offer.lab}")  # noqa: S311 (nothing secret hangs on it)
        hardness = draw.uniform(-0.15, 0.2)
        for student in people:
            aim = student.ability - hardness + draw.gauss(0, 0.12)
            moments = _moments(student, window, ZoneInfo(timezone), draw)
            made = _hand_ins(student, offer, moments, aim, draw)
            steps += [each for each in made if each.at < now - _TYPING]
        steps += [Grading(at, offer.lab) for at in window.graded_at if at < now]
        if window.feedback_at and window.feedback_at < now:
            steps.append(GivingBack(window.feedback_at, offer.lab))
    return Plan(people, windows, tuple(sorted(steps, key=lambda step: step.at)))


def _student(number: int, of: int, draw: random.Random) -> Student:
    # the first has an account: whoever looks around as a student finds every lab begun
    ability, diligence = (draw.gauss(0.62, 0.22), draw.gauss(0.75, 0.2)) if number else (0.7, 1.0)
    given, initial = _GIVEN[number % len(_GIVEN)], _INITIALS[(7 * number + number // 20) % len(_INITIALS)]
    return Student(
        username=f"demo-{number + 1:0{max(2, len(str(of)))}}",
        name=f"{given} {initial}.",
        section="AB"[number % 2],
        ability=min(1.0, max(0.05, ability)),
        diligence=min(1.0, max(0.1, diligence)),
    )


def _windows(labs: Sequence[str], now: datetime, zone: ZoneInfo) -> Iterator[Window]:
    """All labs but the last are past due; of these the last is graded only half, if there are two at least."""
    today = now.astimezone(zone).date()
    past = len(labs) - 1 or 1
    for number, lab in enumerate(labs):
        ago = _FIRST_DUE - (_FIRST_DUE - _LAST_DUE) * number / max(1, past - 1)
        due = _at(datetime.combine(today - timedelta(days=round(ago)), time(22), zone))
        if number == past:
            due = _at(datetime.combine(today, time(22), zone)) + _NEXT_DUE
            yield Window(lab, due - _WINDOW, due, (), None)
        elif number == past - 1 and past > 1:
            yield Window(lab, due - _WINDOW, due, (due - _LOOKED_AT,), None)
        else:
            counts = due + _GRACE
            yield Window(lab, due - _WINDOW, due, (due - _LOOKED_AT, counts), counts + timedelta(hours=3))


def _hand_ins(
    student: Student, offer: Offer, moments: Sequence[datetime], aim: float, draw: random.Random
) -> Iterator[HandIn]:
    """An attempt at each moment, at least as good as the one before; nobody goes on after full marks.

    aim: the share of the points that the first one comes close to.
    """
    ladder = sorted(offer.earns.items(), key=lambda rung: (rung[1], rung[0]))
    at_least = 0
    for moment in moments:
        share = min(1.0, max(0.0, aim))
        rungs = range(at_least, len(ladder))
        near = [math.exp(-_NEARNESS * abs(ladder[each][1] - share)) for each in rungs]
        at_least = draw.choices(rungs, near)[0]
        attempt, earned = ladder[at_least]
        yield HandIn(moment, offer.lab, student.username, attempt)
        if earned >= 1:
            return
        aim = max(aim, earned) + abs(draw.gauss(0.1, 0.15)) * student.ability


def _moments(student: Student, window: Window, zone: ZoneInfo, draw: random.Random) -> list[datetime]:
    """None to four moments in a lab's window; the last of some comes late, before the grading that counts."""
    if draw.random() > 0.72 + 0.28 * student.diligence:
        return []
    first, last = window.opens_at.astimezone(zone), window.due_at.astimezone(zone)
    days = (last.date() - first.date()).days + 1
    found = []
    for _ in range(draw.choices(_TIMES, _HOW_OFTEN)[0]):
        day = first.date() + timedelta(days=int(days * draw.betavariate(2.2, 1.2 + student.diligence)))
        hour = draw.choices(list(_HOURS), list(_HOURS.values()))[0]
        clock = time(hour, draw.randrange(60), draw.randrange(60), draw.randrange(1_000_000))
        moment = datetime.combine(day, clock, zone)
        if moment <= first:
            moment += timedelta(days=1)
        found.append(moment if moment < last else moment - timedelta(hours=3))
    if draw.random() < 0.22 * (1.2 - student.diligence):
        found[-1] = last + timedelta(hours=draw.uniform(0.2, 30))
    return sorted(map(_at, found))


def _at(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
