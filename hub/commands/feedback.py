"""`ict feedback`: let students read their marks and what was found."""

from __future__ import annotations

import getpass

import click

from hub.settings import Settings


@click.command("feedback")
@click.argument("course")
@click.argument("lab")
@click.option("--student", "students", multiple=True, help="Only this student. Repeat for more.")
@click.option("--unmarked-too", is_flag=True, help="Also where answers still have to be marked by hand.")
@click.pass_obj
def command(settings: Settings, course: str, lab: str, students: tuple[str, ...], unmarked_too: bool) -> None:
    """Release feedback: marks, messages and comments as the gradebook has them now.

    Run it again after marking more by hand. Exit code 1 if there was nothing to release.

    \b
    Example:
      ict feedback ict101 net-subnetting
    """
    from grader.database import RecordError
    from grader.feedback import release_feedback
    from grader.gradebook import GradebookError
    from grader.store import Store
    from hub.deeds import note_command

    try:
        store = Store.open(settings.database_url, settings.places)
        result = release_feedback(
            store,
            settings.places,
            course,
            lab,
            by=getpass.getuser(),
            students=students,
            unmarked_too=unmarked_too,
        )
    except (GradebookError, RecordError) as error:
        raise click.ClickException(str(error)) from error
    note_command(store, "feedback.release", course=course, subject=lab)
    for username in result.released:
        click.echo(username)
    click.echo(f"Feedback of {len(result.released)} students can be read.")
    if result.waiting:
        click.echo(
            f"Left out, still to be marked by hand: {', '.join(result.waiting)}. "
            "Mark them in Formgrader, or give --unmarked-too.",
            err=True,
        )
    if not result.released:
        click.echo(f"Nothing to release. `ict grade {course} {lab}` comes first.", err=True)
        raise click.exceptions.Exit(1)
