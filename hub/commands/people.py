"""`ict people`: accounts from the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from grader.names import NameRefused
from hub.accounts import AccountError, Accounts, new_password
from hub.deeds import note_command
from hub.settings import Settings


@click.group("people")
def command() -> None:
    """See, make and approve accounts.

    \b
    Example:
      ict people list
      ict people approve carol
    """


@command.command("list")
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
@click.pass_obj
def show(settings: Settings, waiting: bool) -> None:
    """List the accounts.

    \b
    Example:
      ict people list --waiting
    """
    for name, email, approved in Accounts(settings).people():
        if not (waiting and approved):
            click.echo(f"{name:<32} {'approved' if approved else 'waits for approval':<20} {email}")


@command.command("approve")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def approve(settings: Settings, names: tuple[str, ...]) -> None:
    """Let people log in who have signed up.

    \b
    Example:
      ict people approve carol dan
    """
    accounts = Accounts(settings)
    for name in names:
        with _told():
            accounts.approve(name)
        note_command(settings, "account.approve", subject=name)
        click.echo(f"{name} may log in.")


@command.command("add")
@click.argument("name")
@click.pass_obj
def add(settings: Settings, name: str) -> None:
    """Make an approved account and print its password, once.

    \b
    Example:
      ict people add carol
    """
    password = new_password()
    with _told():
        Accounts(settings).add(name, password)
    note_command(settings, "account.add", subject=name)
    click.echo(f"{name}    {password}")


@command.command("password")
@click.argument("name")
@click.pass_obj
def password(settings: Settings, name: str) -> None:
    """Give a person a new password and print it, once.

    \b
    Example:
      ict people password alice
    """
    new = new_password()
    with _told():
        Accounts(settings).set_password(name, new)
    note_command(settings, "account.password", subject=name)
    click.echo(f"{name}    {new}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn a problem with an account into a sentence and exit code 1."""
    try:
        yield
    except (AccountError, NameRefused) as error:
        raise click.ClickException(str(error)) from error
