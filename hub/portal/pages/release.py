"""Releasing labs: choose one, see it as students will, set times, late policy, attempts; change one that is out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from grader.archives import read_member, unpacked
from grader.database import RecordError
from grader.models import Release
from grader.names import NameRefused, check_lab
from grader.schedule import MOST_ATTEMPTS, MOST_BANK_DAYS, Schedule, ScheduleRefused
from grader.schedulelog import LONGEST_REASON, schedule_of
from grader.settings import ExchangeSettings
from grader.store import NotThere
from grader.versions import Changes, changes
from hub.portal import releasing
from hub.portal.catalogue import Entry
from hub.portal.desk import Desk, no_page
from hub.portal.headers import FEEDBACK_POLICY
from hub.portal.kept import Kept
from hub.portal.login import Visitor
from hub.portal.pages.catalogue import TRACKS
from hub.portal.releaseform import entered_of, schedule_from
from labs.model import Lab, LabError

log = logging.getLogger(__name__)

_Form = tuple[Visitor, dict[str, str]]
_Number = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what the column holds
_WAIT_S = 20  # for a release, before the page says that it goes on without it
_MOST_NOTEBOOK_BYTES = 10_000_000
_EXTENSION = ("username", "section", "due", "cutoff", "reason")  # fields of its form
_UNLIMITED = ExchangeSettings(max_archive_mb=1000, max_unpacked_mb=1000, max_files=10_000)  # a file of ours


def release_pages(desk: Desk) -> APIRouter:
    """Routes about what a course is offered, for its instructors."""
    router = APIRouter(prefix="/courses/{course}")
    pages = _Pages(desk)
    _looking(router, desk, pages)
    _releasing(router, desk, pages)
    _extending(router, desk, pages)
    return router


class _Pages:
    """The page of one lab, and the work that goes on behind it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.zone = ZoneInfo(desk.settings.site.timezone)
        self._compared: Kept[Changes | None] = Kept()
        self._under_way: dict[tuple[str, str], asyncio.Task[str]] = {}

    def find(self, visitor: Visitor, course: str, lab: str) -> tuple[Release | None, Entry | None]:
        """What is out under this name, and the lab in the library; one of them is there. Raises HTTPException."""
        self.desk.taught(visitor, course)
        try:
            check_lab(lab)
        except NameRefused:
            raise no_page() from None
        entry = self.desk.catalogue.entries().get(lab)
        try:
            return self.desk.store.find_release(course, lab), entry
        except NotThere:
            if entry is None:
                raise no_page() from None
            return None, entry

    def page(
        self,
        visitor: Visitor,
        course: str,
        lab: str,
        *,
        problem: str = "",
        entered: dict[str, str] | None = None,
        extension: dict[str, str] | None = None,
    ) -> Response:
        """The page. problem: why what was sent was refused; entered, extension: the forms as they were sent."""
        release, entry = self.find(visitor, course, lab)
        store, row = self.desk.store, self.desk.store.course(course)
        is_out = release is not None and release.withdrawn_at is None
        known = schedule_of(release) if release else Schedule()
        return self.desk.render.page(
            "release.html",
            visitor,
            422 if problem else 200,
            course=row,
            lab=lab,
            title=release.title if release else entry.lab.title if entry else lab,
            release=release,
            is_out=is_out,
            entry=entry,
            note=self.desk.catalogue.notes().get(lab, ""),
            new=self._news(release, entry) if is_out else None,
            handed_in=store.turnout(course).labs.get(lab, 0),
            stale=store.graded_before(course, lab, release.released_at) if release else 0,
            entered=entered_of(known, row.late_days, self.zone) | (entered or {}),
            extensions=store.extensions(course, lab) if release else [],
            sections=releasing.sections(self.desk, course) if release else [],
            extension=dict.fromkeys(_EXTENSION, "") | (extension or {}),
            notebooks=_notebooks(self.desk, release, entry),
            most_attempts=MOST_ATTEMPTS,
            most_days=MOST_BANK_DAYS,
            longest_reason=LONGEST_REASON,
            problem=problem,
        )

    def _news(self, release: Release | None, entry: Entry | None) -> Changes | None:
        """What is new in the library since it was released; None where that cannot be said."""
        if release is None or entry is None or not release.source_sha256:
            return None
        files = [(str(file), file.stat()) for file in sorted(entry.lab.folder.rglob("*")) if file.is_file()]
        seen = (release.source_sha256, [(path, stat.st_mtime_ns, stat.st_size) for path, stat in files])
        answer = self._compared.get(
            f"{release.course}/{release.lab}", seen, partial(_compared, self.desk, release, entry.lab)
        )
        return answer.value if answer else None

    async def do(
        self,
        visitor: Visitor,
        course: str,
        lab: str,
        work: Callable[[], str],
        refused: Callable[[str], Response],
    ) -> Response:
        """Do costly work in a thread, once at a time for each lab, and tell how it went. refused: makes the answer."""
        self.desk.limits.releases.press(visitor.name)
        before = self._under_way.get((course, lab))
        if before is not None and not before.done():
            said = "A change of this lab is under way. Look again in a minute."
            return await asyncio.to_thread(refused, said)
        task = self._under_way[(course, lab)] = asyncio.create_task(asyncio.to_thread(work))
        done, _ = await asyncio.wait({task}, timeout=_WAIT_S)
        if not done:
            visitor.session.notice = "This takes long. It goes on by itself; look again in a minute."
            return self.desk.to("courses", course, "labs", lab, "release")
        from grader.gradebook import GradebookError

        try:
            visitor.session.notice = task.result()
        except (RecordError, LabError, NameRefused, GradebookError) as problem:
            return await asyncio.to_thread(refused, str(problem))
        return self.desk.to("courses", course, "labs", lab, "release")


def _looking(router: APIRouter, desk: Desk, pages: _Pages) -> None:
    who = Depends(desk.visitor)
    store, render = desk.store, desk.render

    @router.get("/release")
    def choose(course: str, q: str = "", visitor: Visitor = who) -> Response:
        """The labs there are, and which are out."""
        desk.taught(visitor, course)
        out = {row.lab: row for row in store.releases(course, withdrawn=True)}
        entries = desk.catalogue.entries()
        words = q.casefold().split()
        rows = [
            {"name": name, "title": title, "entry": entries.get(name), "release": out.get(name)}
            for name, title in _titles(out, entries).items()
            if all(word in f"{name} {title} {_track(entries.get(name))}".casefold() for word in words)
        ]
        return render.page(
            "release_list.html", visitor, course=store.course(course), rows=rows, q=q, tracks=TRACKS
        )

    @router.get("/labs/{lab}/release")
    def look(course: str, lab: str, visitor: Visitor = who) -> Response:
        """One lab: as students see it, its times and terms, extensions."""
        return pages.page(visitor, course, lab)

    @router.get("/labs/{lab}/release/preview/{notebook}.html")
    def preview(course: str, lab: str, notebook: str, visitor: Visitor = who) -> Response:
        """A notebook as students get it, in a sandbox of the browser."""
        release, entry = pages.find(visitor, course, lab)
        if notebook not in _notebooks(desk, release, entry):
            raise no_page()
        return Response(
            _preview(desk, release, entry, notebook),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": FEEDBACK_POLICY, "X-Frame-Options": "SAMEORIGIN"},
        )


def _releasing(router: APIRouter, desk: Desk, pages: _Pages) -> None:
    who, sent = Depends(desk.visitor), Depends(desk.form)
    store = desk.store

    @router.post("/labs/{lab}/release")
    async def release(course: str, lab: str, form: _Form = sent) -> Response:
        """Release a lab, or change the terms of one that is out."""
        visitor, fields = form
        row, entry = await asyncio.to_thread(pages.find, visitor, course, lab)
        known = schedule_of(row) if row else Schedule()
        refused = partial(_refused, pages, visitor, (course, lab), {"entered": fields})
        try:
            schedule, bank = schedule_from(fields, known, pages.zone)
        except ScheduleRefused as problem:
            return await asyncio.to_thread(refused, str(problem))
        if row is not None and row.withdrawn_at is None:
            work = partial(releasing.change, desk, course, lab, schedule, bank)
        elif entry is not None:
            work = partial(releasing.offer, desk, course, entry.lab, visitor.name, (schedule, bank))
        else:
            return await asyncio.to_thread(
                refused, "This lab is not in the library. It came through nbgrader: release it there again."
            )
        return await pages.do(visitor, course, lab, work, refused)

    @router.post("/labs/{lab}/release/version")
    async def version(course: str, lab: str, form: _Form = sent) -> Response:
        """Put the library's version in the place of the one that is out; the terms stay."""
        visitor = form[0]
        row, entry = await asyncio.to_thread(pages.find, visitor, course, lab)
        if row is None or entry is None or row.withdrawn_at is not None:
            raise no_page()
        work = partial(releasing.renew, desk, course, entry.lab, visitor.name, schedule_of(row))
        return await pages.do(
            visitor, course, lab, work, partial(_refused, pages, visitor, (course, lab), {})
        )

    @router.get("/labs/{lab}/release/withdraw")
    def ask(course: str, lab: str, visitor: Visitor = who) -> Response:
        """Ask whether a lab is really to be taken back."""
        row, _ = pages.find(visitor, course, lab)
        if row is None or row.withdrawn_at is not None:
            raise no_page()
        return desk.render.page(
            "withdraw.html",
            visitor,
            course=store.course(course),
            release=row,
            handed_in=store.turnout(course).labs.get(lab, 0),
        )

    @router.post("/labs/{lab}/release/withdraw")
    def withdraw(course: str, lab: str, form: _Form = sent) -> Response:
        """Take a lab back; what was handed in stays."""
        row, _ = pages.find(form[0], course, lab)
        if row is None:
            raise no_page()
        store.withdraw(course, lab)
        form[0].session.notice = f"{row.title} is withdrawn. Release it again to offer it as before."
        return desk.to("courses", course, "labs", lab, "release")


def _extending(router: APIRouter, desk: Desk, pages: _Pages) -> None:
    sent = Depends(desk.form)

    @router.post("/labs/{lab}/release/extensions")
    async def extend(course: str, lab: str, form: _Form = sent) -> Response:
        """Give one student or one group more time."""
        visitor, fields = form
        row, _ = await asyncio.to_thread(pages.find, visitor, course, lab)
        if row is None:
            raise no_page()
        work = partial(releasing.extend, desk, (course, lab), fields, visitor.name, pages.zone)
        refused = partial(_refused, pages, visitor, (course, lab), {"extension": fields})
        return await pages.do(visitor, course, lab, work, refused)

    @router.post("/labs/{lab}/release/extensions/{number}/remove")
    async def remove(course: str, lab: str, number: _Number, form: _Form = sent) -> Response:
        """Take an extension back."""
        visitor = form[0]
        await asyncio.to_thread(pages.find, visitor, course, lab)
        if number not in {row.id for row in await asyncio.to_thread(desk.store.extensions, course, lab)}:
            raise no_page()
        work = partial(releasing.unextend, desk, course, lab, number)
        return await pages.do(
            visitor, course, lab, work, partial(_refused, pages, visitor, (course, lab), {})
        )


def _refused(
    pages: _Pages, visitor: Visitor, where: tuple[str, str], sent: dict[str, dict[str, str]], problem: str
) -> Response:
    """The page with the form as it was sent, and why it was refused."""
    return pages.page(visitor, *where, problem=problem, **sent)  # type: ignore[arg-type]  # entered or extension


# What the pages show


def _titles(out: dict[str, Release], entries: Any) -> dict[str, str]:
    """Names and titles: what is out first, then the rest of the library, by track and level."""
    offered = {name: row.title for name, row in out.items() if row.withdrawn_at is None}
    known = {name: entry.lab.title for name, entry in entries.items()}
    return offered | known | {name: row.title for name, row in out.items() if name not in known}


def _track(entry: Entry | None) -> str:
    return TRACKS.get(entry.lab.track, entry.lab.track) if entry else ""


def _compared(desk: Desk, release: Release, lab: Lab) -> Changes | None:
    from labs.build import source_files

    try:
        return changes(unpacked(desk.store.blob(release.source_sha256), _UNLIMITED), source_files(lab))
    except (LabError, OSError, ValueError, KeyError):
        log.exception("%s: the versions cannot be compared", release.lab)
        return None


def _notebooks(desk: Desk, release: Release | None, entry: Entry | None) -> list[str]:
    """Names of the notebooks that can be looked at."""
    if entry is not None:
        lab = entry.lab
        return (
            [lab.name] if lab.format == "myst" else sorted(file.stem for file in lab.folder.glob("*.ipynb"))
        )
    if release is None:
        return []
    files = unpacked(desk.store.blob(release.sha256), _UNLIMITED)
    return sorted(
        path.removesuffix(".ipynb") for path in files if path.endswith(".ipynb") and "/" not in path
    )


def _preview(desk: Desk, release: Release | None, entry: Entry | None, notebook: str) -> str:
    import nbformat

    from grader.feedback import released_page
    from labs.build import release_notebooks

    try:
        if entry is not None:
            shown = release_notebooks(entry.lab)[notebook]
        elif release is not None:
            raw = read_member(desk.store.blob(release.sha256), f"{notebook}.ipynb", _MOST_NOTEBOOK_BYTES)
            shown = nbformat.reads(raw.decode(), as_version=4)
        else:
            raise no_page()
        return released_page(shown, notebook)
    except LabError as problem:
        said = str(problem)
    except (nbformat.ValidationError, ValueError, KeyError, TypeError, AttributeError):
        said = (
            "What came through nbgrader is not a notebook that can be shown. Generate the assignment again."
        )
    cells = [nbformat.v4.new_markdown_cell("# No notebook"), nbformat.v4.new_raw_cell(said)]
    return released_page(nbformat.v4.new_notebook(cells=cells), notebook)
