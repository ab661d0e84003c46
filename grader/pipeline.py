"""The story of a grading job, readable top to bottom. Killed anywhere and started again, it ends the same."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from grader.archives import ArchiveRefused, unpacked
from grader.cluster import ClusterError, open_client, worker_count
from grader.engine.released import ReleasedLab
from grader.gradebook import BatchError, CourseGradebook, GradebookError, gradebook_of
from grader.gradewriter import CellScores, Entry
from grader.latemarks import settle_lateness
from grader.models import Job, Release, Report, Submission
from grader.sandbox import await_walls, choose, unavailable
from grader.sandbox.base import SandboxError
from grader.settings import GraderSettings, Places
from grader.store import Store
from grader.work import OUR_FAULT, Order, Outcome, Ticket, grade_ticket

log = logging.getLogger(__name__)

TRIES = 3  # of one submission in one job, when the fault is ours
BATCH = 25  # reports in one transaction
BATCH_S = 1.0  # and none waits longer


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
    """How a job ended. failed: usernames whose grading failed by a fault of ours. needs_look: evidence was found."""

    job_id: int
    total: int
    graded: int
    needs_manual: int
    needs_look: int
    failed: tuple[str, ...]
    cancelled: bool = False


def grade_job(
    store: Store,
    settings: GraderSettings,
    places: Places,
    course: str,
    lab: str,
    *,
    requested_by: str,
    image_of: Callable[[Release], str],
    students: Sequence[str] = (),
    job_id: int | None = None,
    regrade: bool = False,
    progress: Callable[[Step], None] | None = None,
) -> JobResult:
    """Grade the newest submission of each student (or of `students`) and write the gradebook.

    A submission that was graded against this very release is not run again, unless `regrade`. An open job of this lab
    is joined. image_of: the container image that a release's environment runs in.
    Raises GradingError when nothing can be graded.
    """
    store.course(course)
    job = job_id
    if job is None:
        find_release(store, course, lab)
        _check_students(store, course, lab, students)
        job = store.open_job(course, lab, requested_by, students=students, regrade=regrade)[0].id
    elif (store.job(job).course, store.job(job).lab) != (course, lab):
        about = store.job(job)
        raise GradingError(
            f"Job {job} is about {about.lab} of {about.course}. Leave the job out for a new one."
        )
    with _alone(places, course, lab):
        if store.job(job).state in ("done", "failed", "cancelled"):
            return _result(store, job)  # another process ran it while this one waited
        try:
            release = find_release(store, course, lab)
            gradebook = gradebook_of(places, course)
            archive = unpacked(store.blob(release.sha256), settings.exchange)
            released = gradebook.released(lab, archive, release.sha256)
            bench = _Bench(store, settings, places, gradebook, release, released, job, image_of(release))
            return _run(bench, progress)
        except (GradingError, GradebookError, SandboxError, ArchiveRefused, ClusterError) as error:
            store.finish_job(job, "failed", str(error))
            raise GradingError(str(error)) from error


def find_release(store: Store, course: str, lab: str) -> Release:
    """The release of `lab` to `course`. Raises GradingError that names what there is."""
    releases = {release.lab: release for release in store.releases(course)}
    if lab not in releases:
        there = ", ".join(sorted(releases)) or "none"
        raise GradingError(f"{course}: {lab} is not released. Released: {there}. `ict release {course} LAB`.")
    return releases[lab]


def _check_students(store: Store, course: str, lab: str, students: Sequence[str]) -> None:
    handed_in = {submission.username for submission in store.newest_submissions(course, lab)}
    if missing := set(students) - handed_in:
        raise GradingError(
            f"No submission of {', '.join(sorted(missing))}. Leave --student out to grade all."
        )


@dataclass(frozen=True)
class _Bench:
    """What every step of one job needs."""

    store: Store
    settings: GraderSettings
    places: Places
    gradebook: CourseGradebook
    release: Release
    released: ReleasedLab
    job: int
    image: str

    def order(self) -> Order:
        """What the workers need to know, with the release put where they find it."""
        sha256 = self.store.put_blob(self.released.dumps())
        return Order(
            blobs=str(self.places.blobs.absolute()),
            released=sha256,
            image=self.image,
            preload=tuple(self.release.preload),
            fork=self.release.fork,
            nested=self.release.nested,
            slots=self.settings.slots,
            sandbox=self.settings.sandbox.for_cells_of(self.release.cell_seconds).with_room(
                self.release.memory_mb, self.release.cpus
            ),
            exchange=self.settings.exchange,
        )


class _Round:
    """The submissions of a job that are still to be graded, and what was made of the others."""

    def __init__(self, bench: _Bench, job: Job, progress: Callable[[Step], None] | None) -> None:
        self.bench, self.store, self.progress = bench, bench.store, progress
        self.regrade = job.regrade
        self.begun_at = job.started_at or datetime.now(UTC)
        self.submissions: dict[str, Submission] = {}
        self.tries: dict[str, int] = {}
        self.ready: list[tuple[Outcome, Submission]] = []
        self.flushed_at = time.monotonic()
        self.total = self.done = 0
        self.asked = job.asked

    def plan(self) -> list[Ticket]:
        """Take the newest submission of each student that this job has not had yet; those that stand are done."""
        store, release = self.store, self.bench.release
        job = store.job(self.bench.job)
        self.asked = job.asked
        newest = store.newest_submissions(release.course, release.lab)
        wanted = [s for s in newest if not job.students or s.username in job.students]
        store.plan_items(job.id, wanted)
        self.total = store.job(job.id).total
        items = {item.submission_id: item for item in store.items(job.id)}
        reports = {submission.id: report for submission, report in store.reports(release.course, release.lab)}
        standing, tickets = [], []
        for submission in wanted:
            found = reports.get(submission.id)
            unwritten = found is not None and found.in_gradebook_at is None and found.state != "failed"
            if submission.id in self.submissions or not (
                unwritten or items[submission.id].state == "waiting"
            ):
                continue
            self.submissions[submission.id] = submission
            if found is not None and self._stands(found, job):
                standing.append((found, submission))
            else:
                seed = store.variants.seed(release.course, release.lab, submission.username)
                tickets.append(Ticket(submission.id, submission.sha256, seed))
        self._note_standing(standing)
        return tickets

    def _stands(self, report: Report, job: Job) -> bool:
        if report.state == "failed" or report.release_sha256 != self.bench.released.fingerprint:
            return False
        return report.job_id == job.id or not job.regrade

    def _note_standing(self, standing: list[tuple[Report, Submission]]) -> None:
        self._write([(r, s) for r, s in standing if r.in_gradebook_at is None])
        self.store.items_finished(self.bench.job, [(report, "") for report, _ in standing], new=False)
        self._tell([report for report, _ in standing], fresh=False)

    def take(self, outcome: Outcome) -> bool:
        """Keep what came of a ticket; False when it is to be tried again."""
        self.tries[outcome.submission_id] = self.tries.get(outcome.submission_id, 0) + 1
        if outcome.state == "failed" and self.tries[outcome.submission_id] < TRIES:
            log.warning("submission %s is tried again: %s", outcome.submission_id, outcome.fault)
            return False
        if outcome.fault:
            log.error("submission %s, by a fault of ours: %s", outcome.submission_id, outcome.fault)
        self.ready.append((outcome, self.submissions[outcome.submission_id]))
        return True

    def flush(self, *, now: bool = False) -> None:
        """Write a batch: the reports, then the gradebook, then that it is there. Killed between, it is written again."""
        if not self.ready or not (
            now or len(self.ready) >= BATCH or time.monotonic() - self.flushed_at > BATCH_S
        ):
            return
        batch, self.ready, self.flushed_at = self.ready[:BATCH], self.ready[BATCH:], time.monotonic()
        self.store.blobs.sync()
        reports = [(self._report(outcome), outcome, submission) for outcome, submission in batch]
        self.store.items_finished(self.bench.job, [(report, o.worker) for report, o, _ in reports])
        self._write([(report, s) for report, _, s in reports if report.state != "failed"])
        self._tell([report for report, _, _ in reports], fresh=True)
        self.flush(now=now)

    def _report(self, outcome: Outcome) -> Report:
        return Report(
            submission_id=outcome.submission_id,
            job_id=self.bench.job,
            state=outcome.state,
            points=outcome.points,
            max_points=self.bench.released.max_points,
            exercises=list(outcome.exercises),
            message=outcome.message,
            evidence=list(outcome.evidence),
            release_sha256=self.bench.released.fingerprint,
            notebooks=dict(outcome.notebooks),
            cells=dict(outcome.cells),
            graded_at=datetime.now(UTC),
            in_gradebook_at=None,
        )

    def _write(self, reports: list[tuple[Report, Submission]]) -> None:
        if not reports:
            return
        bench, failed = self.bench, set[str]()
        try:
            entries = [self._entry(report, submission) for report, submission in reports]
            with bench.gradebook.writer():
                bench.gradebook.write_reports(bench.release.lab, entries, due_at=bench.release.due_at)
        except BatchError as error:
            log.error("%s: graded but %s", bench.release.lab, error)
            failed = set(error.failed)
        except (SQLAlchemyError, OSError, ValueError, GradebookError):
            log.exception("%s: %d graded but not in the gradebook", bench.release.lab, len(reports))
            return
        written = [(report, s) for report, s in reports if s.username not in failed]
        try:
            only = (bench.release.lab, [submission.username for _, submission in written])
            settle_lateness(self.store, bench.places, bench.release.course, only=only)
        except (SQLAlchemyError, OSError, GradebookError):
            log.exception("%s: %d graded but without what lateness costs", bench.release.lab, len(written))
            return
        self.store.mark_in_gradebook([report.submission_id for report, _ in written])
        for report, _ in written:
            report.in_gradebook_at = datetime.now(UTC)

    def _entry(self, report: Report, submission: Submission) -> Entry:
        sent: dict[str, bytes] = {}
        with contextlib.suppress(ArchiveRefused):
            sent = unpacked(self.store.blob(submission.sha256), self.bench.settings.exchange)
        return Entry(
            submission.username,
            submission.received_at,
            sent,
            {name: self.store.blob(sha256).read_bytes() for name, sha256 in report.notebooks.items()},
            {name: CellScores.from_json(cells) for name, cells in report.cells.items()},
            look=report.state == "needs-look",
        )

    def _tell(self, reports: list[Report], *, fresh: bool) -> None:
        for report in reports:
            self.done += 1
            if self.progress:
                username = self.submissions[report.submission_id].username
                self.progress(Step(self.done, max(self.total, self.done), username, report, fresh))


def _run(bench: _Bench, progress: Callable[[Step], None] | None) -> JobResult:
    current = _Round(bench, bench.store.start_job(bench.job), progress)
    while True:
        cancelled = _grade(bench, current)
        result = _result(bench.store, bench.job, cancelled=cancelled)
        message = (
            f"Not graded, by a fault of the grader: {', '.join(result.failed)}." if result.failed else ""
        )
        state = "cancelled" if cancelled else "failed" if result.failed else "done"
        if bench.release.late_kind == "bank":  # what this lab takes from the bank is missing for the others
            settle_lateness(bench.store, bench.places, bench.release.course)
        asked = None if cancelled else current.asked
        if bench.store.finish_job(bench.job, state, message, asked=asked).state == state:
            return result


def _grade(bench: _Bench, current: _Round) -> bool:
    """Grade what is handed in by now, and again while somebody asked again meanwhile. Returns whether it was cancelled.

    What comes in during that waits until somebody asks: else a job would not end as long as a class is at work.
    """
    cancelled = _cancelled(bench)
    tickets = current.plan()
    if cancelled or not tickets:
        return cancelled
    with ThreadPoolExecutor(1) as beside:
        walls = None if bench.settings.scheduler else beside.submit(_check_walls, bench)
        with open_client(bench.settings) as client:
            if walls is not None:
                walls.result()
            while tickets:
                if _hand_out(bench, client, current, tickets):
                    return True
                asked_again = bench.store.job(bench.job).asked != current.asked
                tickets = current.plan() if asked_again else []
    return False


def _cancelled(bench: _Bench) -> bool:
    return bench.store.job(bench.job).cancel_requested_at is not None


def _check_walls(bench: _Bench) -> None:
    backend = bench.settings.sandbox.backend
    name = choose() if backend == "auto" else backend
    await_walls(name)
    if reason := unavailable(name, bench.image):
        raise SandboxError(f"the {name} sandbox does not work here: {reason}")


def _hand_out(bench: _Bench, client: Any, current: _Round, tickets: list[Ticket]) -> bool:
    """Keep the workers busy, a few submissions ahead, until all are done. Returns whether it was cancelled."""
    from distributed import as_completed

    order, waiting = bench.order(), list(reversed(tickets))
    known = {ticket.submission_id: ticket for ticket in tickets}
    completed: Any = as_completed()  # type: ignore[no-untyped-call]
    futures: dict[Any, str] = {}
    looked_at, cancelled = time.monotonic(), False

    def fill() -> None:
        ahead = 3 * max(worker_count(bench.settings) * bench.settings.slots, len(client.ncores()))
        begun = [waiting.pop() for _ in range(min(len(waiting), ahead - len(futures)))]
        if begun:
            bench.store.items_started(bench.job, [ticket.submission_id for ticket in begun])
        for ticket in begun:
            future = client.submit(grade_ticket, order, ticket, pure=False)
            futures[future] = ticket.submission_id
            completed.add(future)

    fill()
    while futures:
        for future in completed.next_batch(block=True):
            submission = futures.pop(future)
            if not current.take(_outcome(future, submission)):
                waiting.append(known[submission])
        current.flush()
        if time.monotonic() - looked_at > 0.5:
            looked_at, cancelled = time.monotonic(), _cancelled(bench)
        if cancelled:
            client.cancel(list(futures))
            break
        if len(futures) < 2 * worker_count(bench.settings) * bench.settings.slots:
            fill()
    current.flush(now=True)
    return cancelled


def _outcome(future: Any, submission_id: str) -> Outcome:
    """A worker that was killed is replaced and its submission tried again by Dask; this is what it gave up on."""
    error = future.exception()
    if error is None:
        outcome: Outcome = future.result()
        return outcome
    fault = f"{type(error).__name__}: {error}"[:500]
    return Outcome(submission_id, "failed", "", message=OUR_FAULT, fault=fault)


def _result(store: Store, job_id: int, *, cancelled: bool = False) -> JobResult:
    items = [item for item in store.items(job_id) if item.state != "superseded"]
    job = store.job(job_id)
    reports = {report.submission_id: report for _, report in store.reports(job.course, job.lab)}
    written = {i.submission_id for i in items if (r := reports.get(i.submission_id)) and r.in_gradebook_at}
    reached = [i for i in items if i.state not in ("waiting", "running", "cancelled")]
    return JobResult(
        job_id=job_id,
        total=len(items),
        graded=sum(i.state != "failed" and i.submission_id in written for i in reached),
        needs_manual=sum(i.state == "needs-manual" for i in reached),
        needs_look=sum(i.state == "needs-look" for i in reached),
        failed=tuple(i.username for i in reached if i.state == "failed" or i.submission_id not in written),
        cancelled=cancelled or job.state == "cancelled",
    )


@contextlib.contextmanager
def _alone(places: Places, course: str, lab: str) -> Iterator[None]:
    """Wait until no other process grades this lab: the second one then finds the reports of the first."""
    places.run.mkdir(parents=True, exist_ok=True)
    with (places.run / f"grading-{course}-{lab}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
