"""`ict demo`: a class to look at."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

from hub.settings import Settings

if TYPE_CHECKING:  # imported late: `ict --help` stays quick
    from grader.pipeline import Step


@click.command("demo")
@click.option("--students", type=click.IntRange(1, 500), help="How many; 30.")
@click.option("--course", default="demo", show_default=True, help="The course it makes.")
@click.option("--lab", "labs", multiple=True, help="A lab of theirs, in this order; may be given again.")
@click.option("--seed", type=int, help="Another number draws another class; 0.")
@click.pass_obj
def command(
    settings: Settings, students: int | None, course: str, labs: tuple[str, ...], seed: int | None
) -> None:
    """Fill a course with students who do not exist, so that every page can be seen alive.

    Over three weeks they hand in the labs' own attempts, which are really graded. A real course is never touched.
    Killed and started again, it goes on where it was. The class stays: drop the whole data folder to be rid of it.

    \b
    Example:
      ict demo --students 30
      ict up
    """
    from grader import cluster

    if not settings.grader.scheduler:
        cluster.get_ready()
    from grader.archives import ArchiveRefused
    from grader.database import RecordError
    from grader.gradebook import GradebookError
    from grader.names import NameRefused, check_course
    from hub.democlass import DemoError, make_class
    from labs.model import LabError

    # nbgrader tells at length how it makes a gradebook, and sets its own levels
    logging.disable(logging.INFO)
    try:
        made = make_class(
            settings,
            check_course(course),
            students=students,
            labs=labs,
            seed=seed,
            say=_say,
            graded=_count if sys.stderr.isatty() else None,
        )
    except (DemoError, LabError, RecordError, GradebookError, NameRefused, ArchiveRefused) as error:
        raise click.ClickException(str(error)) from error
    finally:
        logging.disable(logging.NOTSET)
    click.echo(
        f"{made.course}: {made.students} students, {made.labs} labs, {made.submissions} submissions, "
        f"{made.graded} graded with {made.marks} marks, {made.feedback} given back; {made.seconds:.0f} s."
    )
    for name, password in made.passwords.items():
        click.echo(f"  {name:<14} {password}")
    if made.passwords:
        click.echo("Write the passwords down: they are kept hashed and not shown again. Next: ict up")


def _say(message: str) -> None:
    click.echo(f"{_clear()}  {message}")


def _count(step: Step) -> None:
    """Keep one line that says how far the job is."""
    click.echo(f"\r\x1b[K  grading {step.done}/{step.total}", nl=False, err=True)


def _clear() -> str:
    return "\r\x1b[K" if sys.stderr.isatty() else ""
