"""The service's side of nbgrader's exchange over HTTP: who may send and fetch what, in which bounds."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from grader.archives import ArchiveRefused, ArchiveTooLarge, Entry, inspect
from grader.models import Feedback, Job, Release, Submission
from grader.names import NameRefused, check_course, check_lab, check_username, is_submission_id
from grader.people import Person
from grader.settings import ExchangeSettings
from grader.store import NotThere, Store, TooMany, Withdrawn
from grader.whereabouts import Live, live_routes

log = logging.getLogger("ictlabs.exchange")

_NO_SUBMISSION = "There is no such submission of yours. List your submissions for the ids."
_NO_FEEDBACK = "There is no feedback on this submission yet. Your instructor releases it."
_MAX_NOTEBOOK_BYTES = 10_000_000  # of an instructor's release, read for its points only
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (ArchiveTooLarge, 413),
    (ArchiveRefused, 422),
    (NameRefused, 422),
    (TooMany, 429),
    (Withdrawn, 409),
    (NotThere, 404),
)


Grade = Callable[[str, str, str, str], Job]


class _Sentences(APIRoute):
    """Turns what the record and the archives refuse into a 4xx with their sentence."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response: Response = await handler(request)
                return response
            except (HTTPException, RequestValidationError):
                raise
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read more
            except Exception as error:
                for kind, status in _STATUS:
                    if isinstance(error, kind):
                        return JSONResponse({"detail": str(error)}, status)
                log.exception("%s %s", request.method, request.url.path)
                return JSONResponse(
                    {
                        "detail": "The exchange has a fault of its own; nothing was taken. Try again, then tell the operator."
                    },
                    500,
                )

        return answer


def exchange_router(
    store: Store,
    settings: ExchangeSettings,
    person: Callable[..., Awaitable[Person]],
    grade: Grade | None = None,
    live: Live | None = None,
) -> APIRouter:
    """Routes under /api/exchange. `person`: the dependency that says who asks, or answers 401 or 403 itself.

    grade: starts or joins a job (course, lab, by whom, student), for Formgrader's Autograde.
    live: takes what notebooks tell while students work.
    """
    router = APIRouter(prefix="/api/exchange", route_class=_Sentences)
    who = Depends(person)
    _release_routes(router, store, settings, who)
    _submission_routes(router, store, settings, who)
    _feedback_routes(router, store, settings, who)
    if grade is not None:
        _grading_routes(router, store, grade, who)
    if live is not None:
        live_routes(router, store, live, who)
    return router


def _grading_routes(router: APIRouter, store: Store, grade: Grade, who: Any) -> None:
    @router.post("/grading/{course}/{lab}", status_code=201)
    def begin(course: str, lab: str, student: str, person: Person = who) -> dict[str, Any]:
        """Grade what one student handed in, once more if it is graded already."""
        _instructor(person, course)
        store.find_release(course, check_lab(lab))
        if check_username(student) not in {row.username for row in store.newest_submissions(course, lab)}:
            raise HTTPException(404, f"{student} has not handed in {lab}. There is nothing to grade.")
        return _shown_job(grade(course, lab, person.name, student))

    @router.get("/grading/{course}/{lab}/{number}")
    def look(course: str, lab: str, number: int, person: Person = who) -> dict[str, Any]:
        """How far a job is."""
        _instructor(person, course)
        job = store.job(number)
        if (job.course, job.lab) != (course, lab):
            raise HTTPException(404, f"Job {number} is not about {lab} of {course}.")
        return _shown_job(job)


def _shown_job(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in ("id", "state", "done", "total", "message")}


def _release_routes(router: APIRouter, store: Store, settings: ExchangeSettings, who: Any) -> None:
    @router.get("/releases")
    def list_releases(course: str | None = None, person: Person = who) -> list[dict[str, Any]]:
        """Labs offered in the person's courses."""
        courses = [_learner(person, course)] if course else sorted(person.courses)
        return [_shown_release(store, row) for name in courses for row in store.releases(name)]

    @router.get("/releases/{course}/{lab}/archive")
    def fetch_release(course: str, lab: str, person: Person = who) -> FileResponse:
        """The files of a lab, as a zip; beside it the seed of the person's own values, for the file `.variant`."""
        _learner(person, course)
        row = store.find_release(course, check_lab(lab))
        if row.withdrawn_at is not None:
            raise Withdrawn(
                f"{lab} is no longer offered in {course}. Ask your instructor to release it again."
            )
        seed = store.variants.seed(course, lab, person.name)
        return _zip(store.blob(row.sha256), {"ICTLabs-Variant": seed})

    @router.post("/releases/{course}/{lab}", status_code=201)
    async def release(course: str, lab: str, request: Request, person: Person = who) -> dict[str, Any]:
        """Offer a lab of an instructor's own; ?force=1 replaces one that is offered already."""
        _instructor(person, course)
        check_lab(lab)
        force = request.query_params.get("force") == "1"
        async with _received(request, store, settings) as archive:
            row = await run_in_threadpool(
                _take_release, store, settings, (course, lab), archive, person, force=force
            )
        return await run_in_threadpool(_shown_release, store, row)

    @router.delete("/releases/{course}/{lab}")
    def withdraw(course: str, lab: str, person: Person = who) -> dict[str, Any]:
        """Take a lab back. Submissions stay."""
        _instructor(person, course)
        return _shown_release(store, store.withdraw(course, check_lab(lab)))


def _submission_routes(router: APIRouter, store: Store, settings: ExchangeSettings, who: Any) -> None:
    @router.get("/submissions")
    def list_submissions(
        request: Request, course: str | None = None, lab: str | None = None, person: Person = who
    ) -> list[dict[str, Any]]:
        """The person's own submissions; with ?all=1 also everybody's in the courses the person teaches."""
        for check, name in ((check_course, course), (check_lab, lab)):
            if name:
                check(name)
        course, lab = course or None, lab or None
        rows = store.submissions_of(person.name, course, lab)
        if request.query_params.get("all") == "1":
            taught = sorted(person.instructor_courses & ({course} if course else person.instructor_courses))
            rows = [row for row in rows if row.course not in taught]
            rows += [row for name in taught for row in store.submissions(name, lab)]
        return _shown_submissions(store, rows)

    @router.post("/submissions/{course}/{lab}", status_code=201)
    async def submit(course: str, lab: str, request: Request, person: Person = who) -> dict[str, Any]:
        """Hand in. The answer is the receipt: with it, the submission is on the disk."""
        _learner(person, course)
        check_lab(lab)
        limit = settings.max_per_hour
        await run_in_threadpool(store.check_rate, course, lab, person.name, limit)
        async with _received(request, store, settings) as archive:
            await run_in_threadpool(inspect, archive, settings)
            take = partial(store.submit, course, lab, person.name, archive, max_per_hour=limit)
            row = await run_in_threadpool(take)
        return {
            "id": row.id,
            "username": row.username,
            "receipt": row.receipt,
            "received_at": _moment(row.received_at),
            "sha256": row.sha256,
        }

    @router.get("/submissions/{course}/{lab}/{submission_id}/archive")
    def fetch_submission(course: str, lab: str, submission_id: str, person: Person = who) -> FileResponse:
        """A submission as it was sent."""
        return _zip(store.blob(_reachable(store, course, lab, submission_id, person).sha256))

    @router.get("/receipt-key")
    def receipt_key() -> dict[str, str]:
        """The public key that checks receipts (Ed25519, base64)."""
        return {"ed25519": store.receipts.public_key}


def _feedback_routes(router: APIRouter, store: Store, settings: ExchangeSettings, who: Any) -> None:
    @router.get("/feedback/{course}/{lab}/{submission_id}/archive")
    def fetch_feedback(course: str, lab: str, submission_id: str, person: Person = who) -> FileResponse:
        """Released feedback: a zip of <notebook>.html."""
        row = _reachable(store, course, lab, submission_id, person)
        feedback = store.feedback_of(row.id)
        if feedback is None:
            raise NotThere(_NO_FEEDBACK)
        return _zip(store.blob(feedback.sha256))

    @router.post("/feedback/{course}/{lab}/{submission_id}", status_code=201)
    async def release_feedback(
        course: str, lab: str, submission_id: str, request: Request, person: Person = who
    ) -> dict[str, Any]:
        """Let the student read feedback."""
        _instructor(person, course)
        row = await run_in_threadpool(_reachable, store, course, lab, submission_id, person)
        async with _received(request, store, settings) as archive:
            feedback = await run_in_threadpool(_take_feedback, store, settings, row, archive, person)
        return _shown_feedback(store, feedback)


# Who may do what


def _learner(person: Person, course: str) -> str:
    check_course(course)
    if not person.may_learn(course):
        raise HTTPException(403, f"You are not in course {course}. Ask its instructor to enrol you.")
    return course


def _instructor(person: Person, course: str) -> str:
    check_course(course)
    if not person.may_teach(course):
        raise HTTPException(403, f"Only instructors of {course} may do this. Ask one of them.")
    return course


def _reachable(store: Store, course: str, lab: str, submission_id: str, person: Person) -> Submission:
    """The submission, if it is the person's own or of a course they teach.

    One answer for everything else: it does not say whether a guessed id exists.
    """
    if not is_submission_id(submission_id):
        raise NotThere(_NO_SUBMISSION)
    try:
        row = store.submission(submission_id)
    except NotThere:
        raise NotThere(_NO_SUBMISSION) from None
    if (row.course, row.lab) != (course, lab) or not (
        row.username == person.name or person.may_teach(row.course)
    ):
        raise NotThere(_NO_SUBMISSION)
    return row


# What comes in


@asynccontextmanager
async def _received(request: Request, store: Store, settings: ExchangeSettings) -> AsyncIterator[Path]:
    """The request's body as a file, read in bounds; removed afterwards."""
    limit = settings.max_archive_mb * 1_000_000
    too_large = HTTPException(
        413,
        f"The archive is larger than {settings.max_archive_mb} MB. Remove what is not needed and send it again.",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    path, size = store.blobs.incoming(), 0
    try:
        with path.open("xb") as out:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                out.write(chunk)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _take_release(
    store: Store,
    settings: ExchangeSettings,
    where: tuple[str, str],
    archive: Path,
    person: Person,
    *,
    force: bool,
) -> Release:
    course, lab = where
    entries = inspect(archive, settings)
    if not any(entry.path.endswith(".ipynb") for entry in entries):
        raise ArchiveRefused("A release needs at least one notebook. Generate the assignment first.")
    try:
        before: Release | None = store.find_release(course, lab)
    except NotThere:
        before = None
    if before is not None and before.withdrawn_at is None and not force:
        raise HTTPException(
            409, f"{lab} is released in {course} already. Release with --force to replace it."
        )
    return store.release(
        course,
        lab,
        archive,
        title=before.title if before else lab,
        environment=before.environment if before else "base",
        max_points=_points(archive, entries),
        by=person.name,
        due_at=before.due_at if before else None,
    )


def _take_feedback(
    store: Store, settings: ExchangeSettings, row: Submission, archive: Path, person: Person
) -> Feedback:
    entries = inspect(archive, settings)
    if not entries or any("/" in entry.path or not entry.path.endswith(".html") for entry in entries):
        raise ArchiveRefused("Feedback is a zip of <notebook>.html files without folders. Generate it first.")
    report = store.report(row.id)
    return store.release_feedback(
        row.id,
        archive.read_bytes(),  # bounded by the limit on archives
        person.name,
        points=report.points if report else None,
        max_points=report.max_points if report else None,
    )


def _points(archive: Path, entries: Iterable[Entry]) -> float:
    """The points that a release's notebooks declare in nbgrader's metadata."""
    total = 0.0
    with zipfile.ZipFile(archive) as opened:
        for entry in entries:
            if not entry.path.endswith(".ipynb") or entry.size > _MAX_NOTEBOOK_BYTES:
                continue
            try:
                cells = json.loads(opened.read(entry.path))["cells"]
                graded = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
                total += sum(float(meta.get("points", 0)) for meta in graded if meta.get("grade"))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ArchiveRefused(
                    f"{entry.path} is not a notebook. Generate the assignment again."
                ) from error
    return total


# What goes out


def _zip(path: Path, headers: Mapping[str, str] | None = None) -> FileResponse:
    return FileResponse(
        path,
        media_type="application/zip",
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": "attachment",
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )


def _moment(when: datetime | None) -> str | None:
    return when.isoformat(timespec="microseconds") if when else None


def _shown_release(store: Store, row: Release) -> dict[str, Any]:
    return {
        "course": row.course,
        "lab": row.lab,
        "title": row.title,
        "environment": row.environment,
        "max_points": row.max_points,
        "released_at": _moment(row.released_at),
        "due_at": _moment(row.due_at),
        "withdrawn_at": _moment(row.withdrawn_at),
        "sha256": row.sha256,
        "notebooks": _notebooks(store, row.sha256),
    }


def _shown_submissions(store: Store, rows: list[Submission]) -> list[dict[str, Any]]:
    feedback = store.feedback_for(row.id for row in rows)
    return [
        {
            "id": row.id,
            "course": row.course,
            "lab": row.lab,
            "username": row.username,
            "received_at": _moment(row.received_at),
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "receipt": row.receipt,
            "notebooks": _notebooks(store, row.sha256),
            "feedback": _shown_feedback(store, feedback[row.id]) if row.id in feedback else None,
        }
        for row in rows
    ]


def _shown_feedback(store: Store, row: Feedback) -> dict[str, Any]:
    pages = _contents(str(store.blob(row.sha256)))
    return {"released_at": _moment(row.released_at), "pages": dict(pages)}


def _notebooks(store: Store, sha256: str) -> list[str]:
    """Names of the notebooks at the top of an archive."""
    paths = (path for path, _ in _contents(str(store.blob(sha256)), names_only=True))
    return sorted(
        path.removesuffix(".ipynb") for path in paths if path.endswith(".ipynb") and "/" not in path
    )


@lru_cache(maxsize=4096)  # bytes of a blob never change
def _contents(path: str, *, names_only: bool = False) -> tuple[tuple[str, str], ...]:
    """(path, sha256) of the files of a stored archive, which was inspected when it came in."""
    if names_only:
        with zipfile.ZipFile(path) as opened:
            return tuple((name, "") for name in opened.namelist() if not name.endswith("/"))
    unlimited = ExchangeSettings(max_archive_mb=10_000, max_unpacked_mb=10_000, max_files=10_000)
    return tuple((entry.path, entry.sha256) for entry in inspect(Path(path), unlimited))
