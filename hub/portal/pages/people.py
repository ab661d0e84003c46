"""An instructor's pages about the people of a course: the list, one person, and a roster with what it will change."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from grader.memberlog import RosterMoved
from grader.models import Member
from grader.roster import (
    MAX_ROSTER_BYTES,
    MAX_ROSTER_ROWS,
    MemberRow,
    RosterRefused,
    RosterRow,
    decode_roster,
    plan_roster,
    read_roster,
    write_roster,
)
from grader.store import AlreadyThere, RecordError
from hub.portal.csrf import Upload, read_upload
from hub.portal.desk import Desk, no_page
from hub.portal.login import Visitor

_Form = tuple[Visitor, dict[str, str]]
_Sent = tuple[Visitor, Upload]
_ON_A_PAGE = 100
_MOST_PROBLEMS = 50
_SOON = "It counts within half a minute."  # the hub looks at groups again after 10 s, the portal too


def people_pages(desk: Desk) -> APIRouter:
    """Routes about the people of a course, for those who teach it."""
    router = APIRouter(prefix="/courses/{course}")
    _list(router, desk)
    _person(router, desk)
    _roster(router, desk)
    return router


def _list(router: APIRouter, desk: Desk) -> None:
    who, sent = Depends(desk.visitor), Depends(desk.form)

    @router.get("/people")
    def people(course: str, q: str = "", page: int = 1, visitor: Visitor = who) -> Response:
        """Everybody in the course, a hundred at a time."""
        desk.taught(visitor, course)
        return _people_page(desk, visitor, course, q, page)

    @router.post("/people")
    def add(course: str, form: _Form = sent) -> Response:
        """Put one person into the course."""
        visitor, fields = form
        desk.taught(visitor, course)
        row = _row_of(fields.get("username", "").strip(), fields)
        try:
            desk.store.add_member(course, row)
        except (RosterRefused, AlreadyThere) as problem:
            return _people_page(desk, visitor, course, entered=row, problem=_sentence(problem))
        visitor.session.notice = f"{row.username} is in the course. {_SOON}"
        return desk.to("courses", course, "people")

    @router.get("/roster.csv")
    def download(course: str, visitor: Visitor = who) -> Response:
        """Everybody in the course, as a roster."""
        desk.taught(visitor, course)
        return Response(
            write_roster(desk.store.members(course)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="roster-{course}.csv"'},
        )


def _people_page(
    desk: Desk,
    visitor: Visitor,
    course: str,
    q: str = "",
    page: int = 1,
    *,
    entered: MemberRow | None = None,
    problem: str = "",
) -> Response:
    members = desk.store.members(course)
    found = sorted(
        (each for each in members if _matches(each, q)),
        key=lambda each: (each.role != "instructor", each.section, each.username),
    )
    pages = max(1, -(-len(found) // _ON_A_PAGE))
    page = min(max(page, 1), pages)
    return desk.render.page(
        "people.html",
        visitor,
        422 if problem else 200,
        course=desk.store.course(course),
        members=found[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE],
        last=desk.store.last_submissions(course),
        found=len(found),
        total=len(members),
        instructors=sum(each.role == "instructor" for each in members),
        assistants=sum(each.role == "assistant" for each in members),
        q=q,
        number=page,
        pages=pages,
        entered=entered or MemberRow(""),
        problem=problem,
    )


def _matches(member: Member, q: str) -> bool:
    wanted = q.strip().casefold()
    said = (member.username, member.name, member.email, member.section, member.role)
    return any(wanted in value.casefold() for value in said)


def _person(router: APIRouter, desk: Desk) -> None:
    who, sent = Depends(desk.visitor), Depends(desk.form)

    @router.get("/people/{username}")
    def person(course: str, username: str, visitor: Visitor = who) -> Response:
        """One person's values, to change."""
        desk.taught(visitor, course)
        return _person_page(desk, visitor, _member(desk, course, username))

    @router.post("/people/{username}")
    def change(course: str, username: str, form: _Form = sent) -> Response:
        """Give a person other values."""
        visitor, fields = form
        desk.taught(visitor, course)
        member = _member(desk, course, username)
        row = _row_of(username, fields)
        try:
            desk.store.change_member(course, row)
        except (RosterRefused, RecordError) as problem:
            return _person_page(desk, visitor, member, row, _sentence(problem))
        moved = f" {_SOON}" if row.role != member.role else ""
        visitor.session.notice = f"{username} is changed.{moved}"
        return desk.to("courses", course, "people")

    @router.get("/people/{username}/remove")
    def ask(course: str, username: str, visitor: Visitor = who) -> Response:
        """What removing a person does and what is kept, before it is done."""
        desk.taught(visitor, course)
        return _removal_page(desk, visitor, _member(desk, course, username))

    @router.post("/people/{username}/remove")
    def remove(course: str, username: str, form: _Form = sent) -> Response:
        """Take a person out of the course."""
        visitor = form[0]
        desk.taught(visitor, course)
        member = _member(desk, course, username)
        try:
            desk.store.unenrol(course, username)
        except RecordError as problem:
            return _removal_page(desk, visitor, member, str(problem))
        visitor.session.notice = f"{username} is out of the course. What was handed in is kept. {_SOON}"
        return desk.to("courses", course, "people")


def _member(desk: Desk, course: str, username: str) -> Member:
    found = next((each for each in desk.store.members(course) if each.username == username), None)
    if found is None:
        raise no_page()
    return found


def _person_page(
    desk: Desk, visitor: Visitor, member: Member, entered: MemberRow | None = None, problem: str = ""
) -> Response:
    return desk.render.page(
        "person.html",
        visitor,
        422 if problem else 200,
        course=desk.store.course(member.course),
        member=member,
        entered=entered or member,
        problem=problem,
    )


def _removal_page(desk: Desk, visitor: Visitor, member: Member, problem: str = "") -> Response:
    return desk.render.page(
        "remove.html",
        visitor,
        409 if problem else 200,
        course=desk.store.course(member.course),
        member=member,
        handed_in=len(desk.store.submissions_of(member.username, member.course)),
        problem=problem,
    )


def _row_of(username: str, fields: dict[str, str]) -> MemberRow:
    said = {key: fields.get(key, "").strip() for key in ("name", "email", "section")}
    role = fields.get("role", "student")
    return MemberRow(username, role, **said)  # type: ignore[arg-type]  # the record refuses what is no role


def _roster(router: APIRouter, desk: Desk) -> None:
    who = Depends(desk.visitor)

    async def roster_form(request: Request) -> _Sent:
        visitor = await desk.visitor(request)
        return visitor, await read_upload(request, visitor.session, MAX_ROSTER_BYTES + 10_000)

    sent = Depends(roster_form)

    @router.get("/roster")
    def ask(course: str, visitor: Visitor = who) -> Response:
        """Paste a roster, or choose a file."""
        desk.taught(visitor, course)
        return _roster_page(desk, visitor, course)

    @router.post("/roster")
    def preview(course: str, form: _Sent = sent) -> Response:
        """What a roster will change. Nothing is changed yet."""
        visitor, upload = form
        desk.taught(visitor, course)
        try:
            text = decode_roster(upload.file) if upload.file else upload.fields.get("roster", "")
        except RosterRefused as problem:
            return _roster_page(desk, visitor, course, problems=[f"The file is {problem}"])
        rows, problems = read_roster(text)
        if problems or not rows:
            return _roster_page(desk, visitor, course, text, problems or ["There is no row in it."])
        return _preview_page(desk, visitor, course, text, rows)

    @router.post("/roster/apply")
    def apply(course: str, form: _Sent = sent) -> Response:
        """Change what was shown, and nothing else."""
        visitor, upload = form
        desk.taught(visitor, course)
        text = upload.fields.get("roster", "")
        rows, problems = read_roster(text)
        if problems or not rows:
            return _roster_page(desk, visitor, course, text, problems or ["There is no row in it."])
        try:
            plan = desk.store.apply_roster(course, rows, upload.fields.get("shown", ""))
        except RosterMoved as moved:
            return _preview_page(desk, visitor, course, text, rows, moved=str(moved))
        except RecordError as problem:
            return _roster_page(desk, visitor, course, text, [str(problem)])
        visitor.session.notice = (
            f"The roster is applied: {len(plan.added)} added, {len(plan.changed)} changed. {_SOON}"
        )
        return desk.to("courses", course, "people")


def _roster_page(
    desk: Desk, visitor: Visitor, course: str, text: str = "", problems: list[str] | None = None
) -> Response:
    said = problems or []
    return desk.render.page(
        "roster.html",
        visitor,
        422 if said else 200,
        course=desk.store.course(course),
        text=text,
        problems=said[:_MOST_PROBLEMS],
        more=max(0, len(said) - _MOST_PROBLEMS),
        most_rows=MAX_ROSTER_ROWS,
    )


def _preview_page(
    desk: Desk, visitor: Visitor, course: str, text: str, rows: list[RosterRow], *, moved: str = ""
) -> Response:
    values: dict[str, Any] = {"course": desk.store.course(course), "text": text, "moved": moved}
    plan = plan_roster(desk.store.members(course), rows)
    return desk.render.page("preview.html", visitor, 409 if moved else 200, plan=plan, **values)


def _sentence(problem: Exception) -> str:
    said = str(problem).rstrip(".")
    return f"{said[0].upper()}{said[1:]}."
