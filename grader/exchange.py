"""The service's side of nbgrader's exchange over HTTP: who may send and fetch what, in which bounds."""

from __future__ import annotations

import errno
import json
import logging
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from grader.archives import ArchiveRefused, ArchiveTooLarge, Entry, inspect
from grader.models import Feedback, Job, Release, Submission
from grader.names import NameRefused, check_course, check_lab, check_username, is_submission_id
from grader.people import Person
from grader.settings import ExchangeSettings
from grader.shapes import FeedbackShape, JobShape, KeyShape, ReleaseShape, SubmissionShape, TakenShape
from grader.shown import moment, shown_feedback, shown_job, shown_release, shown_submissions
from grader.store import NotNow, NotThere, Store, TooMany, Withdrawn
from grader.whereabouts import Live, live_routes

log = logging.getLogger("ictlabs.exchange")

_NO_SUBMISSION = "There is no such submission of yours. List your submissions for the ids."
_DISK_FULL = (
    "The site's disk is full, and nothing was taken. Your files are safe where they are: tell the operator, "
    "and try again in a while."
)
_NO_FEEDBACK = "There is no feedback on this submission yet. Your instructor releases it."
_MAX_NOTEBOOK_BYTES = 10_000_000  # of an instructor's release, read for its points only
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (ArchiveTooLarge, 413),
    (ArchiveRefused, 422),
    (NameRefused, 422),
    (TooMany, 429),
    (Withdrawn, 409),
    (NotNow, 409),
    (NotThere, 404),
)


Grade = Callable[[str, str, str, str | None], Job]
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}, "description": "A zip."}}


class Sentences(APIRoute):
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
                if _is_disk_full(error):
                    log.error("%s %s: %s", request.method, request.url.path, error)
                    return JSONResponse({"detail": _DISK_FULL}, 507)
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


def _is_disk_full(error: Exception) -> bool:
    """Whether the operating system, SQLite or PostgreSQL has no room to write."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = str(error.orig) if isinstance(error, OperationalError) else ""
    return "disk is full" in said or "No space left on device" in said


def exchange_router(
    store: Store,
    settings: ExchangeSettings,
    person: Callable[..., Awaitable[Person]],
    grade: Grade | None = None,
    *,
    zone: tzinfo = UTC,
    live: Live | None = None,
) -> APIRouter:
    """Routes under /api/exchange. `person`: the dependency that says who asks, or answers 401 or 403 itself.

    grade: starts or joins a job (course, lab, by whom, student or None for everybody). zone: for times in sentences.
    live: takes what notebooks tell while students work.
    """
    router = APIRouter(prefix="/api/exchange", route_class=Sentences)
    who = Depends(person)
    _release_routes(router, store, settings, who, zone)
    _submission_routes(router, store, settings, who, zone)
    _feedback_routes(router, store, settings, who)
    if grade is not None:
        _grading_routes(router, store, grade, who)
    if live is not None:
        live_routes(router, store, live, who)
    return router


def _grading_routes(router: APIRouter, store: Store, grade: Grade, who: Any) -> None:
    @router.post("/grading/{course}/{lab}", status_code=201, response_model=JobShape, tags=["grading"])
    def begin(course: str, lab: str, student: str | None = None, person: Person = who) -> dict[str, Any]:
        """Grade what is new of everybody's; or what one student handed in, once more if it is graded already."""
        _helper(person, course)
        store.find_release(course, check_lab(lab))
        if student is None:
            return shown_job(grade(course, lab, person.name, None))
        if check_username(student) not in {row.username for row in store.newest_submissions(course, lab)}:
            raise HTTPException(404, f"{student} has not handed in {lab}. There is nothing to grade.")
        return shown_job(grade(course, lab, person.name, student))

    @router.get("/grading/{course}/{lab}/{number}", response_model=JobShape, tags=["grading"])
    def look(course: str, lab: str, number: int, person: Person = who) -> dict[str, Any]:
        """How far a job is."""
        _helper(person, course)
        job = store.job(number)
        if (job.course, job.lab) != (course, lab):
            raise HTTPException(404, f"Job {number} is not about {lab} of {course}.")
        return shown_job(job)


def _release_routes(
    router: APIRouter, store: Store, settings: ExchangeSettings, who: Any, zone: tzinfo
) -> None:
    @router.get("/releases", response_model=list[ReleaseShape], tags=["releases"])
    def list_releases(course: str | None = None, person: Person = who) -> list[dict[str, Any]]:
        """Labs offered in the person's courses."""
        courses = [_learner(person, course)] if course else sorted(person.courses)
        now = datetime.now(UTC)
        return [
            shown_release(store, row)
            for name in courses
            for row in (
                store.releases(name) if person.may_help(name) else store.own_releases(name, person.name)
            )
            if person.may_help(name) or row.opens_at is None or row.opens_at <= now
        ]

    @router.get(
        "/releases/{course}/{lab}/archive", response_class=FileResponse, responses=_ZIP, tags=["releases"]
    )
    def fetch_release(course: str, lab: str, person: Person = who) -> FileResponse:
        """The files of a lab, as a zip; beside it the seed of the person's own values, for the file `.variant`."""
        _learner(person, course)
        row = store.find_release(course, check_lab(lab))
        if row.withdrawn_at is not None:
            raise Withdrawn(
                f"{lab} is no longer offered in {course}. Ask your instructor to release it again."
            )
        if not person.may_help(course):
            with _told_in(zone):
                store.check_open(course, lab)
        seed = store.variants.seed(course, lab, person.name)
        return _zip(store.blob(row.sha256), {"ICTLabs-Variant": seed})

    @router.post("/releases/{course}/{lab}", status_code=201, response_model=ReleaseShape, tags=["releases"])
    async def release(
        course: str,
        lab: str,
        request: Request,
        force: Annotated[str, Query(description="1 replaces a lab that is offered already.")] = "",
        person: Person = who,
    ) -> dict[str, Any]:
        """Offer a lab of an instructor's own. The body is a zip of the student's files."""
        _instructor(person, course)
        check_lab(lab)
        async with _received(request, store, settings) as archive:
            row = await run_in_threadpool(
                _take_release, store, settings, (course, lab), archive, person, force=force == "1"
            )
        return await run_in_threadpool(shown_release, store, row)

    @router.delete("/releases/{course}/{lab}", response_model=ReleaseShape, tags=["releases"])
    def withdraw(course: str, lab: str, person: Person = who) -> dict[str, Any]:
        """Take a lab back. Submissions stay."""
        _instructor(person, course)
        return shown_release(store, store.withdraw(course, check_lab(lab)))


def _submission_routes(
    router: APIRouter, store: Store, settings: ExchangeSettings, who: Any, zone: tzinfo
) -> None:
    @router.get("/submissions", response_model=list[SubmissionShape], tags=["submissions"])
    def list_submissions(
        course: str | None = None,
        lab: str | None = None,
        everybody: Annotated[
            str,
            Query(
                alias="all", description="1 adds everybody's in the courses the caller teaches or assists in."
            ),
        ] = "",
        person: Person = who,
    ) -> list[dict[str, Any]]:
        """The caller's own submissions, oldest first."""
        for check, name in ((check_course, course), (check_lab, lab)):
            if name:
                check(name)
        course, lab = course or None, lab or None
        rows = store.submissions_of(person.name, course, lab)
        if everybody == "1":
            helped = sorted(person.helped_courses & ({course} if course else person.helped_courses))
            rows = [row for row in rows if row.course not in helped]
            rows += [row for name in helped for row in store.submissions(name, lab)]
        return shown_submissions(store, rows)

    @router.post(
        "/submissions/{course}/{lab}", status_code=201, response_model=TakenShape, tags=["submissions"]
    )
    async def submit(course: str, lab: str, request: Request, person: Person = who) -> dict[str, Any]:
        """Hand in. The body is a zip of files. The answer is the receipt: with it, the submission is on the disk."""
        _learner(person, course)
        check_lab(lab)
        terms: dict[str, Any] = {"max_per_hour": settings.max_per_hour, "bound": not person.may_help(course)}
        with _told_in(zone):
            await run_in_threadpool(partial(store.check_hand_in, course, lab, person.name, **terms))
            async with _received(request, store, settings) as archive:
                await run_in_threadpool(inspect, archive, settings)
                row = await run_in_threadpool(
                    partial(store.submit, course, lab, person.name, archive, **terms)
                )
        return {
            "id": row.id,
            "username": row.username,
            "receipt": row.receipt,
            "received_at": moment(row.received_at),
            "sha256": row.sha256,
        }

    @router.get(
        "/submissions/{course}/{lab}/{submission_id}/archive",
        response_class=FileResponse,
        responses=_ZIP,
        tags=["submissions"],
    )
    def fetch_submission(course: str, lab: str, submission_id: str, person: Person = who) -> FileResponse:
        """A submission as it was sent."""
        return _zip(store.blob(_reachable(store, course, lab, submission_id, person).sha256))

    @router.get("/receipt-key", response_model=KeyShape, tags=["submissions"])
    def receipt_key() -> dict[str, str]:
        """The public key that checks receipts (Ed25519, base64)."""
        return {"ed25519": store.receipts.public_key}


def _feedback_routes(router: APIRouter, store: Store, settings: ExchangeSettings, who: Any) -> None:
    @router.get(
        "/feedback/{course}/{lab}/{submission_id}/archive",
        response_class=FileResponse,
        responses=_ZIP,
        tags=["feedback"],
    )
    def fetch_feedback(course: str, lab: str, submission_id: str, person: Person = who) -> FileResponse:
        """Released feedback: a zip of <notebook>.html."""
        row = _reachable(store, course, lab, submission_id, person)
        feedback = store.feedback_of(row.id)
        if feedback is None:
            raise NotThere(_NO_FEEDBACK)
        return _zip(store.blob(feedback.sha256))

    @router.post(
        "/feedback/{course}/{lab}/{submission_id}",
        status_code=201,
        response_model=FeedbackShape,
        tags=["feedback"],
    )
    async def release_feedback(
        course: str, lab: str, submission_id: str, request: Request, person: Person = who
    ) -> dict[str, Any]:
        """Let the student read feedback. The body is a zip of <notebook>.html."""
        _instructor(person, course)
        row = await run_in_threadpool(_reachable, store, course, lab, submission_id, person)
        async with _received(request, store, settings) as archive:
            feedback = await run_in_threadpool(_take_feedback, store, settings, row, archive, person)
        return shown_feedback(store, feedback)


@contextmanager
def _told_in(zone: tzinfo) -> Iterator[None]:
    """Turn a refusal that names a moment into a sentence with the site's own time."""
    try:
        yield
    except NotNow as error:
        raise HTTPException(409, error.told(zone)) from error


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


def _helper(person: Person, course: str) -> str:
    check_course(course)
    if not person.may_help(course):
        raise HTTPException(
            403, f"Only instructors and assistants of {course} may do this. Ask one of the instructors."
        )
    return course


def _reachable(store: Store, course: str, lab: str, submission_id: str, person: Person) -> Submission:
    """The submission, if it is the person's own or of a course they teach or assist in.

    One answer for everything else: it does not say whether a guessed id exists.
    """
    if not is_submission_id(submission_id):
        raise NotThere(_NO_SUBMISSION)
    try:
        row = store.submission(submission_id)
    except NotThere:
        raise NotThere(_NO_SUBMISSION) from None
    if (row.course, row.lab) != (course, lab) or not (
        row.username == person.name or person.may_help(row.course)
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
    if store.kept_waiting(row.course, row.lab, [row.username]):
        raise HTTPException(
            409,
            f"{row.lab} reveals nothing before it is closed, and {row.username} can still hand in. "
            "Release the feedback then, or change what the lab reveals.",
        )
    report = store.report(row.id)
    return store.release_feedback(
        row.id,
        archive.read_bytes(),  # bounded by the limit on archives
        person.name,
        points=None if report is None or report.points is None else report.points - report.late_penalty,
        late_penalty=report.late_penalty if report else 0.0,
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
