"""`ict course`: make courses and enrol classes from CSV rosters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click

from grader.names import NameRefused, check_course, check_username
from grader.roster import (
    MAX_ROSTER_BYTES,
    Role,
    RosterRefused,
    decode_roster,
    laid_over,
    member_row,
    read_roster,
)
from grader.store import MemberRow, RecordError, Store
from hub.deeds import note_command
from hub.settings import Settings


@click.group("course")
def command() -> None:
    """Make courses and enrol classes.

    \b
    Example:
      ict course create ict102 --title "ICT 102, spring"
      ict course enrol ict102 roster.csv
      ict course open ict102
    """


@command.command("create")
@click.argument("course")
@click.option("--title", default="", help="The course's title; the id when left out.")
@click.option("--instructor", "instructors", multiple=True, help="A person who teaches it. Repeat for more.")
@click.pass_obj
def create(settings: Settings, course: str, title: str, instructors: tuple[str, ...]) -> None:
    """Make a course.

    \b
    Example:
      ict course create ict102 --title "ICT 102, spring" --instructor teacher
    """
    from grader.coursefolder import create_course_folder

    try:
        check_course(course)
        for name in instructors:
            check_username(name)
        store = Store.open(settings.database_url, settings.places)
        store.create_course(course, title or course)
    except (NameRefused, RecordError) as problem:
        raise click.ClickException(str(problem)) from problem
    create_course_folder(settings.places, course)
    store.enrol(course, [MemberRow(name, "instructor") for name in instructors])
    note_command(store, "course.create", course=course)
    click.echo(f"Course {course} is there. Next: ict course enrol {course} roster.csv")


@command.command("enrol")
@click.argument("course")
@click.argument("roster", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--partial", is_flag=True, help="Keep the good rows even if some are bad.")
@click.option("--instructors", is_flag=True, help="The roster lists instructors, not students.")
@click.pass_obj
def enrol(settings: Settings, course: str, roster: Path, partial: bool, instructors: bool) -> None:
    """Enrol the people of a CSV roster: name,e-mail,group, or the columns that its first line names.

    Columns: username, name, e-mail, group, role (student, assistant or instructor). An empty cell leaves what the course has.

    A bad row is reported by its line. Then nobody is enrolled, unless --partial is given; the exit code is 1 either way.

    \b
    Example:
      ict course enrol ict102 roster.csv
      ict course enrol ict102 roster.csv --partial
    """
    if roster.stat().st_size > MAX_ROSTER_BYTES:
        raise click.ClickException(f"{roster}: larger than {MAX_ROSTER_BYTES // 1_000_000} MB. Split it.")
    try:
        rows, problems = read_roster(decode_roster(roster.read_bytes()))
    except RosterRefused as error:
        raise click.ClickException(f"{roster}: {error}") from error
    for problem in problems:
        click.echo(f"{roster}: {problem}", err=True)
    if problems and not partial:
        raise click.ClickException(
            f"nobody was enrolled: {len(problems)} bad, {len(rows)} good rows. Mend the roster, or keep the good ones with --partial."
        )
    store = Store.open(settings.database_url, settings.places)
    role: Role = "instructor" if instructors else "student"
    known = {member.username: member_row(member) for member in store.members(course)}
    try:
        store.enrol(
            course, [replace(laid_over(known.get(row.username), row), role=row.role or role) for row in rows]
        )
    except RecordError as problem:
        raise click.ClickException(str(problem)) from problem
    note_command(store, "people.import", course=course, detail=f"{len(rows)} {role}s")
    click.echo(
        f"{len(rows)} {role}s enrolled in {course}. They sign up with these names; an instructor approves them."
    )
    if problems:
        raise click.exceptions.Exit(1)


@command.command("open")
@click.argument("course")
@click.pass_obj
def open_course(settings: Settings, course: str) -> None:
    """Let anybody with an account join a course from the catalogue, and leave it.

    \b
    Example:
      ict course open ict102
    """
    _set_open(settings, course, True)
    click.echo(f"Course {course} is open. Anybody with an account finds it in the catalogue and may join.")


@command.command("close")
@click.argument("course")
@click.pass_obj
def close_course(settings: Settings, course: str) -> None:
    """Let nobody join a course by themselves any more; whoever is in it stays.

    \b
    Example:
      ict course close ict102
    """
    _set_open(settings, course, False)
    click.echo(f"Course {course} is closed. Whoever is in it stays.")


def _set_open(settings: Settings, course: str, is_open: bool) -> None:
    try:
        Store.open(settings.database_url, settings.places).set_open(course, is_open)
    except RecordError as problem:
        raise click.ClickException(str(problem)) from problem


@command.command("list")
@click.argument("course", required=False)
@click.pass_obj
def show(settings: Settings, course: str | None) -> None:
    """List the courses, or the people of one.

    \b
    Example:
      ict course list
      ict course list ict102
    """
    store = Store.open(settings.database_url, settings.places)
    if course is None:
        for row in store.courses():
            members = store.members(row.id)
            roles = Counter(m.role for m in members)
            click.echo(
                f"{row.id:<24} {roles['student']:>4} students {roles['assistant']:>3} assistants "
                f"{roles['instructor']:>3} instructors  {row.title}{' (open)' if row.open else ''}"
            )
        return
    try:
        store.course(course)
    except RecordError as problem:
        raise click.ClickException(str(problem)) from problem
    for member in store.members(course):
        click.echo(f"{member.username:<32} {member.role:<10} {member.section:<16} {member.email}")
