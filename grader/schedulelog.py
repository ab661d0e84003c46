"""Schedules in the record: times and policies of releases, extensions, and who is how late."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple, cast

from sqlalchemy import ColumnElement, Text, func, or_, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from grader.database import Database, NotThere
from grader.models import Course, Extension, Feedback, Member, Release, Report, Submission
from grader.schedule import (
    MOST_BANK_DAYS,
    HandedIn,
    LateKind,
    Lateness,
    Schedule,
    ScheduleRefused,
    Times,
    lateness,
    not_open,
    refusal,
    with_extensions,
)
from grader.worklog import newest_of_each

LONGEST_REASON = 300


Later = tuple[datetime | None, datetime | None]  # due time, cut-off


class GradedWork(NamedTuple):
    """A graded submission with its marks. is_out: its student may read this very report."""

    submission_id: str
    lab: str
    username: str
    received_at: datetime
    points: float | None
    max_points: float
    late_penalty: float
    released_points: float | None
    released_max_points: float | None
    released_penalty: float | None
    is_out: bool | None


@dataclass(frozen=True)
class Extended:
    """The extensions of a course, for asking about many students."""

    own: Mapping[tuple[str, str], Later]  # by lab and user name
    groups: Mapping[tuple[str, str], Later]  # by lab and group

    def times(self, usual: Times, lab: str, username: str, section: str) -> Times:
        """The times of a student for a lab, with what they and their group were given."""
        later = (self.own.get((lab, username)), self.groups.get((lab, section)))
        return with_extensions(usual, [each for each in later if each])


class ScheduleLog(Database):
    """The record's schedules."""

    def set_schedule(self, course: str, lab: str, schedule: Schedule) -> Release:
        """Change when a lab is open and what lateness costs. Raises NotThere, ScheduleRefused."""
        schedule.checked()
        with self._write() as session:
            row = _release(session, course, lab)
            put_schedule(row, schedule)
        return row

    def set_bank(self, course: str, days: int) -> None:
        """Give each student of a course so many late days. Raises ScheduleRefused."""
        if not 0 <= days <= MOST_BANK_DAYS:
            raise ScheduleRefused(f"A bank of late days has 0 to {MOST_BANK_DAYS} days.")
        with self._write() as session:
            session.execute(update(Course).where(Course.id == course).values(late_days=days))

    # Extensions

    def extensions(self, course: str, lab: str) -> list[Extension]:
        """The extensions of a lab, newest first."""
        query = select(Extension).where(Extension.course == course, Extension.lab == lab)
        with self._read() as session:
            return list(session.scalars(query.order_by(Extension.id.desc())))

    def extend(
        self,
        course: str,
        lab: str,
        *,
        username: str = "",
        section: str = "",
        due_at: datetime | None,
        cutoff_at: datetime | None,
        reason: str,
        by: str,
    ) -> Extension:
        """Give one student, or one group, more time; replaces the one they have. Raises NotThere, ScheduleRefused."""
        reason = " ".join("".join(char if char.isprintable() else " " for char in reason).split())
        if bool(username) == bool(section):
            raise ScheduleRefused("An extension is for one student or for one group. Choose one of them.")
        if due_at is None and cutoff_at is None:
            raise ScheduleRefused("An extension has a due time, a cut-off or both. Set one.")
        if due_at and cutoff_at and cutoff_at < due_at:
            raise ScheduleRefused("The cut-off time is before the due time. Change one of them.")
        if not reason or len(reason) > LONGEST_REASON:
            raise ScheduleRefused(f"Say why, in up to {LONGEST_REASON} characters.")
        with self._write() as session:
            _release(session, course, lab)
            here = Member.username == username if username else Member.section == section
            if session.scalar(select(Member.username).where(Member.course == course, here).limit(1)) is None:
                raise NotThere(f"{username or section} is not in course {course}. List its members.")
            row = session.scalar(
                select(Extension).where(
                    Extension.course == course,
                    Extension.lab == lab,
                    Extension.username == username,
                    Extension.section == section,
                )
            )
            if row is None:
                row = Extension(course=course, lab=lab, username=username, section=section)
                session.add(row)
            row.due_at, row.cutoff_at, row.reason = due_at, cutoff_at, reason
            row.by, row.at = by, datetime.now(UTC)
        return row

    def remove_extension(self, course: str, lab: str, number: int) -> Extension:
        """Take an extension back. Raises NotThere."""
        with self._write() as session:
            row = session.get(Extension, number)
            if row is None or (row.course, row.lab) != (course, lab):
                raise NotThere(f"There is no extension {number} of {lab}. List them again.")
            session.delete(row)
        return row

    # One student

    def bank_left(self, course: str, username: str) -> int:
        """Late days that one student has left, with what they handed in so far."""
        newest = (
            select(Submission.lab, func.max(Submission.received_at))
            .where(Submission.course == course, Submission.username == username)
            .group_by(Submission.lab)
        )
        with self._read() as session:
            here = select(Release).where(Release.course == course, Release.late_kind == "bank")
            releases = {row.lab: row for row in session.scalars(here)}
            extended = _extended(session, course, username)
            handed_in = list(session.execute(newest))
            bank = session.scalar(select(Course.late_days).where(Course.id == course)) or 0
        work = [
            _work(releases[lab], with_extensions(times_of(releases[lab]), extended.get(lab, ())), received_at)
            for lab, received_at in handed_in
            if lab in releases
        ]
        return bank - sum(each.from_bank for each in lateness(work, bank).values())

    def own_releases(self, course: str, username: str, *, withdrawn: bool = False) -> list[Release]:
        """The labs of a course, by name, with the due time and the cut-off as they hold for one student."""
        query = select(Release).where(Release.course == course).order_by(Release.lab)
        if not withdrawn:
            query = query.where(Release.withdrawn_at.is_(None))
        with self._read() as session:
            rows = list(session.scalars(query))
            extended = _extended(session, course, username)
        for row in rows:  # they belong to no session any more, so nothing of this is written
            times = with_extensions(times_of(row), extended.get(row.lab, ()))
            row.due_at, row.cutoff_at = times.due_at, times.cutoff_at
        return rows

    def check_open(self, course: str, lab: str) -> None:
        """Raise NotNow when a lab is not open to students yet. Raises NotThere."""
        with self._read() as session:
            opens_at = _release(session, course, lab).opens_at
        if opens_at is not None and datetime.now(UTC) < opens_at:
            raise not_open(opens_at, lab)

    # A class

    def class_times(self, course: str, lab: str, usernames: Iterable[str]) -> dict[str, Times]:
        """The times of these people for a lab. Raises NotThere."""
        with self._read() as session:
            usual = times_of(_release(session, course, lab))
            extended, sections = _all_extensions(session, course), _sections(session, course)
        return {name: extended.times(usual, lab, name, sections.get(name, "")) for name in usernames}

    def extended(self, course: str) -> Extended:
        """All extensions of a course."""
        with self._read() as session:
            return _all_extensions(session, course)

    def kept_waiting(self, course: str, lab: str, usernames: Iterable[str]) -> set[str]:
        """Who of these must not see feedback yet: they can still hand in, and it would tell them what to write."""
        with self._read() as session:
            if _release(session, course, lab).reveal != "closed":
                return set()
        now, times = datetime.now(UTC), self.class_times(course, lab, usernames)
        return {name for name, each in times.items() if each.closes_at is not None and now < each.closes_at}

    def graded_work(self, course: str, usernames: Collection[str] = ()) -> list[GradedWork]:
        """The newest graded submission of each lab by each student, or by each of these, a batch at most."""
        mine = [Submission.username.in_(sorted(usernames))] if usernames else []
        rank = func.row_number().over(
            partition_by=(Submission.lab, Submission.username),
            order_by=(Submission.received_at.desc(), Submission.id.desc()),
        )
        ranked = (
            select(
                *(Submission.id, Submission.lab, Submission.username, Submission.received_at),
                *(Report.points, Report.max_points, Report.late_penalty, Report.graded_at),
                rank.label("rank"),
            )
            .join(Report, Report.submission_id == Submission.id)
            .where(Submission.course == course, Report.state != "failed", *mine)
            .subquery()
        )
        query = (
            select(
                *(ranked.c.id, ranked.c.lab, ranked.c.username, ranked.c.received_at),
                *(ranked.c.points, ranked.c.max_points, ranked.c.late_penalty),
                *(Feedback.points, Feedback.max_points, Feedback.late_penalty),
                ranked.c.graded_at <= Feedback.released_at,
            )
            .outerjoin(Feedback, Feedback.submission_id == ranked.c.id)
            .where(ranked.c.rank == 1)
        )
        with self._read() as session:
            return [GradedWork._make(row) for row in session.execute(query)]

    def graded_before(self, course: str, lab: str, moment: datetime) -> int:
        """How many students' newest submission of a lab has a mark from before `moment`."""
        newest = newest_of_each(course, lab).order_by(None).subquery()
        query = (
            select(func.count())
            .select_from(newest)
            .join(Report, Report.submission_id == newest.c.id)
            .where(Report.graded_at < moment, Report.state != "failed")
        )
        with self._read() as session:
            return session.scalar(query) or 0

    def late_labs(self, course: str) -> set[str]:
        """The labs of a course that take something off for lateness, or did when their marks were written."""
        policy = select(Release.lab).where(Release.course == course, Release.late_kind != "none")
        marked = (
            select(Submission.lab)
            .join(Report, Report.submission_id == Submission.id)
            .where(Submission.course == course, Report.late_penalty > 0)
            .distinct()
        )
        with self._read() as session:
            return {*session.scalars(policy), *session.scalars(marked)}

    def class_lateness(self, course: str, work: Iterable[GradedWork]) -> dict[tuple[str, str], Lateness]:
        """What lateness takes from graded work, by lab and student. work: of a student, that of all labs."""
        with self._read() as session:
            here = select(Release).where(Release.course == course, Release.late_kind != "none")
            releases = {row.lab: row for row in session.scalars(here)}
            extended, sections = _all_extensions(session, course), _sections(session, course)
            bank = session.scalar(select(Course.late_days).where(Course.id == course)) or 0
        by_person: dict[str, list[HandedIn]] = {}
        for each in work:
            if each.lab not in releases:
                continue
            release, name = releases[each.lab], each.username
            times = extended.times(times_of(release), each.lab, name, sections.get(name, ""))
            by_person.setdefault(name, []).append(_work(release, times, each.received_at))
        return {
            (lab, name): late
            for name, mine in by_person.items()
            for lab, late in lateness(mine, bank).items()
        }

    def set_penalties(
        self, reports: Mapping[str, float], feedback: Mapping[str, tuple[float, float, str | None]]
    ) -> None:
        """Note what lateness costs now.

        reports: submission -> points off. feedback: submission -> points, points off, and the archive with new pages.
        """
        with self._write() as session:
            for submission_id, off in reports.items():
                session.execute(
                    update(Report).where(Report.submission_id == submission_id).values(late_penalty=off)
                )
            for submission_id, (points, off, sha256) in feedback.items():
                values = {"points": points, "late_penalty": off} | ({"sha256": sha256} if sha256 else {})
                session.execute(
                    update(Feedback).where(Feedback.submission_id == submission_id).values(**values)
                )


def put_schedule(row: Release, schedule: Schedule) -> None:
    """Write a schedule into a release's row."""
    for field in fields(schedule):
        setattr(row, field.name, getattr(schedule, field.name))


def schedule_of(row: Release) -> Schedule:
    """The schedule of a release."""
    return Schedule(**{field.name: getattr(row, field.name) for field in fields(Schedule)})


def times_of(row: Release) -> Times:
    """The times of a release for those without an extension."""
    return Times(row.opens_at, row.due_at, row.cutoff_at)


def hold_to_schedule(session: Session, release: Release, username: str, *, last_word: bool) -> None:
    """Raise NotNow when this student cannot hand in now.

    last_word: a submission follows in this transaction, and another one of the same student waits until it ends.
    """
    course, lab = release.course, release.lab
    used = 0
    if release.attempts is not None:
        if last_word and session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
            key = sql_cast(f"{course}/{lab}/{username}", Text)
            session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
        mine = (Submission.course == course, Submission.lab == lab, Submission.username == username)
        used = session.scalar(select(func.count()).select_from(Submission).where(*mine)) or 0
    extended = _extended(session, course, username, Extension.lab == lab)
    times = with_extensions(times_of(release), extended.get(lab, ()))
    refused = refusal(times, release.attempts, used, datetime.now(UTC), lab)
    if refused is not None:
        raise refused


def _extended(
    session: Session, course: str, username: str, *which: ColumnElement[bool]
) -> dict[str, list[Later]]:
    """The extensions of one student, their own and their group's, by lab."""
    section = select(Member.section).where(Member.course == course, Member.username == username)
    query = select(Extension.lab, Extension.due_at, Extension.cutoff_at).where(
        Extension.course == course,
        *which,
        or_(
            Extension.username == username,
            (Extension.section != "") & (Extension.section == section.scalar_subquery()),
        ),
    )
    found: dict[str, list[Later]] = {}
    for lab, due_at, cutoff_at in session.execute(query):
        found.setdefault(lab, []).append((due_at, cutoff_at))
    return found


def _all_extensions(session: Session, course: str) -> Extended:
    own: dict[tuple[str, str], Later] = {}
    groups: dict[tuple[str, str], Later] = {}
    for row in session.scalars(select(Extension).where(Extension.course == course)):
        for of, name in ((own, row.username), (groups, row.section)):
            if name:
                of[(row.lab, name)] = (row.due_at, row.cutoff_at)
    return Extended(own, groups)


def _sections(session: Session, course: str) -> dict[str, str]:
    query = select(Member.username, Member.section).where(Member.course == course, Member.section != "")
    return {row[0]: row[1] for row in session.execute(query)}


def _work(row: Release, times: Times, received_at: datetime) -> HandedIn:
    return HandedIn(row.lab, received_at, times.due_at, cast(LateKind, row.late_kind), row.late_percent)


def _release(session: Session, course: str, lab: str) -> Release:
    row = session.scalar(select(Release).where(Release.course == course, Release.lab == lab))
    if row is None:
        raise NotThere(f"{lab} is not released in {course}. List the course's labs for the names.")
    return row
