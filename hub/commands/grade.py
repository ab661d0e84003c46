"""`ict grade`: grade what a class handed in."""

from __future__ import annotations

import getpass
import logging
from typing import TYPE_CHECKING

import click

from hub.settings import Settings

if TYPE_CHECKING:  # imported late: `ict --help` stays quick
    from grader.pipeline import Step


@click.command("grade")
@click.argument("course")
@click.argument("lab")
@click.option("--student", "students", multiple=True, help="Only this student. Repeat for more.")
@click.option("--job", "job_id", type=int, help="Carry on a job that is recorded already.")
@click.option("--regrade", is_flag=True, help="Run again what is graded already.")
@click.pass_obj
def command(
    settings: Settings, *, course: str, lab: str, students: tuple[str, ...], job_id: int | None, regrade: bool
) -> None:
    """Grade the newest submission of every student and write the gradebook.

    Safe to run again: what is graded stays, what is new or failed is graded. Marks and comments given by
    hand stay. Exit code 0: all graded. 1: a fault of the grader left some out. 2: nothing could be graded.

    \b
    Example:
      ict grade ict101 net-subnetting
      ict grade ict101 net-subnetting --student alice --regrade
    """
    from grader.database import RecordError
    from grader.models import Release
    from grader.pipeline import GradingError, grade_job
    from grader.sandbox import open_sandbox
    from grader.sandbox.base import Sandbox
    from grader.store import Store
    from hub.images import image_name

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")

    def sandbox(release: Release) -> Sandbox:
        walls = settings.grader.sandbox
        return open_sandbox(walls.backend, walls, image=image_name(settings, release.environment))

    def show(step: Step) -> None:
        click.echo(f"{step.done:>4}/{step.total}  {step.username:<24} {_result(step)}")

    try:
        store = Store.open(settings.database_url, settings.places)
        result = grade_job(
            store,
            settings.grader,
            settings.places,
            course,
            lab,
            requested_by=getpass.getuser(),
            open_sandbox=sandbox,
            students=students,
            job_id=job_id,
            regrade=regrade,
            progress=show,
        )
    except (GradingError, RecordError) as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(2) from error
    click.echo(
        f"{result.graded} of {result.total} in the gradebook; {result.needs_manual} wait for marks by hand."
    )
    if result.failed:
        click.echo(
            f"Not graded, by a fault of the grader: {', '.join(result.failed)}. Grade again.", err=True
        )
        raise click.exceptions.Exit(1)


def _result(step: Step) -> str:
    report = step.report
    if report.state == "failed":
        return "FAILED  " + report.message
    mark = f"{report.points:g} of {report.max_points:g}"
    note = " ".join(report.message.split())
    by_hand = " + by hand" if report.state == "needs-manual" else ""
    return f"{mark}{by_hand}{'' if step.fresh else '  (graded before)'}{'  ' + note if note else ''}"
