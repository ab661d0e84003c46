"""`ict status`: one screen about a site, and an exit code for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import click

from hub.doctor import told
from hub.images import ImageState
from hub.settings import Settings
from hub.status import Status, look
from hub.supervise import Seen


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Say whether the site is up and well, and what to do about what is not. Exit code 1 if something is wrong.

    \b
    Example:
      ict status
      ict status --json | python3 -m json.tool
    """
    settings: Settings = context.obj
    found = look(settings)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else _as_text(found, settings))
    context.exit(1 if found.problems else 0)


def _as_text(found: Status, settings: Settings) -> str:
    lines = [
        f"Site         {found.name}, {found.address}, {'up' if found.up else 'not up'}",
        f"Version      {found.version}" + (f", mode {found.mode}" if found.mode else ""),
        f"Data         {found.data}",
        *(f"{part.name.capitalize():<12} {_part(part)}" for part in found.parts),
        f"Health       {_listed(found.health)}",
        f"Database     {found.database or 'not read'}",
        f"Docker       {found.engine['version'] or 'none'}",
        f"Images       {', '.join(map(_image, found.images)) or 'not used'}",
        f"Servers      {_count(found.servers)} up, {_count(found.starting)} on the way, {_count(found.queued)} in the queue",
        f"Accounts     {_count(found.accounts)}, {_count(found.accounts_waiting)} of them wait for approval",
        f"Courses      {_count(found.courses)}",
        f"Jobs         {_count(found.jobs_open)} open, {_count(found.jobs_failed)} failed in the last day",
        f"Full homes   {', '.join(found.homes_full) or 'none'}" + _limit(settings),
        f"Disk free    {found.disk_free_gb} of {found.disk_total_gb} GB",
        f"Backup       {_backup(found)}",
        "",
    ]
    return "\n".join([*lines, *(told(found.problems) or ["All is well."])])


def _part(part: Seen) -> str:
    runs = (
        f"pid {part.pid}, since {part.since:%Y-%m-%d %H:%M} UTC" if part.pid and part.since else "not running"
    )
    return runs + (f" (ended before: {part.ended})" if part.ended else "")


def _listed(health: Mapping[str, str] | None) -> str:
    return ", ".join(f"{name} {said}" for name, said in health.items()) if health else "not asked"


def _image(image: ImageState) -> str:
    if image.size_mb is None:
        return f"{image.environment} (not built)"
    return image.environment if image.current else f"{image.environment} (made from older files)"


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def _limit(settings: Settings) -> str:
    return f" (limit {settings.hub.home_mb} MiB)" if settings.hub.home_mb else " (no limit)"


def _backup(found: Status) -> str:
    if found.backup is None:
        return "none"
    at = datetime.fromisoformat(found.backup["at"])
    return f"{at:%Y-%m-%d %H:%M} UTC, {found.backup['bytes'] / 1e6:.1f} MB, {found.backup['file']}"
