"""The record: who is in which course, what was released, what was handed in. The one way to its tables and bytes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from grader.announcements import AnnouncementLog
from grader.audit import AuditLog
from grader.blobs import Blobs
from grader.classlog import ClassLog
from grader.database import AlreadyThere, NotThere, RecordError, migrate, open_engine
from grader.handlog import HandLog
from grader.inquiries import InquiryLog
from grader.memberlog import put_members
from grader.models import Course, Member, Release, Submission
from grader.names import check_course, check_lab, check_username
from grader.opencourses import OpenCourseLog
from grader.ownwork import OwnWorkLog
from grader.people import ASSISTANT_PREFIX, INSTRUCTOR_PREFIX, STUDENT_PREFIX
from grader.placelog import PlaceLog
from grader.questions import QuestionLog
from grader.receipts import Receipts
from grader.roster import ROLES, MemberRow
from grader.schedule import NotNow, Schedule
from grader.schedulelog import ScheduleLog, hold_to_schedule, put_schedule
from grader.settings import Places
from grader.variants import Variants
from grader.worklog import newest_of_each

__all__ = ["AlreadyThere", "MemberRow", "NotNow", "NotThere", "RecordError", "Store", "TooMany", "Withdrawn"]


log = logging.getLogger(__name__)


class Withdrawn(RecordError):
    """The lab is no longer offered."""


class TooMany(RecordError):
    """A student hands in too often."""


@dataclass(frozen=True)
class Room:
    """Memory (MiB) and cores that something needs; 0: what the site gives is enough."""

    memory_mb: int = 0
    cpus: float = 0.0


class Store(
    ClassLog,
    OpenCourseLog,
    OwnWorkLog,
    AnnouncementLog,
    QuestionLog,
    InquiryLog,
    ScheduleLog,
    AuditLog,
    PlaceLog,
    HandLog,
):
    """The record of one site. Methods are short transactions and may be called from any thread."""

    def __init__(self, engine: Engine, blobs: Blobs, receipts: Receipts, variants: Variants) -> None:
        """Use parts that are ready; `Store.open` makes them."""
        super().__init__(engine)
        self.blobs = blobs
        self.receipts = receipts
        self.variants = variants

    @classmethod
    def open(cls, url: str, places: Places) -> Store:
        """Open the record at `url`, with its bytes and keys under `places`; make and migrate what is missing."""
        places.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = open_engine(url)
        migrate(engine, places.data)
        keys = places.secrets
        return cls(engine, Blobs(places.blobs), Receipts.open(keys), Variants.open(keys))

    # Bytes

    def put_blob(self, source: Path | bytes) -> str:
        """Keep bytes; return their SHA-256. They are on the disk when this returns."""
        return self.blobs.put(source)[0]

    def blob(self, sha256: str) -> Path:
        """The file with these bytes. Raises FileNotFoundError."""
        return self.blobs.path(sha256)

    # Courses and members

    def create_course(self, course: str, title: str = "") -> Course:
        """Make a course. Raises AlreadyThere, NameRefused."""
        check_course(course)
        with self._write() as session:
            if session.get(Course, course) is not None:
                raise AlreadyThere(
                    f"There is a course {course} already. Choose another id, or use that course."
                )
            row = Course(id=course, title=title or course, created_at=datetime.now(UTC))
            session.add(row)
        return row

    def courses(self) -> list[Course]:
        """All courses, by id."""
        with self._read() as session:
            return list(session.scalars(select(Course).order_by(Course.id)))

    def course(self, course: str) -> Course:
        """One course. Raises NotThere."""
        with self._read() as session:
            return _course(session, course)

    def enrol(self, course: str, rows: Iterable[MemberRow]) -> int:
        """Put people into a course, all or none; who is there already gets the row's values. Returns how many."""
        members = list(rows)
        for row in members:
            check_username(row.username)
            if row.role not in ROLES:
                raise RecordError(f"{row.username}: {row.role!r} is not a role. Use {', '.join(ROLES)}.")
        with self._write() as session:
            _course(session, course)
            put_members(session, course, members)
        return len(members)

    def members(self, course: str) -> list[Member]:
        """People of a course, by user name."""
        with self._read() as session:
            return list(
                session.scalars(select(Member).where(Member.course == course).order_by(Member.username))
            )

    def memberships(self, username: str) -> list[Member]:
        """The courses a person is in."""
        with self._read() as session:
            return list(
                session.scalars(select(Member).where(Member.username == username).order_by(Member.course))
            )

    def memberships_of(self, usernames: Iterable[str]) -> dict[str, list[Member]]:
        """The courses that each of a few people is in."""
        found: dict[str, list[Member]] = {}
        query = select(Member).where(Member.username.in_(list(usernames))).order_by(Member.course)
        with self._read() as session:
            for row in session.scalars(query):
                found.setdefault(row.username, []).append(row)
        return found

    def groups_of(self, username: str) -> set[str]:
        """The hub's groups of a person: nbgrader-<course> for students, formgrade- for instructors, assist- for assistants."""
        prefix = {"student": STUDENT_PREFIX, "instructor": INSTRUCTOR_PREFIX, "assistant": ASSISTANT_PREFIX}
        return {prefix[row.role] + row.course for row in self.memberships(username)}

    # Releases

    def release(
        self,
        course: str,
        lab: str,
        archive: Path | bytes,
        *,
        title: str,
        environment: str,
        max_points: float,
        by: str,
        due_at: datetime | None = None,
        schedule: Schedule | None = None,
        source: bytes = b"",
        preload: Sequence[str] = (),
        fork: bool = True,
        nested: bool = False,
        cell_seconds: int = 0,
        room: Room = Room(),
    ) -> Release:
        """Offer a lab to a course. `archive`: zip of the student's files. Releasing again replaces and re-offers.

        schedule: takes the place of due_at; without one, all but the due time stays as it was. source: zip of what the
        lab was made from, to say later what is new. preload, fork, cell_seconds: as in the lab's lab.toml, for grading. nested: it makes namespaces of its own.
        room: what it needs where the site gives less.
        """
        check_lab(lab)
        if schedule is not None:
            schedule.checked()
        sha256, _ = self.blobs.put(archive)
        source_sha256 = self.blobs.put(source)[0] if source else ""
        with self._write() as session:
            _course(session, course)
            row = session.scalar(select(Release).where(Release.course == course, Release.lab == lab))
            if row is None:
                row = Release(course=course, lab=lab)
                session.add(row)
            row.title, row.environment, row.sha256, row.max_points = title, environment, sha256, max_points
            row.released_at, row.released_by, row.due_at = datetime.now(UTC), by, due_at
            row.withdrawn_at, row.preload, row.fork, row.nested = None, list(preload), fork, nested
            row.cell_seconds, row.source_sha256 = cell_seconds, source_sha256
            row.memory_mb, row.cpus = room.memory_mb, room.cpus
            if schedule is not None:
                put_schedule(row, schedule)
        return row

    def releases(self, course: str, *, withdrawn: bool = False) -> list[Release]:
        """Labs offered to a course, by name; with `withdrawn`, those taken back too."""
        query = select(Release).where(Release.course == course).order_by(Release.lab)
        if not withdrawn:
            query = query.where(Release.withdrawn_at.is_(None))
        with self._read() as session:
            return list(session.scalars(query))

    def room_for(self, username: str, environment: str) -> Room:
        """What the hungriest lab needs that a person may have open in an environment: their labs share a server."""
        query = (
            select(func.max(Release.memory_mb), func.max(Release.cpus))
            .join(Member, Member.course == Release.course)
            .where(
                Member.username == username,
                Release.environment == environment,
                Release.withdrawn_at.is_(None),
            )
        )
        with self._read() as session:
            memory_mb, cpus = session.execute(query).one()
        return Room(memory_mb or 0, cpus or 0.0)

    def find_release(self, course: str, lab: str) -> Release:
        """A release, withdrawn or not. Raises NotThere."""
        with self._read() as session:
            return _release(session, course, lab)

    def withdraw(self, course: str, lab: str) -> Release:
        """Take a lab back: nobody fetches or hands it in any more, what was handed in stays. Raises NotThere."""
        with self._write() as session:
            row = _release(session, course, lab)
            if row.withdrawn_at is None:
                row.withdrawn_at = datetime.now(UTC)
        return row

    # Submissions

    def submit(
        self,
        course: str,
        lab: str,
        username: str,
        archive: Path | bytes,
        *,
        max_per_hour: int | None = None,
        bound: bool = True,
        received_at: datetime | None = None,
    ) -> Submission:
        """Take a submission: bytes on the disk, then the row with its receipt, in one transaction.

        Killed anywhere, there is the whole submission or none. bound: to the lab's times and attempts, as students are.
        received_at: now; only a made-up class (hub.democlass) has another, and its receipts say that one.
        Raises NotThere, Withdrawn, TooMany, NotNow.
        """
        check_username(username)
        sha256, size = self.blobs.put(archive)
        with self._write() as session:
            release = _offered(session, course, lab)
            if bound:
                hold_to_schedule(session, release, username, last_word=True)
            if max_per_hour is not None:
                _hold_back(session, course, lab, username, max_per_hour)
            at = received_at or _after_the_last(session, course, lab, username, datetime.now(UTC))
            row = self._signed(course, lab, username, sha256, size, at=at)
            session.add(row)
        return row

    def check_hand_in(self, course: str, lab: str, username: str, *, max_per_hour: int, bound: bool) -> None:
        """Raise what `submit` would raise now; asked before the bytes are read."""
        with self._read() as session:
            release = _offered(session, course, lab)
            if bound:
                hold_to_schedule(session, release, username, last_word=False)
            _hold_back(session, course, lab, username, max_per_hour)

    def submission(self, submission_id: str) -> Submission:
        """One submission. Raises NotThere."""
        with self._read() as session:
            row = session.get(Submission, submission_id)
        if row is None:
            raise NotThere(f"There is no submission {submission_id}. List the submissions again.")
        return row

    def newest_submissions(self, course: str, lab: str) -> list[Submission]:
        """The newest submission of each student, by user name."""
        with self._read() as session:
            return list(session.scalars(newest_of_each(course, lab)))

    def submissions(self, course: str, lab: str | None = None) -> list[Submission]:
        """All submissions of a course (and lab), oldest first."""
        return self._submissions(course, lab, None)

    def submissions_of(
        self, username: str, course: str | None = None, lab: str | None = None
    ) -> list[Submission]:
        """A person's submissions, oldest first."""
        return self._submissions(course, lab, username)

    def _submissions(self, course: str | None, lab: str | None, username: str | None) -> list[Submission]:
        query = select(Submission).order_by(Submission.received_at, Submission.id)
        if username is not None:
            query = query.where(Submission.username == username)
        if course is not None:
            query = query.where(Submission.course == course)
        if lab is not None:
            query = query.where(Submission.lab == lab)
        with self._read() as session:
            return list(session.scalars(query))

    def _signed(
        self, course: str, lab: str, username: str, sha256: str, size: int, *, at: datetime
    ) -> Submission:
        row = Submission(
            id=secrets.token_hex(16),
            course=course,
            lab=lab,
            username=username,
            received_at=at,
            sha256=sha256,
            size_bytes=size,
        )
        row.receipt = self.receipts.sign(
            {
                "id": row.id,
                "course": course,
                "lab": lab,
                "username": username,
                "received_at": row.received_at.isoformat(timespec="microseconds"),
                "sha256": sha256,
                "size_bytes": size,
            }
        )
        return row


def _course(session: Session, course: str) -> Course:
    row = session.get(Course, course)
    if row is None:
        raise NotThere(f"There is no course {course}. `ict course list` shows the courses there are.")
    return row


def _release(session: Session, course: str, lab: str) -> Release:
    row = session.scalar(select(Release).where(Release.course == course, Release.lab == lab))
    if row is None:
        raise NotThere(f"{lab} is not released in {course}. List the course's labs for the names.")
    return row


def _offered(session: Session, course: str, lab: str) -> Release:
    row = _release(session, course, lab)
    if row.withdrawn_at is not None:
        raise Withdrawn(f"{lab} is no longer offered in {course}. Ask your instructor to release it again.")
    return row


def _after_the_last(session: Session, course: str, lab: str, username: str, now: datetime) -> datetime:
    """`now`, or just after the student's last submission where the clock was set back since: the newest one counts."""
    last = session.scalar(
        select(func.max(Submission.received_at)).where(
            Submission.course == course, Submission.lab == lab, Submission.username == username
        )
    )
    if last is None or now > last:
        return now
    log.warning(
        "%s handed in %s at %s by this machine's clock, which is before the submission of %s. "
        "The clock was set back; see that it is right.",
        username, lab, now, last,
    )  # fmt: skip
    return last + timedelta(microseconds=1)


def _hold_back(session: Session, course: str, lab: str, username: str, max_per_hour: int) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    count = session.scalar(
        select(func.count())
        .select_from(Submission)
        .where(
            Submission.course == course,
            Submission.lab == lab,
            Submission.username == username,
            Submission.received_at > since,
        )
    )
    if (count or 0) >= max_per_hour:
        raise TooMany(
            f"You handed in {lab} {count} times within the last hour; {max_per_hour} is the limit. "
            "What you handed in is kept. Try again later."
        )
