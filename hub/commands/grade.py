"""`ict grade`: grade what a class handed in."""

from __future__ import annotations

import getpass
import logging
import sys
from typing import TYPE_CHECKING

import click

from hub.settings import Settings

if TYPE_CHECKING:  # imported late: `ict --help` stays quick
    from grader.pipeline import Step
    from grader.settings import GraderSettings


@click.command("grade")
@click.argument("course")
@click.argument("lab")
@click.option("--student", "students", multiple=True, help="Only this student. Repeat for more.")
@click.option("--job", "job_id", type=int, help="Carry on a job that is recorded already.")
@click.option(
    "--jobs", "workers", type=click.IntRange(1), help="Worker processes; by default one for each core."
)
@click.option("--regrade", is_flag=True, help="Run again what is graded already.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    course: str,
    lab: str,
    students: tuple[str, ...],
    job_id: int | None,
    workers: int | None,
    regrade: bool,
) -> None:
    """Grade the newest submission of every student and write the gradebook.

    Safe to run again: what is graded stays, what is new or failed is graded. Marks and comments given by
    hand stay. Exit code 0: all graded. 1: a fault of the grader left some out, or it was cancelled. 2: nothing could
    be graded.

    \b
    Example:
      ict grade ict101 net-subnetting
      ict grade ict101 net-subnetting --student alice --regrade
    """
    from grader import cluster

    if not settings.grader.scheduler:
        cluster.get_ready()
    from grader.database import RecordError
    from grader.pipeline import GradingError, grade_job
    from grader.store import Store
    from hub.deeds import note_command
    from hub.images import image_name

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    grader = _with_the_sites_walls(settings)
    if workers is not None:
        grader = grader.model_copy(update={"workers": workers})
    try:
        store = Store.open(settings.database_url, settings.places)
        result = grade_job(
            store,
            grader,
            settings.places,
            course,
            lab,
            requested_by=getpass.getuser(),
            image_of=lambda release: image_name(settings, release.environment),
            students=students,
            job_id=job_id,
            regrade=regrade,
            progress=_bar if sys.stderr.isatty() else _line,
        )
        if job_id is None:  # else who asked for the job is written down already
            note_command(store, "lab.grade", course=course, subject=lab, detail=", ".join(students))
    except (GradingError, RecordError) as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(2) from error
    click.echo(
        f"Job {result.job_id}: {result.graded} of {result.total} in the gradebook; "
        f"{result.needs_manual} wait for marks by hand."
    )
    if result.needs_look:
        click.echo(
            f"{result.needs_look} should be looked at by a person: `ict jobs show {result.job_id}` says why."
        )
    if result.failed:
        click.echo(
            f"Not graded, by a fault of the grader: {', '.join(result.failed)}. `ict jobs retry {result.job_id}`.",
            err=True,
        )
    if result.cancelled:
        click.echo("Cancelled. What is graded stays.", err=True)
    if result.failed or result.cancelled:
        raise click.exceptions.Exit(1)


def _with_the_sites_walls(settings: Settings) -> GraderSettings:
    """Containers where the site runs in them: an Engine that is away for a moment must not mean a weaker wall."""
    from hub.site import SiteError, load_site

    grader = settings.grader
    try:
        in_containers = load_site(settings).mode == "docker"
    except SiteError:  # it was never up
        in_containers = False
    if not in_containers or grader.scheduler or grader.sandbox.backend != "auto":
        return grader
    walls = grader.sandbox.model_copy(update={"backend": "docker"})
    return grader.model_copy(update={"sandbox": walls})


def _line(step: Step) -> None:
    click.echo(f"{step.done:>4}/{step.total}  {step.username:<24} {_result(step)}")


def _bar(step: Step) -> None:
    """Draw one line that grows; what is out of order gets a line of its own above it."""
    if step.report.state in ("failed", "needs-look"):
        click.echo(f"\r\x1b[K{step.username:<24} {_result(step)}", err=True)
    width = 30
    filled = width * step.done // step.total
    end = "\n" if step.done == step.total else ""
    click.echo(
        f"\r\x1b[K[{'#' * filled}{'.' * (width - filled)}] {step.done}/{step.total} {step.username}{end}",
        nl=False,
        err=True,
    )


def _result(step: Step) -> str:
    report = step.report
    if report.state == "failed":
        return "FAILED  " + report.message
    mark = f"{report.points:g} of {report.max_points:g}"
    note = " ".join(report.message.split())
    by_hand = {"needs-manual": " + by hand", "needs-look": " + LOOK"}.get(report.state, "")
    return f"{mark}{by_hand}{'' if step.fresh else '  (graded before)'}{'  ' + note if note else ''}"
