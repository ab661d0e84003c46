"""Questions in the record: what was asked and answered, who sees it, and whose name is kept from whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select
from sqlalchemy.orm import Session

from grader import writing
from grader.database import Database, NotThere, RecordError
from grader.models import Course, Member, Post, Question, Release
from grader.people import Person

LONGEST_TITLE = 200
LONGEST_TEXT = 5_000  # a form of the portal holds 64 KiB, and a Chinese character takes nine bytes of it
MOST_POSTS = 200  # of one thread
OPEN, ANSWERED, CLOSED, WITHDRAWN = "open", "answered", "closed", "withdrawn"
STATES = (OPEN, ANSWERED, CLOSED)  # to look for
INSTRUCTORS, COURSE = "instructors", "course"  # whom a question is shown to; assistants count as the former
_NONE = "There is no such question for you. List the questions again."


class QuestionRefused(RecordError):
    """A question or an answer that cannot be kept; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """Which questions are looked for; empty is all. text: words that each stand in the title or in a post."""

    text: str = ""
    lab: str = ""
    state: str = ""
    mine: bool = False


class Asked(NamedTuple):
    """A question as one person sees it. author: "" when it is not told to this person. news: for its author."""

    id: int
    course: str
    lab: str | None
    exercise: str | None
    author: str
    name: str
    at: datetime
    title: str
    shown_to: str
    named: bool
    state: str
    last_at: datetime
    posts: int
    news: bool
    is_mine: bool
    may_reply: bool


class Said(NamedTuple):
    """A post as one person sees it. text: "" for those who do not see what was withdrawn."""

    id: int
    author: str
    name: str
    role: str
    at: datetime
    text: str
    withdrawn_at: datetime | None
    by_asker: bool
    may_withdraw: bool


class QuestionLog(Database):
    """The record's questions. A question that somebody may not see is not there for them."""

    def ask(
        self,
        course: str,
        person: Person,
        title: str,
        text: str,
        *,
        lab: str | None = None,
        exercise: str | None = None,
        shown_to: str = INSTRUCTORS,
        named: bool = False,
    ) -> int:
        """Ask something; return the question's number. named: classmates see who asks. Raises QuestionRefused, NotThere."""
        title, text = writing.line(title), writing.text(text)
        if not title:
            raise QuestionRefused("A question has a title and a text. Write both.")
        _check(title, text)
        now = datetime.now(UTC)
        with self._write() as session:
            if not person.may_learn(course) or session.get(Course, course) is None:
                raise NotThere(_NONE)
            if lab is not None:
                released = select(Release.id).where(Release.course == course, Release.lab == lab)
                if session.scalar(released) is None:
                    raise QuestionRefused("The course has no such lab. Choose one of its labs, or none.")
            row = Question(
                course=course, lab=lab, exercise=exercise if lab else None, author=person.name, at=now,
                title=title, shown_to=shown_to, named=named and shown_to == COURSE, state=OPEN, last_at=now,
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.add(_post(row, person, text, now))
        return row.id

    def answer(self, course: str, number: int, person: Person, text: str) -> Asked:
        """Add to a thread. An instructor's or assistant's post answers it, its author's opens it again.

        A classmate's does neither: somebody who teaches should still look. Raises QuestionRefused, NotThere.
        """
        text = writing.text(text)
        _check("", text)
        with self._write() as session:
            row = _find(session, course, number, person)
            if not _may_reply(row, person):
                raise QuestionRefused("This question takes no more answers. Ask a new one.")
            posts = select(func.count()).select_from(Post).where(Post.question == number)
            if (session.scalar(posts) or 0) >= MOST_POSTS:
                raise QuestionRefused("This thread is as long as threads can be. Ask a new question.")
            row.last_at = datetime.now(UTC)
            session.add(_post(row, person, text, row.last_at))
            if row.author == person.name:
                row.state = OPEN
            else:
                row.news = True
                row.state = ANSWERED if person.may_help(course) else row.state
        return self.question(course, number, person)

    def question(self, course: str, number: int, person: Person) -> Asked:
        """One question. Raises NotThere."""
        with self._read() as session:
            found = session.execute(
                _as_asked(_visible(course, person)).where(Question.id == number)
            ).one_or_none()
        if found is None:
            raise NotThere(_NONE)
        return _asked(person, *found)

    def questions(self, course: str, person: Person, wanted: Wanted, start: int, most: int) -> list[Asked]:
        """What this person sees of a course: the newest first, and before them, for who answers, what waits longest."""
        query = _as_asked(_visible(course, person), _looked_for(course, person, wanted))
        if person.may_help(course):
            waits = Question.state == OPEN
            query = query.order_by(case((waits, 0), else_=1), case((waits, Question.last_at)))
        query = query.order_by(Question.last_at.desc(), Question.id.desc()).offset(start).limit(most)
        with self._read() as session:
            return [_asked(person, *found) for found in session.execute(query)]

    def count_questions(self, course: str, person: Person, wanted: Wanted) -> int:
        """How many there are of `questions`."""
        query = (
            select(func.count())
            .select_from(Question)
            .outerjoin(Member, _IS_AUTHOR)
            .where(_visible(course, person), _looked_for(course, person, wanted))
        )
        with self._read() as session:
            return session.scalar(query) or 0

    def posts(self, asked: Asked, person: Person, start: int, most: int) -> list[Said]:
        """A part of a thread that this person may see, oldest first."""
        query = (
            select(Post, Member.name)
            .outerjoin(Member, and_(Member.course == asked.course, Member.username == Post.author))
            .where(Post.question == asked.id)
            .order_by(Post.id)
            .offset(start)
            .limit(most)
        )
        with self._read() as session:
            asker = session.scalar(select(Question.author).where(Question.id == asked.id))
            return [_said(post, name, asker, asked, person) for post, name in session.execute(query)]

    def close_question(self, course: str, number: int, person: Person) -> None:
        """Say that a question needs no more answers; its author does, or who answers. Raises NotThere."""
        with self._write() as session:
            row = _find(session, course, number, person)
            if row.author != person.name and not person.may_help(course):
                raise NotThere(_NONE)
            if row.state != WITHDRAWN:
                row.state = CLOSED

    def show_question(self, course: str, number: int, person: Person, shown_to: str) -> None:
        """Show a question to the course, or to instructors only again; its author is named only if they chose so.

        Raises NotThere.
        """
        with self._write() as session:
            row = _find(session, course, number, person)
            if not person.may_help(course):
                raise NotThere(_NONE)
            row.shown_to = shown_to

    def withdraw_post(self, course: str, number: int, post: int, person: Person) -> None:
        """Take a post back; the first one takes the question with it. Raises NotThere."""
        with self._write() as session:
            row = _find(session, course, number, person)
            said = session.get(Post, post)
            if said is None or said.question != number or not _may_withdraw(said, course, person):
                raise NotThere(_NONE)
            said.withdrawn_at, said.withdrawn_by = datetime.now(UTC), person.name
            session.flush()
            if session.scalar(select(func.min(Post.id)).where(Post.question == number)) == post:
                row.state, row.news = WITHDRAWN, False
            elif row.state == ANSWERED and session.scalar(_answers(row)) is None:
                row.state = OPEN

    def question_read(self, asked: Asked, person: Person) -> None:
        """Note that its author has read a thread."""
        if asked.is_mine and asked.news:
            with self._write() as session:
                _find(session, asked.course, asked.id, person).news = False

    def question_news(self, person: Person, courses: Iterable[str], most: int) -> list[Asked]:
        """This person's own questions with something that they have not read, newest first."""
        query = (
            _as_asked(
                Question.author == person.name, Question.course.in_(list(courses)), Question.news.is_(True)
            )
            .order_by(Question.last_at.desc())
            .limit(most)
        )
        with self._read() as session:
            return [_asked(person, *found) for found in session.execute(query)]

    def count_waiting(self, courses: Iterable[str]) -> dict[str, int]:
        """How many questions of each course wait for an answer."""
        query = (
            select(Question.course, func.count())
            .where(Question.course.in_(list(courses)), Question.state == OPEN)
            .group_by(Question.course)
        )
        with self._read() as session:
            return {course: count for course, count in session.execute(query)}  # noqa: C416 (dict() of rows has no type)


_IS_AUTHOR = and_(Member.course == Question.course, Member.username == Question.author)


def _check(title: str, text: str) -> None:
    if not text:
        raise QuestionRefused("There is no text. Write what you want to say.")
    if len(title) > LONGEST_TITLE or len(text) > LONGEST_TEXT:
        raise QuestionRefused("That is too long. Shorten it, or say it in more than one post.")


def _visible(course: str, person: Person) -> ColumnElement[bool]:
    """Who sees what, for every way to a question."""
    if not person.may_learn(course):
        return false()
    if person.may_help(course):
        return Question.course == course
    shared = and_(Question.shown_to == COURSE, Question.state != WITHDRAWN)
    return and_(Question.course == course, or_(Question.author == person.name, shared))


def _looked_for(course: str, person: Person, wanted: Wanted) -> ColumnElement[bool]:
    """`wanted`, with names among the words for those who see all names anyway."""
    found: list[ColumnElement[bool]] = [Question.course == course]
    if wanted.lab:
        found.append(Question.lab == wanted.lab)
    if wanted.state:
        found.append(Question.state == wanted.state)
    if wanted.mine:
        found.append(Question.author == person.name)
    for word in wanted.text.split():
        said = exists().where(
            Post.question == Question.id,
            Post.withdrawn_at.is_(None),
            Post.text.icontains(word, autoescape=True),
        )
        places = [Question.title.icontains(word, autoescape=True), said]
        if person.may_help(course):
            places += [each.icontains(word, autoescape=True) for each in (Question.author, Member.name)]
        found.append(or_(*places))
    return and_(*found)


def _as_asked(*which: ColumnElement[bool]) -> Any:  # a Select of what `_asked` takes
    posts = select(func.count()).where(Post.question == Question.id).scalar_subquery()
    return select(Question, Member.name, posts).outerjoin(Member, _IS_AUTHOR).where(*which)


def _asked(person: Person, row: Question, name: str | None, posts: int) -> Asked:
    is_mine = row.author == person.name
    told = is_mine or row.named or person.may_help(row.course)
    return Asked(
        id=row.id, course=row.course, lab=row.lab, exercise=row.exercise,
        author=row.author if told else "", name=(name or "") if told else "",
        at=row.at, title=row.title, shown_to=row.shown_to, named=row.named, state=row.state, last_at=row.last_at,
        posts=posts, news=row.news and is_mine, is_mine=is_mine, may_reply=_may_reply(row, person),
    )  # fmt: skip


def _said(post: Post, name: str | None, asker: str | None, asked: Asked, person: Person) -> Said:
    by_asker = post.author == asker
    told = not by_asker or bool(asked.author)
    shown = post.withdrawn_at is None or person.may_help(asked.course)
    return Said(
        id=post.id, author=post.author if told else "", name=(name or "") if told else "",
        role=post.role if told else "", at=post.at, text=post.text if shown else "",
        withdrawn_at=post.withdrawn_at, by_asker=by_asker,
        may_withdraw=_may_withdraw(post, asked.course, person),
    )  # fmt: skip


def _find(session: Session, course: str, number: int, person: Person) -> Question:
    query = select(Question).where(_visible(course, person), Question.id == number)
    row = session.scalar(query.with_for_update())
    if row is None:
        raise NotThere(_NONE)
    return row


def _post(row: Question, person: Person, text: str, at: datetime) -> Post:
    return Post(question=row.id, author=person.name, role=person.role(row.course), at=at, text=text)


def _may_reply(row: Question, person: Person) -> bool:
    """Classmates may answer what is shown to them: who has just understood something often explains it best."""
    ends_here = row.author != person.name and not person.may_help(row.course)
    return row.state != WITHDRAWN and not (row.state == CLOSED and ends_here)


def _may_withdraw(post: Post, course: str, person: Person) -> bool:
    """One's own; an instructor any, and an assistant any of a student's."""
    helped = person.may_help(course) and post.role == "student"
    ours = post.author == person.name or person.may_teach(course) or helped
    return ours and post.withdrawn_at is None


def _answers(row: Question) -> Any:
    """The posts that stand and make a question an answered one."""
    return select(Post.id).where(
        Post.question == row.id,
        Post.role != "student",
        Post.author != row.author,
        Post.withdrawn_at.is_(None),
    )
