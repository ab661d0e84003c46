"""Questions of a course for programs: what the pages of pages/questions.py do, as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grader import writing
from grader.people import Person
from grader.questions import LONGEST_TEXT, LONGEST_TITLE, Asked, QuestionRefused, Said
from grader.store import NotThere
from hub.portal.asking import is_topic, topics_of, wanted_of
from hub.portal.desk import Desk
from hub.portal.mailings import mail_answer
from hub.portal.paging import paged_from

_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds
_MOST_BYTES = 64 * 1024
_NO_QUESTION = "There is no such course or question for you. List your questions for the numbers."


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class Answer(_Sent):
    """A post for a thread."""


class Ask(_Sent):
    """A question. exercise: an exercise's id, with its lab. named: classmates see who asks, if it is shown to them."""

    title: str = Field(min_length=1, max_length=LONGEST_TITLE)
    lab: str | None = None
    exercise: str | None = None
    shown_to: Literal["instructors", "course"] = "instructors"
    named: bool = False


_Model = TypeVar("_Model", bound=_Sent)


def question_api(desk: Desk, person: Callable[..., Awaitable[Person]]) -> APIRouter:
    """Routes under /api/questions. `person`: the dependency that says who asks."""
    router = APIRouter(prefix="/api/questions/{course}", tags=["questions"])
    who, body, store = Depends(person), Depends(_body), desk.store

    @router.get("")
    def list_questions(
        *,
        course: str,
        q: str = "",
        lab: str = "",
        state: str = "",
        mine: str = "",
        page: int = 1,
        person: Person = who,
    ) -> dict[str, Any]:
        """Questions that the person may see, a page of them. q: words in title or text. state: open, answered, closed."""
        _learner(desk, person, course)
        wanted = wanted_of(topics_of(desk, course), q, lab, state, mine)
        shown = paged_from(
            store.count_questions(course, person, wanted),
            page,
            lambda start, most: store.questions(course, person, wanted, start, most),
        )
        rows = [_shown(each) for each in shown.rows]
        return {"questions": rows, "page": shown.number, "pages": shown.pages, "total": shown.total}

    @router.post("", status_code=201, openapi_extra=_described(Ask))
    def ask(course: str, person: Person = who, body: bytes = body) -> dict[str, Any]:
        """Ask a question."""
        _learner(desk, person, course)
        sent = _read(Ask, body)
        if not is_topic(topics_of(desk, course), sent.lab, sent.exercise):
            raise HTTPException(
                422, "The course has no such lab or exercise. List its releases for the names."
            )
        desk.limits.posts.press(person.name)
        try:
            number = store.ask(course, person, **sent.model_dump())
        except QuestionRefused as error:
            raise HTTPException(422, str(error)) from error
        return _shown(store.question(course, number, person))

    @router.get("/{number}")
    def read(course: str, number: _Number, page: int = 1, person: Person = who) -> dict[str, Any]:
        """A question with a page of its thread; it stays new on its author's first page."""
        asked = _question(desk, person, course, number)
        shown = paged_from(asked.posts, page, lambda start, most: store.posts(asked, person, start, most))
        thread = [_shown(each) for each in shown.rows]
        return _shown(asked) | {"thread": thread, "page": shown.number, "pages": shown.pages}

    @router.post("/{number}", status_code=201, openapi_extra=_described(Answer))
    def answer(course: str, number: _Number, person: Person = who, body: bytes = body) -> dict[str, Any]:
        """Add to a thread."""
        _question(desk, person, course, number)
        sent = _read(Answer, body)
        desk.limits.posts.press(person.name)
        try:
            asked = store.answer(course, number, person, sent.text)
        except QuestionRefused as error:
            raise HTTPException(409, str(error)) from error
        mail_answer(store, desk.settings, asked, person, writing.text(sent.text))
        return _shown(asked)

    return router


def _learner(desk: Desk, person: Person, course: str) -> None:
    if not person.may_learn(course):
        raise HTTPException(404, _NO_QUESTION)
    try:
        desk.store.course(course)
    except NotThere:  # a group of the hub can outlive its course
        raise HTTPException(404, _NO_QUESTION) from None


def _question(desk: Desk, person: Person, course: str, number: int) -> Asked:
    try:
        return desk.store.question(course, number, person)
    except NotThere:
        raise HTTPException(404, _NO_QUESTION) from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "That is too much text for one post. Shorten it.")
    return bytes(body)


def _read(model: type[_Model], body: bytes) -> _Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HTTPException(422, f"{where or 'The body'}: {first['msg']}.") from error


def _described(model: type[BaseModel]) -> dict[str, Any]:
    """The body for the OpenAPI description; it is read by hand, in bounds."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _shown(row: Asked | Said) -> dict[str, Any]:
    """As JSON; an author who is not told to this person is null."""
    return row._asdict() | {"author": row.author or None, "name": row.name or None}
