"""The command `ict`: finds the settings, hands them to one file of hub/commands/."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from hub.settings import SettingsError, load_settings

# command -> what it does; the file of the same name in hub/commands/ is imported only when it is called
COMMANDS = {
    "up": "Start the site and keep it up until Ctrl-C.",
    "status": "Say whether the site is well, on one screen.",
    "doctor": "Say what this machine has and what to do about what is missing.",
    "course": "Make courses and enrol classes.",
    "people": "See, make and approve accounts.",
    "labs": "List, write, build and prove labs.",
    "release": "Offer a lab to a course.",
    "grade": "Grade what a course handed in.",
    "jobs": "See, cancel and retry grading jobs.",
    "worker": "Grade for a site on another machine.",
    "portal": "Serve the portal alone, where the hub does not start it.",
    "feedback": "Give marks and feedback back to a course.",
    "demo": "Fill a course with a class to look at.",
    "backup": "Copy the whole site into one file, while it runs.",
    "restore": "Make the site of a backup again.",
    "images": "Build the container images that labs run in.",
}


class Commands(click.Group):
    """Imports a command when it is called: `ict --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import hub/commands/<cmd_name>.py."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hub.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table: nothing is imported to list them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    envvar="ICTLABS_SETTINGS",
    help="The settings file; ./ictlabs.toml.",
)
@click.version_option(package_name="ictlabs")
@click.pass_context
def main(context: click.Context, settings: Path | None) -> None:
    """ICT Labs: hands-on labs for an academy.

    \b
    Example:
      ict doctor
      ict up --demo
    """
    try:
        context.obj = load_settings(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="ict")
