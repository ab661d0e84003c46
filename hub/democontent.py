"""What else fills a made-up course beside submissions: a function for each kind of content, each safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from grader.past import Past
from grader.people import INSTRUCTOR_PREFIX, STUDENT_PREFIX, Person
from grader.questions import Wanted
from grader.store import Store
from hub.demoplan import TEACHER, Plan
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


def _person(prefix: str, room: Classroom, name: str) -> Person:
    return Person(name, frozenset({prefix + room.course}))


KINDS = (announcements, questions, inquiries)
