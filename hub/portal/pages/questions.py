"""Questions of a course: everybody in it asks, instructors and assistants answer in a thread, classmates may help."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Path
from starlette.responses import RedirectResponse, Response

from grader import writing
from grader.questions import (
    COURSE,
    INSTRUCTORS,
    LONGEST_TEXT,
    LONGEST_TITLE,
    Asked,
    QuestionRefused,
)
from grader.store import NotThere
from hub.portal.asking import is_topic, titles, topics_of, wanted_of
from hub.portal.desk import Desk, no_page
from hub.portal.languages import gettext as _
from hub.portal.login import Visitor
from hub.portal.mailings import mail_answer
from hub.portal.paging import paged_from
from hub.portal.prose import pieces

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds
_POSTS = 20  # of one page of a thread
_LOOK_S = 10  # between two looks at a thread that waits for an answer
_MOST_NEW = 5  # on the first page; the course's own page marks all


def question_pages(desk: Desk) -> APIRouter:
    """Routes below courses/{course}/questions."""
    router = APIRouter(prefix="/courses/{course}/questions")
    _list(router, desk)
    _new(router, desk)
    _thread(router, desk)
    _changes(router, desk)
    return router


def questions_at_home(desk: Desk, visitor: Visitor) -> dict[str, Any]:
    """What is new about questions, for a person's first page."""
    person, store = visitor.person, desk.store
    helped = sorted(person.helped_courses)
    counts = store.count_waiting(helped) if helped else {}
    return {
        "answers": [
            {"asked": each, "page": _last_page(each)}
            for each in store.question_news(person, person.courses, _MOST_NEW)
        ],
        "waiting": [(course, counts.get(course, 0)) for course in helped],
    }


def _list(router: APIRouter, desk: Desk) -> None:
    who, store = Depends(desk.visitor), desk.store

    @router.get("")
    def questions(
        *,
        course: str,
        q: str = "",
        lab: str = "",
        state: str = "",
        mine: str = "",
        page: int = 1,
        visitor: Visitor = who,
    ) -> Response:
        """One's own questions and those that the course is shown; for who answers all, those that wait first."""
        _course(desk, visitor, course)
        found = topics_of(desk, course)
        wanted = wanted_of(found, q, lab, state, mine)
        person = visitor.person
        query = {
            "q": wanted.text,
            "lab": wanted.lab,
            "state": wanted.state,
            "mine": "yes" if wanted.mine else "",
        }
        return desk.render.page(
            "questions.html",
            visitor,
            course=store.course(course),
            topics=found,
            titles=titles(found),
            wanted=wanted,
            query={name: value for name, value in query.items() if value},
            page=paged_from(
                store.count_questions(course, person, wanted),
                page,
                lambda start, most: store.questions(course, person, wanted, start, most),
            ),
            last_page=_last_page,
            helps=person.may_help(course),
        )


def _new(router: APIRouter, desk: Desk) -> None:
    who, sent, store = Depends(desk.visitor), Depends(desk.form), desk.store

    def page(visitor: Visitor, course: str, status: int = 200, **values: Any) -> Response:
        values = {"title": "", "text": "", "about": "", "show": INSTRUCTORS, "problem": ""} | values
        lab = values["about"].partition("/")[0]
        offered = [each for each in topics_of(desk, course) if each.is_offered or each.lab == lab]
        return desk.render.page(
            "ask.html",
            visitor,
            status,
            course=store.course(course),
            topics=offered,
            longest_title=LONGEST_TITLE,
            longest_text=LONGEST_TEXT,
            **values,
        )

    @router.get("/new")
    def form(course: str, lab: str = "", exercise: str = "", visitor: Visitor = who) -> Response:
        """A form; lab, exercise: what the question is about, as far as it is known already."""
        _course(desk, visitor, course)
        return page(visitor, course, about=f"{lab}/{exercise}" if exercise else lab)

    @router.post("/new")
    def ask(course: str, form: _Form = sent) -> Response:
        """Ask."""
        visitor, fields = form
        _course(desk, visitor, course)
        typed = {name: fields.get(name, "") for name in ("title", "text", "about")}
        show = fields.get("show", INSTRUCTORS)
        lab, _slash, exercise = typed["about"].partition("/")
        try:
            if not is_topic(topics_of(desk, course), lab or None, exercise or None):
                raise HTTPException(422, _("The course has no such lab. Choose one of its labs, or none."))
            desk.limits.posts.press(visitor.name)
            number = store.ask(
                course,
                visitor.person,
                typed["title"],
                typed["text"],
                lab=lab or None,
                exercise=exercise or None,
                shown_to=INSTRUCTORS if show == INSTRUCTORS else COURSE,
                named=show == "named",
            )
        except QuestionRefused as problem:
            return page(visitor, course, 422, problem=_(str(problem)), show=show, **typed)
        except HTTPException as problem:  # with what was typed
            return page(visitor, course, problem.status_code, problem=problem.detail, show=show, **typed)
        visitor.session.notice = _("Your question is sent. Your first page tells you when it is answered.")
        return desk.to("courses", course, "questions", str(number))


def _thread(router: APIRouter, desk: Desk) -> None:
    who, sent, store = Depends(desk.visitor), Depends(desk.form), desk.store

    def thread(
        visitor: Visitor, asked: Asked, number: int, status: int = 200, *, text: str = "", problem: str = ""
    ) -> Response:
        person = visitor.person
        return desk.render.page(
            "question.html",
            visitor,
            status,
            course=store.course(asked.course),
            asked=asked,
            titles=titles(topics_of(desk, asked.course)),
            page=paged_from(
                asked.posts, number, lambda start, most: store.posts(asked, person, start, most), _POSTS
            ),
            pieces=pieces,
            helps=person.may_help(asked.course),
            longest_text=LONGEST_TEXT,
            text=text,
            problem=problem,
            refresh_s=_LOOK_S if asked.state == "open" and not problem else 0,
        )

    @router.get("/{number}")
    def question(course: str, number: _Number, page: int = 1, visitor: Visitor = who) -> Response:
        """A thread; its author has read it then."""
        asked = _asked(desk, visitor, course, number)
        store.question_read(asked, visitor.person)
        return thread(visitor, asked, page)

    @router.post("/{number}")
    def answer(course: str, number: _Number, form: _Form = sent) -> Response:
        """Add to a thread."""
        visitor, fields = form
        asked, text = _asked(desk, visitor, course, number), fields.get("text", "")
        try:
            desk.limits.posts.press(visitor.name)
            asked = store.answer(course, number, visitor.person, text)
        except QuestionRefused as problem:
            return thread(visitor, asked, _last_page(asked), 422, text=text, problem=_(str(problem)))
        except HTTPException as problem:  # with what was typed
            said = problem.detail
            return thread(visitor, asked, _last_page(asked), problem.status_code, text=text, problem=said)
        mail_answer(store, desk.settings, asked, visitor.person, writing.text(text))
        way = f"{desk.prefix}courses/{quote(course, safe='')}/questions/{number}"
        return RedirectResponse(f"{way}?page={_last_page(asked)}#newest", 303)


def _changes(router: APIRouter, desk: Desk) -> None:
    sent, store = Depends(desk.form), desk.store

    @router.post("/{number}/close")
    def close(course: str, number: _Number, form: _Form = sent) -> Response:
        """Say that a question needs no more answers."""
        try:
            store.close_question(course, number, form[0].person)
        except NotThere:
            raise no_page() from None
        return desk.to("courses", course, "questions", str(number))

    @router.post("/{number}/show")
    def show(course: str, number: _Number, form: _Form = sent) -> Response:
        """Show a question to the course, or to instructors only again."""
        visitor, fields = form
        _asked(desk, visitor, course, number)
        desk.helped(visitor, course)
        if fields.get("to") not in (COURSE, INSTRUCTORS):
            raise _unclear()
        store.show_question(course, number, visitor.person, fields["to"])
        return desk.to("courses", course, "questions", str(number))

    @router.post("/{number}/withdraw")
    def withdraw(course: str, number: _Number, form: _Form = sent) -> Response:
        """Take a post back."""
        visitor, post = form[0], form[1].get("post", "")
        _asked(desk, visitor, course, number)
        if not (post.isascii() and post.isdigit() and 0 < int(post[:12]) < 2**31):
            raise _unclear()
        try:
            store.withdraw_post(course, number, int(post[:12]), visitor.person)
        except NotThere:
            raise no_page() from None
        visitor.session.notice = _("It is withdrawn. Students do not see it any more.")
        return desk.to("courses", course, "questions", str(number))


def _course(desk: Desk, visitor: Visitor, course: str) -> None:
    if not visitor.person.may_learn(course):
        raise no_page()
    try:
        desk.store.course(course)
    except NotThere:  # a group of the hub can outlive its course
        raise no_page() from None


def _asked(desk: Desk, visitor: Visitor, course: str, number: int) -> Asked:
    try:
        return desk.store.question(course, number, visitor.person)
    except NotThere:
        raise no_page() from None


def _last_page(asked: Asked) -> int:
    return -(-asked.posts // _POSTS)


def _unclear() -> HTTPException:
    return HTTPException(422, _("This form could not be read. Go back and send it again."))
