"""What else fills a made-up course beside submissions: a function for each kind of content, each safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from grader.past import Past
from grader.people import INSTRUCTOR_PREFIX, STUDENT_PREFIX, Person
from grader.places import Place
from grader.questions import Wanted
from grader.schedulelog import schedule_of
from grader.store import Store
from hub.demoplan import TEACHER, Plan
from hub.portal.insight import checks_in
from hub.settings import Settings
from labs.model import Lab

if TYPE_CHECKING:
    from grader.pipeline import Step as Graded

Say = Callable[[str], None]


@dataclass(frozen=True)
class Classroom:
    """What everything that fills the course has at hand."""

    settings: Settings
    store: Store
    past: Past
    course: str
    labs: Mapping[str, Lab]
    plan: Plan
    say: Say
    graded: Callable[[Graded], None] | None = None


def announcements(room: Classroom) -> None:
    """What the instructor told the class."""
    if room.store.announcements(room.course, withdrawn=True):
        return
    first, last = room.plan.windows[0], room.plan.windows[-1]
    title = {name: lab.title for name, lab in room.labs.items()}
    said = (
        (
            first.opens_at - timedelta(hours=2),
            "Welcome",
            "Each week a lab or two. Hand in as often as you like before it is due: the last one counts.\n\n"
            "This class is made up: nobody in it exists, but every mark is really earned.",
        ),
        (
            first.due_at + timedelta(days=2),
            f"Marks for “{title[first.lab]}” are out",
            "Look at the feedback before you go on: what a check expected stands beside what it found.",
        ),
        (
            last.opens_at,
            f"New: “{title[last.lab]}”",
            "Start early, and ask when a check says something that you do not understand.",
        ),
    )
    for at, heading, text in said:
        row = room.store.announce(room.course, heading, text, by=TEACHER)
        room.past.announced(row.id, at)


def questions(room: Classroom) -> None:
    """Two questions: one that was answered for all, one that waits."""
    first, second = (_person(STUDENT_PREFIX, room, each.username) for each in room.plan.students[:2])
    teacher = _person(INSTRUCTOR_PREFIX, room, TEACHER)
    if room.store.count_questions(room.course, teacher, Wanted()):
        return
    opened, last = room.plan.windows[0], room.plan.windows[-1]
    number = room.store.ask(
        room.course,
        first,
        "May I hand in more than once?",
        "I found a mistake after I had handed in. Does the first one count, or the last?",
        lab=opened.lab,
        shown_to="course",
    )
    room.store.answer(
        room.course,
        number,
        teacher,
        "The last one that comes before it is due. Hand in as often as you like.",
    )
    room.store.ask(
        room.course,
        second,
        "A check says something that I do not understand",
        "It expected another value than I get, and I do not see where mine comes from. Where do I look first?",
        lab=last.lab,
    )


def inquiries(room: Classroom) -> None:
    """One student asks about a mark that is not full."""
    if room.store.inquiries(room.course):
        return
    for student in room.plan.students:
        for submission in room.store.submissions_of(student.username, room.course):
            report, feedback = room.store.report(submission.id), room.store.feedback_of(submission.id)
            rows = report.exercises if report and feedback else []
            short = [
                each for each in rows if each["points"] is not None and each["points"] < each["max_points"]
            ]
            if short:
                room.store.inquire(
                    submission,
                    short[0]["exercise"],
                    "I think that my answer is right too. Please look again.",
                )
                return


def schedule(room: Classroom) -> None:
    """What lateness costs in the lab that is not due yet, and one student who has more time for it."""
    last = room.plan.windows[-1]
    release = room.store.find_release(room.course, last.lab)
    if release.late_kind == "none":
        times = replace(
            schedule_of(release), opens_at=last.opens_at, cutoff_at=last.due_at + timedelta(days=7)
        )
        late = replace(times, late_kind="deduction", late_percent=10.0)
        room.store.set_schedule(room.course, last.lab, late)
    if not room.store.extensions(room.course, last.lab):
        room.store.extend(
            room.course,
            last.lab,
            username=room.plan.students[-1].username,
            due_at=last.due_at + timedelta(days=3),
            cutoff_at=None,
            reason="Was ill for three days",
            by=TEACHER,
        )


def at_work(room: Classroom) -> None:
    """Every second student in a lab now, at what their report says is not solved; each call brings them back."""
    lab, now = (
        room.plan.windows[-2:][0].lab,
        datetime.now(UTC),
    )  # the one before the last: it is graded in part
    newest = sorted(room.store.work_on(room.course, lab), key=lambda row: row.username)[::2]
    remarks = room.store.remarks([row.submission_id for row in newest])
    places = []
    for number, row in enumerate(newest):
        exercises = remarks[row.submission_id].exercises if row.submission_id in remarks else []
        short = [each for each in exercises if (each["points"] or 0) < each["max_points"]]
        if not short:
            continue
        name, since = short[0]["exercise"], now - timedelta(minutes=3 + number * 7 % 20)
        places.append(
            Place(
                room.course,
                row.username,
                lab,
                seen_at=now - timedelta(seconds=20 * (number % 6)),
                since=since,
                exercise=name,
                failing_since=since,
                failing={f"check-{name}": checks_in(short[0]["message"] or "")},
                solved=[each["exercise"] for each in exercises if each not in short],
            )
        )
    room.store.put_places(places)
    for place in sorted(places, key=lambda each: each.since)[:2]:
        about = "I get another value than the check wants, and do not see why."
        room.store.raise_hand(room.course, lab, place.username, about)


def _person(prefix: str, room: Classroom, name: str) -> Person:
    return Person(name, frozenset({prefix + room.course}))


KINDS = (announcements, questions, inquiries, schedule, at_work)
