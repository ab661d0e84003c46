"""`ict images`: build the container images that labs, and with compose the site, run in."""

from __future__ import annotations

from pathlib import Path

import click
import docker

from hub.images import ImageError, build, buildable, states
from hub.needs import look
from hub.settings import Settings


@click.group("images")
def command() -> None:
    """Build the container images that labs run in.

    \b
    Example:
      ict images list
      ict images build base
    """


def _client() -> docker.DockerClient:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        raise click.ClickException(f"no Docker Engine answers ({error}). Run: sudo make docker") from error
    return client


@command.command("list")
@click.pass_obj
def show(settings: Settings) -> None:
    """List the environments and the sizes of their images.

    \b
    Example:
      ict images list
    """
    for state in states(settings, _client()):
        size = "not built" if state.size_mb is None else f"{state.size_mb:.0f} MB"
        note = "" if state.current or state.size_mb is None else "  (made from older files: build it again)"
        click.echo(f"{state.environment:<12} {state.name:<32} {size:>10}{note}")


@command.command("build")
@click.argument("environment", type=click.Choice(buildable()))
@click.option(
    "--ca-bundle",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your site's CA certificates (PEM), for the build only.",
)
@click.option("--mirror", help="Debian mirror to bootstrap from instead of pulling an image.")
@click.option(
    "--wheelhouse",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of wheels to take instead of the index's; PyTorch for `ai` comes from there.",
)
@click.option("--force", is_flag=True, help="Build even if nothing changed.")
@click.pass_obj
def make(  # noqa: PLR0917 (click passes options by name)
    settings: Settings,
    environment: str,
    ca_bundle: Path | None,
    mirror: str | None,
    wheelhouse: Path | None,
    force: bool,
) -> None:
    """Build an environment's image, or the one of the site itself, unless it is there, made from the same files.

    \b
    Example:
      ict images build base
      ict images build base --ca-bundle /etc/ssl/certs/ca-certificates.crt
      ict images build ai --wheelhouse /srv/wheels
      ict images build site
    """
    client = _client()
    try:
        build(
            settings,
            client,
            environment,
            say=click.echo,
            ca_bundle=ca_bundle,
            mirror=mirror,
            wheelhouse=wheelhouse,
            force=force,
        )
    except (ImageError, docker.errors.DockerException) as error:
        raise click.ClickException(str(error)) from error
    if settings.places.run.exists():  # there is a site, whose pages say what labs find here
        look(settings, "docker")
