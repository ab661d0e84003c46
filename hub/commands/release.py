"""`ict release`: offer a lab to a course."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click

from hub.settings import Settings


@click.command("release")
@click.argument("course")
@click.argument("lab")
@click.option(
    "--due", help="Due time, such as 2027-03-01T18:00; in the site's time zone unless it has its own."
)
@click.pass_obj
def command(settings: Settings, course: str, lab: str, due: str | None) -> None:
    """Offer a lab to a course; its students can fetch it from then on.

    Releasing again replaces what students fetch. What they handed in stays.

    \b
    Example:
      ict release ict101 net-subnetting
      ict release ict101 net-subnetting --due 2027-03-01T18:00
    """
    from grader.database import RecordError
    from grader.gradebook import GradebookError
    from grader.names import NameRefused
    from grader.release import release_lab
    from grader.store import Store
    from hub.deeds import note_command
    from hub.needs import offers, sentence
    from labs.library import Library
    from labs.model import LabError

    due_at = _moment(due, settings.site.timezone) if due else None
    try:
        library = Library([settings.root / folder for folder in settings.labs.folders])
        store = Store.open(settings.database_url, settings.places)
        found = library.lab(lab)
        release = release_lab(store, settings.places, found, course, by=getpass.getuser(), due_at=due_at)
    except (LabError, GradebookError, RecordError, NameRefused) as error:
        raise click.ClickException(str(error)) from error
    note_command(store, "lab.release", course=course, subject=lab)
    until = f", due {due_at:%Y-%m-%d %H:%M %Z}" if due_at else ""
    click.echo(f"{release.lab} is released to {course}: {release.max_points:g} points{until}.")
    if note := sentence(found, offers(settings)):
        click.echo(f"Its students will read: {note}")


def _moment(text: str, timezone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time. Write it as 2027-03-01T18:00.", param_hint="--due"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
