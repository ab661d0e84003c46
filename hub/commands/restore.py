"""`ict restore`: a site as it was when a backup was made."""

from __future__ import annotations

from pathlib import Path

import click

from hub.settings import Settings


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def command(settings: Settings, file: Path) -> None:
    """Make the site of FILE, a backup, in the data folder that the settings name. It must be empty or missing.

    A backup of an older version is brought up to date by the next `ict up`.

    \b
    Example:
      ict --settings new/ictlabs.toml restore /backups/monday.tar
    """
    from hub.backup import BackupError, restore

    try:
        manifest = restore(settings, file, say=lambda said: click.echo(said, err=True))
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{settings.places.data}: {len(manifest['files'])} files as of {manifest['made_at'][:16]} UTC, "
        "each compared. `ict up` starts it."
    )
    if not manifest["homes"]:
        click.echo("The backup was made without homes.", err=True)
