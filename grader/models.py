"""The record's tables: courses, members, releases, submissions, jobs, reports, feedback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_OPEN = text("state IN ('waiting', 'running')")


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC. Naive times are refused; SQLite, which has no time zones, gives them back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables of the record."""

    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 (SQLAlchemy's own form)


class Course(Base):
    """A group of students and instructors with its own gradebook."""

    __tablename__ = "course"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    open: Mapped[bool] = mapped_column(default=False)  # anybody with an account may join
    late_days: Mapped[int] = mapped_column(default=0)  # each student's bank, for the labs that draw on it


class Member(Base):
    """A person in a course. The hub's groups nbgrader-<course> and formgrade-<course> are made from these."""

    __tablename__ = "member"
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))  # student | assistant | instructor
    name: Mapped[str] = mapped_column(String(200), default="")
    email: Mapped[str] = mapped_column(String(254), default="")
    section: Mapped[str] = mapped_column(String(64), default="")  # the roster's "group"


class Release(Base):
    """A lab offered to a course. Releasing again replaces the archive and keeps the row."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("course", "lab"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(String(64))  # blob: zip of the student's files
    max_points: Mapped[float]
    released_at: Mapped[datetime]
    released_by: Mapped[str] = mapped_column(String(64))
    due_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    preload: Mapped[list[Any]] = mapped_column(default=list)  # modules that a grading kernel has ready
    fork: Mapped[bool] = mapped_column(default=True)  # whether its libraries bear being forked
    nested: Mapped[bool] = mapped_column(default=False)  # whether it makes namespaces of its own
    cell_seconds: Mapped[int] = mapped_column(
        default=0
    )  # a cell may take so long, if the site's limit is less
    memory_mb: Mapped[int] = mapped_column(default=0)  # likewise: a server, and the grading of a submission
    cpus: Mapped[float] = mapped_column(default=0.0)
    # The rest is grader.schedule.Schedule, with due_at above.
    opens_at: Mapped[datetime | None]
    cutoff_at: Mapped[datetime | None]
    late_kind: Mapped[str] = mapped_column(String(16), default="none")  # none | deduction | bank
    late_percent: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int | None]
    reveal: Mapped[str] = mapped_column(String(16), default="messages")  # messages | marks | closed
    source_sha256: Mapped[str] = mapped_column(
        String(64), default=""
    )  # blob: zip of what it was made from, with solutions; "" if it came through nbgrader


class Extension(Base):
    """More time for one student or one group, never less."""

    __tablename__ = "extension"
    __table_args__ = (UniqueConstraint("course", "lab", "username", "section"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str] = mapped_column(String(64))
    username: Mapped[str] = mapped_column(String(64), default="")  # of these two, one is empty
    section: Mapped[str] = mapped_column(String(64), default="")
    due_at: Mapped[datetime | None]
    cutoff_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(300))
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class Submission(Base):
    """What a student handed in at one moment; never changed afterwards."""

    __tablename__ = "submission"
    __table_args__ = (
        Index("ix_submission_newest", "course", "lab", "username", "received_at"),
        Index("ix_submission_person", "username", "course", "lab", "received_at"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # random, unguessable
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str] = mapped_column(String(64))
    username: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    sha256: Mapped[str] = mapped_column(String(64))  # blob: zip as it was sent
    size_bytes: Mapped[int]
    receipt: Mapped[str]  # the signed proof, as it was given out


class Job(Base):
    """One request to grade a set of submissions."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ux_job_open", "course", "lab", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str] = mapped_column(String(64))
    requested_by: Mapped[str] = mapped_column(String(64))
    students: Mapped[list[Any] | None]  # usernames; None is everybody
    regrade: Mapped[bool] = mapped_column(default=False)
    asked: Mapped[int] = mapped_column(default=1)  # how often somebody asked for it, while it was open
    starts: Mapped[int] = mapped_column(default=0)  # how often a process began it
    state: Mapped[str] = mapped_column(String(16))  # waiting | running | done | failed | cancelled
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(default="")


class JobItem(Base):
    """One submission of a job."""

    __tablename__ = "job_item"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    # waiting | running | graded | needs-manual | needs-look | failed | cancelled | superseded
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    worker: Mapped[str] = mapped_column(String(100), default="")
    message: Mapped[str] = mapped_column(Text, default="")


class Report(Base):
    """The marks and messages of a whole submission."""

    __tablename__ = "report"
    __table_args__ = (Index("ix_report_changes", "job_id", "graded_at", "in_gradebook_at"),)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    state: Mapped[str] = mapped_column(
        String(16)
    )  # graded | needs-manual | needs-look (the marks stand, see evidence) | failed (a fault of ours: no mark)
    points: Mapped[float | None]
    max_points: Mapped[float]
    exercises: Mapped[list[Any]]  # [{"exercise", "points", "max_points", "message"}]
    message: Mapped[str] = mapped_column(default="")  # what went wrong with the submission as a whole
    release_sha256: Mapped[str] = mapped_column(String(64))
    notebooks: Mapped[dict[str, Any]]  # notebook name -> sha256 of the executed notebook, safe to show
    cells: Mapped[dict[str, Any]] = mapped_column(default=dict)  # notebook name -> gradewriter.CellScores
    evidence: Mapped[list[Any]] = mapped_column(
        default=list
    )  # why a person should look, for instructors only
    late_penalty: Mapped[float] = mapped_column(default=0.0)  # off the points, for lateness
    graded_at: Mapped[datetime]
    in_gradebook_at: Mapped[datetime | None]  # set by the writer, last


class Feedback(Base):
    """Feedback on a submission that the student may read."""

    __tablename__ = "feedback"
    __table_args__ = (Index("ix_feedback_released", "released_at"),)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))  # blob: zip of <notebook>.html
    released_at: Mapped[datetime]
    released_by: Mapped[str] = mapped_column(String(64))
    points: Mapped[float | None]  # as the gradebook had them at that moment, without what lateness cost
    max_points: Mapped[float | None]
    late_penalty: Mapped[float] = mapped_column(default=0.0)  # what that was; it follows the policy
    read_at: Mapped[datetime | None]  # when the student opened it first
    # [{"exercise", "points", "max_points", "message", "by_hand", "comment"}] as the gradebook had them, if it knew
    exercises: Mapped[list[Any] | None]


class Inquiry(Base):
    """What a student asks about the mark of an exercise, or of a whole submission."""

    __tablename__ = "inquiry"
    __table_args__ = (
        UniqueConstraint("submission_id", "exercise"),
        Index("ix_inquiry_course", "course", "state"),
        Index("ix_inquiry_person", "username", "changed_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str] = mapped_column(String(64))
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"))
    username: Mapped[str] = mapped_column(String(64))
    exercise: Mapped[str] = mapped_column(String(200))  # empty: the whole submission
    state: Mapped[str] = mapped_column(String(16))  # open | answered | closed
    changed_at: Mapped[datetime]


class InquiryStep(Base):
    """Something that happened to an inquiry; never changed afterwards."""

    __tablename__ = "inquiry_step"
    id: Mapped[int] = mapped_column(primary_key=True)
    inquiry_id: Mapped[int] = mapped_column(ForeignKey("inquiry.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # asked | answered | mark | reopened | closed
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text, default="")
    points_before: Mapped[float | None]  # of the exercise; with kind mark only
    points_after: Mapped[float | None]


class LastStart(Base):
    """When a student started a lab last."""

    __tablename__ = "last_start"
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), primary_key=True)
    lab: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]


class Announcement(Base):
    """Something instructors tell a whole course."""

    __tablename__ = "announcement"
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), index=True)
    author: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    withdrawn_at: Mapped[datetime | None]
    mail_to: Mapped[int | None]  # people it goes to by e-mail; None: it was not to be sent
    mail_sent: Mapped[int] = mapped_column(default=0)
    mail_told: Mapped[str] = mapped_column(Text, default="")  # what went wrong, for instructors
    mail_ended_at: Mapped[datetime | None]


class Question(Base):
    """What somebody of a course asks the others; its text is the first of its posts."""

    __tablename__ = "question"
    __table_args__ = (
        Index("ix_question_course", "course", "last_at"),
        Index("ix_question_author", "author", "course", "last_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    lab: Mapped[str | None] = mapped_column(String(64))
    exercise: Mapped[str | None] = mapped_column(String(64))
    author: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    title: Mapped[str] = mapped_column(String(200))
    shown_to: Mapped[str] = mapped_column(String(16))  # instructors (and assistants) | course
    named: Mapped[bool]  # whether classmates learn who asks; those who answer always do
    state: Mapped[str] = mapped_column(String(16))  # open | answered | closed | withdrawn
    last_at: Mapped[datetime]
    news: Mapped[bool] = mapped_column(default=False)  # its author has not read the newest post


class Post(Base):
    """One text of a question's thread. Withdrawn, it stays in the record."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[int] = mapped_column(ForeignKey("question.id"), index=True)
    author: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(
        String(16)
    )  # the author's at that time: student | assistant | instructor
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(String(64))


class Deed(Base):
    """One thing that somebody did: a line of the audit log, which is added to and never changed."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_course", "course", "id"),
        Index("ix_audit_who", "who", "id"),
        Index("ix_audit_what", "what", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(String(64))  # a user name, or ict:<unix user> for the command line
    what: Mapped[str] = mapped_column(String(80))  # a word of hub.deeds, or method and path of a route
    course: Mapped[str | None] = mapped_column(String(40))  # no foreign key: it may outlive its course
    subject: Mapped[str] = mapped_column(String(200), default="")  # what it was done to
    detail: Mapped[str] = mapped_column(String(500), default="")


class Presence(Base):
    """Where a student is in a lab: one row, written over as they go on."""

    __tablename__ = "presence"
    __table_args__ = (Index("ix_presence_recent", "course", "seen_at"),)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    lab: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime]
    exercise: Mapped[str] = mapped_column(String(200))  # of the release; empty: none was seen yet
    since: Mapped[datetime]  # on this exercise
    failing_since: Mapped[datetime | None]  # its first check that did not hold, with no success since
    failing: Mapped[dict[str, Any]]  # check cell of this exercise -> names of its checks that do not hold
    solved: Mapped[list[Any]]  # names of exercises whose checks all hold


class Hand(Base):
    """A student's raised hand in a course; it stays, lowered, until the next one."""

    __tablename__ = "hand"
    course: Mapped[str] = mapped_column(ForeignKey("course.id"), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    lab: Mapped[str] = mapped_column(String(64))
    about: Mapped[str] = mapped_column(String(300))
    raised_at: Mapped[datetime]
    seen_by: Mapped[str] = mapped_column(String(64), default="")  # who said that they are coming
    lowered_at: Mapped[datetime | None]
    lowered_by: Mapped[str] = mapped_column(String(64), default="")


class OpenServer(Base):
    """A server that its owner lets the course's instructors open; the row goes once the hub has ended it."""

    __tablename__ = "open_server"
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    server: Mapped[str] = mapped_column(String(64), primary_key=True)
    course: Mapped[str] = mapped_column(ForeignKey("course.id"))
    code: Mapped[str] = mapped_column(String(200))  # the hub's share code: who has it gets in, until `until`
    until: Mapped[datetime]
    inside: Mapped[list[Any]]  # user names that used the code, as the hub says
