"""A large course in a record: who is in it, what they handed in, and the marks, written in bulk and not one by one."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from grader.archives import pack
from grader.feedback import page
from grader.gradebook import SubmissionMarks
from grader.models import Base, Deed, Feedback, Job, Member, Post, Question, Report, Submission
from grader.store import Store
from labs.build import solved_notebook
from labs.library import Library

COURSE = "ict101"
TEACHER = "teacher"
ADMIN = "admin"
_GIVEN = (
    "Alice",
    "Björn",
    "Chiara",
    "Dmitri",
    "Élodie",
    "Fatima",
    "Goran",
    "Hana",
    "Ibrahim",
    "Jun",
    "Kofi",
    "Lan",
)
_FAMILY = (
    "Adeyemi",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fujita",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
)
_SAID = (
    "Expected the network 10.20.64.0/19, found 10.20.0.0/19. Look at how many bits the mask has.",
    "Expected 3 rows, found 4: the join counts a customer twice. Look at the condition of the join.",
    "Expected that host h2 answers h1 within 5 s, it does not. Look at the route back on r2.",
)
_BATCH = 2_000  # rows of one statement


@dataclass(frozen=True)
class Offer:
    """One released lab: its name and the points of each exercise."""

    name: str
    points: dict[str, float]


@dataclass
class Made:
    """What there is, for the benchmark's line. A mark is the points for one exercise of one submission."""

    students: int = 0
    labs: int = 0
    submissions: int = 0
    reports: int = 0
    marks: int = 0
    feedback: int = 0


def fill(store: Store, students: int, labs: int) -> Made:
    """Make the course. The same numbers make the same course, but for its ids and times."""
    draw = random.Random(7)
    made = Made(students=students, labs=labs)
    store.create_course(COURSE, "ICT 101, a large course")
    _enrol(store, students, draw)
    _ask(store, students, draw)
    shared = store.put_blob(pack({"notebook.ipynb": b"{}"}))
    offers = _release(store, labs)
    feedback_sha256 = store.put_blob(pack({"notebook.html": _notebook_page()}))
    for number, offer in enumerate(offers):
        job = _job(store, offer, students)
        rows = list(_handed_in(store, offer, made, draw, sha256=shared, age=timedelta(weeks=labs - number)))
        reports = [report for row in rows if (report := _report(row, offer, job, draw)) is not None]
        out = [_feedback(report, feedback_sha256) for report in reports if draw.random() < 0.9]
        _insert(store, Submission, rows)
        _insert(store, Report, reports)
        _insert(store, Feedback, out)
        made.submissions += len(rows)
        made.reports += len(reports)
        made.marks += sum(len(report["exercises"]) for report in reports)
        made.feedback += len(out)
    with store.engine.begin() as connection:
        connection.execute(text("ANALYZE"))  # a server that runs for weeks does this by itself
    return made


def fill_log(store: Store, lines: int) -> None:
    """Write an audit log of so many lines: a year of one course, a minute between two."""
    newest = datetime.now(UTC)
    common = {"what": "lab.grade", "course": COURSE, "subject": "net-ospf", "detail": ""}
    rows = [
        common | {"who": (TEACHER, ADMIN)[number % 10 == 0], "at": newest - timedelta(minutes=lines - number)}
        for number in range(lines)
    ]
    _insert(store, Deed, rows)


def _insert(store: Store, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    with store.engine.begin() as connection:
        for start in range(0, len(rows), _BATCH):
            connection.execute(insert(table), rows[start : start + _BATCH])


def student(number: int) -> str:
    """The user name of a student, counted from 0."""
    return f"student{number:04}"


def _enrol(store: Store, students: int, draw: random.Random) -> None:
    people: list[dict[str, Any]] = [
        {
            "course": COURSE,
            "username": student(number),
            "role": "student",
            "name": f"{draw.choice(_GIVEN)} {draw.choice(_FAMILY)}",
            "email": f"{student(number)}@example.org",
            "section": f"Group {1 + number * 20 // students:02}",
        }
        for number in range(students)
    ]
    teacher = {"course": COURSE, "username": TEACHER, "role": "instructor"}
    _insert(store, Member, [*people, teacher | {"name": "", "email": "", "section": ""}])


def _ask(store: Store, students: int, draw: random.Random) -> None:
    """Four questions a student with three posts each, a third of them for the whole course; the first has more."""
    begun = datetime.now(UTC) - timedelta(days=200)
    questions, posts = [], []
    for number in range(1, 4 * students + 1):
        asker, at = student(number % students), begun + timedelta(hours=number)
        questions.append(
            {
                "id": number, "course": COURSE, "lab": None, "exercise": None, "author": asker, "at": at,
                "title": f"Question {number}: {draw.choice(_SAID)[:60]}", "named": number % 2 == 0,
                "shown_to": "course" if number % 3 == 1 else "instructors",
                "state": "open" if number % 20 == 0 else "answered", "last_at": at, "news": number % 50 == 0,
            }
        )  # fmt: skip
        for each in range(20 if number == 1 else 3):
            by = (
                {"author": TEACHER, "role": "instructor"}
                if each == 1
                else {"author": asker, "role": "student"}
            )
            text_of_post = " ".join(draw.choices(_SAID, k=4))
            posts.append({"question": number, "at": at, "text": text_of_post, **by})
    _insert(store, Question, questions)
    _insert(store, Post, posts)


def _release(store: Store, labs: int) -> list[Offer]:
    """Labs of the catalog first, then made-up ones with four exercises each."""
    offers = []
    known = list(Library().labs().values())
    opened = datetime.now(UTC) - timedelta(weeks=labs)
    for number in range(labs):
        if number < len(known):
            lab = known[number]
            name, title, environment = lab.name, lab.title, lab.environment
            points = {each.id: each.points for each in lab.exercise}
        else:
            name, title, environment = f"more-{number:02}", f"A further lab, number {number}", "base"
            points = {f"step-{each}": 5.0 for each in range(1, 5)}
        store.release(
            COURSE,
            name,
            pack({"notebook.ipynb": b"{}"}),
            title=title,
            environment=environment,
            max_points=sum(points.values()),
            by=TEACHER,
            due_at=opened + timedelta(weeks=number),
        )
        offers.append(Offer(name, points))
    return offers


def _job(store: Store, offer: Offer, students: int) -> int:
    values = {
        "course": COURSE,
        "lab": offer.name,
        "requested_by": TEACHER,
        "state": "done",
        "created_at": datetime.now(UTC),
        "total": students,
        "done": students,
    }
    with store.engine.begin() as connection:
        return int(connection.execute(insert(Job).values(**values).returning(Job.id)).scalar_one())


def _handed_in(
    store: Store, offer: Offer, made: Made, draw: random.Random, *, sha256: str, age: timedelta
) -> Iterator[dict[str, Any]]:
    """Everybody hands in once; every fifth handed in another time before. The receipts are real ones.

    age: since the lab was due.
    """
    due = datetime.now(UTC) - age
    for who in range(made.students):
        for before in (1, 0) if draw.random() < 0.2 else (0,):
            fields = {
                "id": secrets.token_hex(16),
                "course": COURSE,
                "lab": offer.name,
                "username": student(who),
                "sha256": sha256,
                "size_bytes": draw.randint(4_000, 90_000),
            }
            at = due - timedelta(minutes=draw.randint(-600, 9_000), days=7 * before)
            stated = fields | {"received_at": at.isoformat(timespec="microseconds")}
            yield fields | {"received_at": at, "receipt": store.receipts.sign(stated)}


def _report(row: dict[str, Any], offer: Offer, job: int, draw: random.Random) -> dict[str, Any] | None:
    """Marks for all but every twentieth."""
    if draw.random() < 0.05:
        return None
    marks = [
        {
            "exercise": exercise,
            "points": best if (passed := draw.random() < 0.8) else round(best * draw.random(), 1),
            "max_points": best,
            "message": "" if passed else draw.choice(_SAID),
        }
        for exercise, best in offer.points.items()
    ]
    points = round(sum(mark["points"] for mark in marks), 1)
    state = draw.choices(("graded", "needs-manual", "needs-look"), (94, 5, 1))[0]
    return {
        "submission_id": row["id"],
        "job_id": job,
        "state": state,
        "points": points,
        "max_points": sum(offer.points.values()),
        "exercises": marks,
        "message": "",
        "release_sha256": "0" * 64,
        "notebooks": {"notebook": "0" * 64},
        "cells": {
            "notebook": {
                "scores": {f"check-{mark['exercise']}": mark["points"] for mark in marks},
                "unchanged": {mark["exercise"]: False for mark in marks},
                "lost": False,
            }
        },
        "evidence": ["An answer cell redefines what a check rests on."] if state == "needs-look" else [],
        "graded_at": row["received_at"] + timedelta(days=1),
        "in_gradebook_at": row["received_at"] + timedelta(days=1),
    }


def _feedback(report: dict[str, Any], sha256: str) -> dict[str, Any]:
    return {
        "submission_id": report["submission_id"],
        "sha256": sha256,
        "released_at": report["graded_at"] + timedelta(days=1),
        "released_by": TEACHER,
        "points": report["points"],
        "max_points": report["max_points"],
    }


def _notebook_page() -> bytes:
    """A marked notebook as a student reads it: the reference answers of one lab."""
    submission = Submission(
        id="0" * 32, course=COURSE, lab="net-subnetting", username=student(0), received_at=datetime.now(UTC)
    )
    report = Report(submission_id="0" * 32, message="", evidence=[], notebooks={"notebook": ""}, exercises=[])
    notebook = solved_notebook(Library().lab("net-subnetting"))
    return page(
        notebook, "notebook", submission, report, SubmissionMarks(18, 20, 0, False, cells={})
    ).encode()
