"""`ict release`: offer a lab to a course."""

from __future__ import annotations

import getpass
from typing import Any
from zoneinfo import ZoneInfo

import click

from grader.schedule import LATE_KINDS, REVEALS, Schedule, ScheduleRefused
from hub.portal.releaseform import moment_of
from hub.settings import Settings

_NONE = "none"


@click.command("release")
@click.argument("course")
@click.argument("lab")
@click.option("--opens", metavar="TIME", help="Before that, students see the title only.")
@click.option("--due", metavar="TIME", help="Afterwards, work is late.")
@click.option("--cutoff", metavar="TIME", help="Afterwards, nothing is taken.")
@click.option(
    "--late",
    metavar="POLICY",
    help="What a day late costs: none, deduction:10 (percent of the points), or bank:3 (late days of each student in "
    "this course) or bank:3:10 (and percent for the days beyond).",
)
@click.option("--attempts", metavar="N", help="How often a student may hand in; none for no limit.")
@click.option(
    "--reveal",
    type=click.Choice(REVEALS),
    help="Of hidden checks: messages, marks alone, or nothing until the lab is closed for a student.",
)
@click.pass_obj
def command(settings: Settings, /, course: str, lab: str, **said: str | None) -> None:
    """Offer a lab to a course; its students can fetch it from then on.

    A TIME is written like 2027-03-01T18:00, in the site's time zone unless it has its own; none takes it away.
    Releasing again replaces what students fetch. What they handed in stays, and so does whatever you do not name.

    \b
    Example:
      ict release ict101 net-subnetting
      ict release ict101 net-subnetting --due 2027-03-01T18:00 --cutoff 2027-03-08T18:00 --late deduction:10
    """
    from grader.database import NotThere, RecordError
    from grader.gradebook import GradebookError
    from grader.names import NameRefused
    from grader.release import release_lab
    from grader.schedule import merged
    from grader.schedulelog import schedule_of
    from grader.store import Store
    from hub.deeds import note_command
    from hub.needs import offers, sentence
    from labs.library import Library
    from labs.model import LabError

    zone = ZoneInfo(settings.site.timezone)
    try:
        new, bank = _terms(said, zone)
    except ScheduleRefused as error:
        raise click.BadParameter(str(error)) from error
    try:
        library = Library([settings.root / folder for folder in settings.labs.folders])
        store = Store.open(settings.database_url, settings.places)
        found = library.lab(lab)
        try:
            known = schedule_of(store.find_release(course, lab))
        except NotThere:
            known = Schedule()
        schedule = merged(known, new)
        store.course(course)
        if bank is not None:
            store.set_bank(course, bank)
        release = release_lab(store, settings.places, found, course, by=getpass.getuser(), schedule=schedule)
    except (LabError, GradebookError, RecordError, NameRefused) as error:
        raise click.ClickException(str(error)) from error
    note_command(store, "lab.release", course=course, subject=lab)
    times = (("opens", release.opens_at), ("due", release.due_at), ("cut-off", release.cutoff_at))
    until = "".join(f", {word} {at.astimezone(zone):%Y-%m-%d %H:%M %Z}" for word, at in times if at)
    click.echo(f"{release.lab} is released to {course}: {release.max_points:g} points{until}.")
    if note := sentence(found, offers(settings)):
        click.echo(f"Its students will read: {note}")


def _terms(said: dict[str, str | None], zone: ZoneInfo) -> tuple[dict[str, Any], int | None]:
    """What was named, as fields of a Schedule, and the days of the bank. Raises ScheduleRefused."""
    new: dict[str, Any] = {}
    for name in ("opens", "due", "cutoff"):
        text = said[name]
        if text is not None:
            new[f"{name}_at"] = None if text == _NONE else moment_of(text, zone)
    if said["attempts"] is not None:
        new["attempts"] = None if said["attempts"] == _NONE else int(_number(said["attempts"]))
    if said["reveal"] is not None:
        new["reveal"] = said["reveal"]
    if said["late"] is None:
        return new, None
    kind, *numbers = said["late"].split(":")
    if kind not in LATE_KINDS or len(numbers) not in {"none": [0], "deduction": [1], "bank": [1, 2]}[kind]:
        raise ScheduleRefused(f"{said['late']!r} is no late policy: none, deduction:10, bank:3 or bank:3:10.")
    new["late_kind"] = kind
    new["late_percent"] = _number(numbers[-1]) if len(numbers) == (2 if kind == "bank" else 1) else 0.0
    return new, int(_number(numbers[0])) if kind == "bank" else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ScheduleRefused(f"{text!r} is not a number.") from None
