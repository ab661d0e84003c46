"""`ict jobs`: what grading was asked for, how far it is, and what to do about it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hub.commands.grade import command as grade
from hub.settings import Settings

if TYPE_CHECKING:  # imported late: `ict --help` stays quick
    from grader.models import Job, JobItem
    from grader.store import Store


@click.group("jobs")
def command() -> None:
    """See, cancel and retry grading jobs.

    \b
    Example:
      ict jobs list ict101
      ict jobs show 7
      ict jobs retry 7
    """


@command.command("list")
@click.argument("course", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Also those that are over; otherwise the newest twenty."
)
@click.pass_obj
def list_jobs(settings: Settings, *, course: str | None, everything: bool) -> None:
    """List jobs, newest first."""
    with _store(settings) as store:
        found = store.jobs(course)
    for job in found if everything else found[:20]:
        click.echo(
            f"{job.id:>6}  {job.state:<10} {job.done:>4}/{job.total:<5} {job.course:<16} {job.lab:<28} "
            f"{_when(job.created_at)}  {job.requested_by}{'  ' + job.message if job.message else ''}"
        )
    if not found:
        click.echo("No jobs yet. `ict grade COURSE LAB` makes one.")


@command.command("show")
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show(settings: Settings, *, number: int, as_json: bool) -> None:
    """Show a job and each submission in it: its state, when, how long, and why a person should look."""
    with _store(settings) as store:
        job, items = store.job(number), store.items(number)
        reports = {item.submission_id: store.report(item.submission_id) for item in items}
    evidence = {
        identity: list(report.evidence) for identity, report in reports.items() if report and report.evidence
    }
    if as_json:
        click.echo(json.dumps(_as_json(job, items, evidence), default=str))
        return
    asked = ", ".join(job.students) if job.students else "everybody"
    click.echo(f"Job {job.id}: {job.lab} of {job.course}, for {asked}. Asked for by {job.requested_by}.")
    click.echo(
        f"{job.state}, {job.done} of {job.total}. Recorded {_when(job.created_at)}, begun {_when(job.started_at)}, "
        f"over {_when(job.finished_at)}. {job.message}".rstrip()
    )
    for item in items:
        click.echo(f"{item.username:<24} {item.state:<13} {_took(item):>8}  {item.worker:<24} {item.message}")
        for sentence in evidence.get(item.submission_id, ()):
            click.echo(f"{'':<24} look: {sentence}")


@command.command("cancel")
@click.argument("number", type=int)
@click.pass_obj
def cancel(settings: Settings, *, number: int) -> None:
    """Stop a job: nothing new is begun, and what is graded stays."""
    with _store(settings) as store:
        job = store.cancel_job(number)
        _note(store, "job.cancel", job.course, number)
    click.echo(f"Job {number} is {'cancelled' if job.state == 'cancelled' else 'being cancelled'}.")


@command.command("retry")
@click.argument("number", type=int)
@click.pass_context
def retry(context: click.Context, *, number: int) -> None:
    """Grade what a job left: its failed and cancelled submissions, and nothing else."""
    with _store(context.obj) as store:
        job = store.retry_job(number, getpass.getuser())
        _note(store, "job.retry", job.course, number)
    _run(context, job)


@command.command("resume")
@click.pass_context
def resume(context: click.Context) -> None:
    """Go on with every job that is open: after the machine was restarted, say. One that runs is waited for."""
    with _store(context.obj) as store:
        waiting = store.jobs(only_open=True)
    for job in reversed(waiting):
        click.echo(f"Job {job.id}: {job.lab} of {job.course}")
        _run(context, job)
    if not waiting:
        click.echo("No job is open.")


def _note(store: Store, what: str, course: str, number: int) -> None:
    from hub.deeds import note_command

    note_command(store, what, course=course, subject=str(number))


def _run(context: click.Context, job: Job) -> None:
    context.invoke(
        grade, course=job.course, lab=job.lab, job_id=job.id, students=(), workers=None, regrade=False
    )


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from grader.database import RecordError
    from grader.store import Store

    try:
        yield Store.open(settings.database_url, settings.places)
    except RecordError as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(2) from error


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "not yet"


def _took(item: JobItem) -> str:
    if item.started_at is None or item.finished_at is None:
        return ""
    return f"{(item.finished_at - item.started_at).total_seconds():.1f} s"


def _as_json(job: Job, items: list[JobItem], evidence: dict[str, list[str]]) -> dict[str, Any]:
    names = ("id", "course", "lab", "state", "requested_by", "students", "regrade", "total", "done", "message",
             "created_at", "started_at", "finished_at")  # fmt: skip
    of_item = (
        "submission_id",
        "username",
        "state",
        "attempts",
        "started_at",
        "finished_at",
        "worker",
        "message",
    )
    return {name: getattr(job, name) for name in names} | {
        "submissions": [
            {name: getattr(item, name) for name in of_item}
            | {"evidence": evidence.get(item.submission_id, [])}
            for item in items
        ]
    }
