"""`ict doctor`: what the machine has and what to do about what is missing."""

from __future__ import annotations

import json

import click

from hub.doctor import Findings, examine, told
from hub.settings import Settings


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(settings: Settings, as_json: bool) -> None:
    """Say what this machine has, what that allows, and what to do about what is missing.

    \b
    Example:
      ict doctor
      ict doctor --json | python3 -m json.tool
    """
    found = examine(settings)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else _as_text(found))


def _as_text(found: Findings) -> str:
    lines = [
        f"Mode         {found.mode}: {found.why}",
        f"Docker       {found.docker['version'] or 'none'}",
        f"Namespaces   {'for every user' if found.userns['available'] else 'refused'}",
        f"Overlay      {'yes' if found.overlay else 'no'}",
        f"Chromium     {found.chromium or 'none'}",
        f"Python       {found.python}",
        f"Disk free    {found.disk_free_gb} GB",
        f"Memory       {found.memory_available_gb} of {found.memory_total_gb} GB available, {found.cores} cores",
        f"Kernel       {found.kernel['release']}, cgroups {found.kernel['cgroups']},"
        f" seccomp {'yes' if found.kernel['seccomp'] else 'no'}",
    ]
    if not found.problems:
        return "\n".join([*lines, "", "Nothing is missing."])
    return "\n".join([*lines, "", *told(found.problems)])
