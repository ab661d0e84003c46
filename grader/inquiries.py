"""Inquiries in the record: what students ask about their marks, and every step of what came of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader import writing
from grader.database import Database, NotThere, RecordError
from grader.models import Inquiry, InquiryStep, Submission

LONGEST_REASON = 2_000  # characters, of a student
LONGEST_ANSWER = 4_000
MOST_STEPS = 100  # of one inquiry
MOST_LISTED = 1_000


class InquiryRefused(RecordError):
    """A step that an inquiry does not take; the message says why."""


class InquiryLog(Database):
    """The record's inquiries. One goes open -> answered -> open again or closed, and its steps are only added to."""

    def inquire(self, submission: Submission, exercise: str, reason: str) -> Inquiry:
        """Ask about an exercise of a submission, or about the whole (exercise: ""), as its student.

        Raises InquiryRefused, also when there is an inquiry about it already: it goes on in that one.
        """
        reason = _text(reason, LONGEST_REASON)
        try:
            with self._write() as session:
                row = Inquiry(
                    course=submission.course,
                    lab=submission.lab,
                    submission_id=submission.id,
                    username=submission.username,
                    exercise=exercise,
                    state="open",
                    changed_at=datetime.now(UTC),
                )
                session.add(row)
                session.flush()
                _step(session, row, "asked", submission.username, reason)
        except IntegrityError:
            raise InquiryRefused(
                "There is an inquiry about this already. Go on there instead of asking anew."
            ) from None
        return row

    def reopen_inquiry(self, number: int, *, by: str, reason: str) -> Inquiry:
        """Ask once more, as the student, after an answer or after having closed it oneself. Raises InquiryRefused."""
        reason = _text(reason, LONGEST_REASON)
        with self._write() as session:
            row, steps = _whole(session, number)
            if row.state == "open" or (row.state == "closed" and steps[-1].by != row.username):
                raise InquiryRefused("This inquiry cannot be opened again.")
            row.state = "open"
            _step(session, row, "reopened", by, reason)
        return row

    def answer_inquiry(
        self, number: int, *, by: str, text: str, points: tuple[float, float] | None = None
    ) -> Inquiry:
        """Answer. points: of the exercise before and after, if they were changed. Raises InquiryRefused."""
        text = _text(text, LONGEST_ANSWER)
        with self._write() as session:
            row, _ = _whole(session, number)
            if row.state == "closed":
                raise InquiryRefused(
                    "This inquiry is closed. The student can open it again if they closed it."
                )
            row.state = "answered"
            if points is not None:
                _step(session, row, "mark", by, points=points)
            _step(session, row, "answered", by, text)
        return row

    def close_inquiry(self, number: int, *, by: str) -> Inquiry:
        """Let nothing more be asked; a student may open again what they closed themselves. Raises InquiryRefused."""
        with self._write() as session:
            row, _ = _whole(session, number)
            if row.state == "closed":
                raise InquiryRefused("This inquiry is closed already.")
            row.state = "closed"
            _step(session, row, "closed", by)
        return row

    def inquiry(self, number: int) -> tuple[Inquiry, list[InquiryStep]]:
        """One inquiry with its steps, oldest first. Raises NotThere."""
        with self._read() as session:
            return _whole(session, number)

    def inquiries(self, course: str) -> list[Inquiry]:
        """Those of a course, the open ones first, newest first, MOST_LISTED at most."""
        query = (
            select(Inquiry)
            .where(Inquiry.course == course)
            .order_by(Inquiry.state != "open", Inquiry.changed_at.desc(), Inquiry.id.desc())
            .limit(MOST_LISTED)
        )
        with self._read() as session:
            return list(session.scalars(query))

    def count_open_inquiries(self, course: str) -> int:
        """How many of a course wait for an answer."""
        query = select(func.count()).where(Inquiry.course == course, Inquiry.state == "open")
        with self._read() as session:
            return session.scalar(query) or 0

    def inquiries_about(self, submission_id: str) -> list[tuple[Inquiry, list[InquiryStep]]]:
        """Those about one submission with their steps, oldest first."""
        query = select(Inquiry).where(Inquiry.submission_id == submission_id).order_by(Inquiry.id)
        with self._read() as session:
            rows = list(session.scalars(query))
            steps = _steps(session, [row.id for row in rows])
        return [(row, [step for step in steps if step.inquiry_id == row.id]) for row in rows]

    def answered_inquiries(self, username: str, *, since: datetime, most: int) -> list[Inquiry]:
        """A student's newest that were answered and not asked again."""
        query = (
            select(Inquiry)
            .where(Inquiry.username == username, Inquiry.state == "answered", Inquiry.changed_at >= since)
            .order_by(Inquiry.changed_at.desc(), Inquiry.id.desc())
            .limit(most)
        )
        with self._read() as session:
            return list(session.scalars(query))


def _text(text: str, longest: int) -> str:
    text = writing.text(text).strip()
    if not text:
        raise InquiryRefused("There is no text. Write some.")
    if len(text) > longest:
        raise InquiryRefused(f"The text has {len(text)} characters; {longest} at most. Shorten it.")
    return text


def _whole(session: Session, number: int) -> tuple[Inquiry, list[InquiryStep]]:
    row = session.get(Inquiry, number)
    if row is None:
        raise NotThere(f"There is no inquiry {number}. List them again.")
    return row, _steps(session, [number])


def _steps(session: Session, inquiries: Collection[int]) -> list[InquiryStep]:
    query = select(InquiryStep).where(InquiryStep.inquiry_id.in_(list(inquiries))).order_by(InquiryStep.id)
    return list(session.scalars(query))


def _step(
    session: Session,
    row: Inquiry,
    kind: str,
    by: str,
    text: str = "",
    *,
    points: tuple[float, float] | None = None,
) -> None:
    taken = session.scalar(select(func.count()).where(InquiryStep.inquiry_id == row.id)) or 0
    if taken >= MOST_STEPS:
        raise InquiryRefused(
            "So much was said about this already that it cannot be kept here. Talk in person."
        )
    before, after = points or (None, None)
    row.changed_at = datetime.now(UTC)
    session.add(
        InquiryStep(
            inquiry_id=row.id,
            kind=kind,
            by=by,
            at=row.changed_at,
            text=text,
            points_before=before,
            points_after=after,
        )
    )
