"""`ict backup`: the whole site in one file, while it runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from hub.settings import Settings


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--without-homes", is_flag=True, help="Leave out what people keep in their homes.")
@click.option("--check", "only_check", is_flag=True, help="Make none: read FILE and say whether it is whole.")
@click.pass_obj
def command(settings: Settings, file: Path | None, without_homes: bool, only_check: bool) -> None:
    """Write the record, all submissions, courses, accounts, keys and homes to FILE (ictlabs-DATE.tar), and read it back.

    The site may run. FILE holds the site's secrets: keep it where only you can read it, and on another machine.

    \b
    Example:
      ict backup /backups/monday.tar
      ict backup --check /backups/monday.tar
    """
    from hub.backup import MOST_DEEP, BackupError, back_up, check

    try:
        if only_check:
            if file is None:
                raise click.UsageError("Name the file to check.")
            manifest = check(file)
            click.echo(f"{file}: whole. {len(manifest['files'])} files of {manifest['made_at'][:16]} UTC.")
            return
        file = file or Path(f"ictlabs-{datetime.now().astimezone():%Y%m%d-%H%M%S}.tar")
        found = back_up(settings, file, homes=not without_homes, say=lambda said: click.echo(said, err=True))
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    _note(settings, file)
    click.echo(f"{file}: {found.files} files, {found.bytes / 1e6:.1f} MB, read back and the same.")
    if found.changed:
        click.echo(f"Changed while they were copied: {', '.join(found.changed[:10])}.", err=True)
    if found.skipped:
        click.echo(
            f"Left out, neither files nor folders nor links, or {MOST_DEEP} folders deep: {found.skipped}.",
            err=True,
        )


def _note(settings: Settings, file: Path) -> None:
    """Write it into the audit log, which `ict status` looks into."""
    from grader.database import RecordError, revision_needed, revision_there
    from hub.deeds import note_command

    try:
        # a record of another version must not be changed here: whoever makes a backup may be about to update
        if revision_there(settings.database_url) == revision_needed():
            note_command(
                settings, "backup.make", subject=str(file.absolute()), detail=str(file.stat().st_size)
            )
    except RecordError as error:
        click.echo(f"The audit log does not have it: {error}", err=True)
