"""The story of a grading job, readable top to bottom. Killed anywhere and started again, it ends the same."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import nbformat
from sqlalchemy.exc import SQLAlchemyError

from grader.archives import ArchiveRefused
from grader.contents import contents
from grader.engine.grade import GradedSubmission, grade_submission
from grader.engine.released import ReleasedLab
from grader.gradebook import CourseGradebook, GradebookError, gradebook_of
from grader.models import Release, Report, Submission
from grader.sandbox.base import Sandbox, SandboxError
from grader.settings import GraderSettings, Places
from grader.store import Store

log = logging.getLogger(__name__)

OUR_FAULT = "It could not be graded: a fault of the grader, which costs nothing. Grade again."


class GradingError(Exception):
    """The job cannot run at all; the message says what to do."""


@dataclass(frozen=True)
class Step:
    """One submission of a job is done. fresh: it was graded now, not found graded."""

    done: int
    total: int
    username: str
    report: Report
    fresh: bool


@dataclass(frozen=True)
class JobResult:
    """How a job ended. failed: usernames whose grading failed by a fault of ours."""

    job_id: int
    total: int
    graded: int
    needs_manual: int
    failed: tuple[str, ...]


def grade_job(
    store: Store,
    settings: GraderSettings,
    places: Places,
    course: str,
    lab: str,
    *,
    requested_by: str,
    open_sandbox: Callable[[Release], Sandbox],
    students: Sequence[str] = (),
    job_id: int | None = None,
    regrade: bool = False,
    progress: Callable[[Step], None] | None = None,
) -> JobResult:
    """Grade the newest submission of each student (or of `students`) and write the gradebook.

    A submission that was graded against this very release is not run again, unless `regrade`.
    Raises GradingError when nothing can be graded.
    """
    job = _job(store, course, lab, job_id, requested_by)
    try:
        with _alone(places, course, lab):
            release = find_release(store, course, lab)
            gradebook = gradebook_of(places, course)
            released = gradebook.released(
                lab, contents(store.blob(release.sha256), settings.exchange), release.sha256
            )
            bench = _Bench(store, settings, gradebook, release, released, job)
            with _closing(open_sandbox, release) as sandbox:
                return _grade_all(bench, sandbox, students, regrade=regrade, progress=progress)
    except (GradingError, GradebookError, SandboxError, ArchiveRefused) as error:
        store.finish_job(job, failed=True, message=str(error))
        raise GradingError(str(error)) from error
    except BaseException as error:
        message = f"Stopped ({type(error).__name__}). Grade again: what is graded stays."
        store.finish_job(job, failed=True, message=message)
        raise


def _job(store: Store, course: str, lab: str, job_id: int | None, requested_by: str) -> int:
    store.course(course)
    if job_id is None:
        return store.create_job(course, lab, requested_by).id
    job = store.job(job_id)
    if (job.course, job.lab) != (course, lab):
        raise GradingError(
            f"Job {job_id} is about {job.lab} of {job.course}. Leave the job out for a new one."
        )
    return job_id


@dataclass(frozen=True)
class _Bench:
    """What every step of one job needs."""

    store: Store
    settings: GraderSettings
    gradebook: CourseGradebook
    release: Release
    released: ReleasedLab
    job: int


def _grade_all(
    bench: _Bench,
    sandbox: Callable[[], Sandbox],
    students: Sequence[str],
    *,
    regrade: bool,
    progress: Callable[[Step], None] | None,
) -> JobResult:
    store, course, lab = bench.store, bench.release.course, bench.release.lab
    submissions = _chosen(store.newest_submissions(course, lab), students)
    before = {submission.id: report for submission, report in store.reports(course, lab)}
    store.start_job(bench.job, total=len(submissions))

    reports: list[Report] = []
    for number, submission in enumerate(submissions, 1):
        found = before.get(submission.id)
        stands = found is not None and not regrade and _stands(found, bench.released)
        report = found if found is not None and stands else _grade(bench, submission, sandbox())
        if not stands:
            store.save_report(report)
        if report.in_gradebook_at is None and report.state != "failed":
            _write(bench, submission, report)
        reports.append(report)
        store.job_progress(bench.job, number)
        if progress:
            progress(Step(number, len(submissions), submission.username, report, not stands))

    done = zip(submissions, reports, strict=True)
    failed = tuple(s.username for s, r in done if r.state == "failed" or not r.in_gradebook_at)
    message = f"Not graded, by a fault of the grader: {', '.join(failed)}. Grade again." if failed else ""
    store.finish_job(bench.job, failed=bool(failed), message=message)
    waiting = sum(report.state == "needs-manual" for report in reports)
    return JobResult(bench.job, len(reports), len(reports) - len(failed), waiting, failed)


def find_release(store: Store, course: str, lab: str) -> Release:
    """The release of `lab` to `course`. Raises GradingError that names what there is."""
    releases = {release.lab: release for release in store.releases(course)}
    if lab not in releases:
        there = ", ".join(sorted(releases)) or "none"
        raise GradingError(f"{course}: {lab} is not released. Released: {there}. `ict release {course} LAB`.")
    return releases[lab]


def _chosen(submissions: Sequence[Submission], students: Sequence[str]) -> list[Submission]:
    missing = set(students) - {submission.username for submission in submissions}
    if missing:
        raise GradingError(
            f"No submission of {', '.join(sorted(missing))}. Leave --student out to grade all."
        )
    return [submission for submission in submissions if not students or submission.username in students]


def _stands(report: Report, released: ReleasedLab) -> bool:
    return report.state != "failed" and report.release_sha256 == released.fingerprint


def _grade(bench: _Bench, submission: Submission, sandbox: Sandbox) -> Report:
    """Grade one submission; the executed notebooks are kept in the record's blobs."""
    try:
        try:
            files = contents(bench.store.blob(submission.sha256), bench.settings.exchange)
        except ArchiveRefused as problem:
            log.warning("submission %s: %s", submission.id, problem)
            files = {}
        graded = grade_submission(files, bench.released, bench.settings.sandbox, sandbox)
        notebooks = {
            name: bench.store.put_blob(nbformat.writes(notebook).encode())
            for name, notebook in graded.notebooks.items()
        }
    except Exception:
        # Only faults of ours come out of the engine: they cost no marks, and the others go on.
        log.exception("submission %s could not be graded", submission.id)
        return _report(bench, submission, None, {})
    return _report(bench, submission, graded, notebooks)


def _report(
    bench: _Bench, submission: Submission, graded: GradedSubmission | None, notebooks: Mapping[str, str]
) -> Report:
    state = "failed" if graded is None else "needs-manual" if graded.needs_manual else "graded"
    return Report(
        submission_id=submission.id,
        job_id=bench.job,
        state=state,
        points=graded.points if graded else None,
        max_points=bench.released.max_points,
        exercises=[
            {
                "exercise": mark.exercise,
                "points": mark.points,
                "max_points": mark.max_points,
                "message": mark.message,
            }
            for mark in (graded.exercises if graded else ())
        ],
        message=graded.message if graded else OUR_FAULT,
        release_sha256=bench.released.fingerprint,
        notebooks=dict(notebooks),
        graded_at=datetime.now(UTC),
        in_gradebook_at=None,
    )


def _write(bench: _Bench, submission: Submission, report: Report) -> None:
    """Write one whole report into the gradebook, then note that it is there. Doing it twice is harmless."""
    store, lab, username = bench.store, submission.lab, submission.username
    try:
        notebooks = {
            name: nbformat.reads(store.blob(sha256).read_text(encoding="utf-8"), as_version=4)
            for name, sha256 in report.notebooks.items()
        }
        with bench.gradebook.writer():
            with contextlib.suppress(ArchiveRefused):
                sent = contents(store.blob(submission.sha256), bench.settings.exchange)
                bench.gradebook.keep_submitted(lab, username, sent, submission.received_at)
            bench.gradebook.write_report(
                lab, username, submission.received_at, notebooks, due_at=bench.release.due_at
            )
        store.mark_in_gradebook(submission.id)
        report.in_gradebook_at = datetime.now(UTC)
    except (SQLAlchemyError, OSError, ValueError, GradebookError):
        log.exception("submission %s is graded but not in the gradebook", submission.id)


@contextlib.contextmanager
def _alone(places: Places, course: str, lab: str) -> Iterator[None]:
    """Wait until no other job grades this lab: the second one then finds the reports of the first."""
    places.run.mkdir(parents=True, exist_ok=True)
    with (places.run / f"grading-{course}-{lab}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _closing(open_sandbox: Callable[[Release], Sandbox], release: Release) -> Iterator[Callable[[], Sandbox]]:
    """Open the sandbox at first need: a job that finds everything graded needs none."""
    opened: list[Sandbox] = []

    def sandbox() -> Sandbox:
        if not opened:
            opened.append(open_sandbox(release))
        return opened[0]

    try:
        yield sandbox
    finally:
        for one in opened:
            one.close()
