"""`ict worker`: grades submissions for a site whose Dask scheduler is somewhere else."""

from __future__ import annotations

import asyncio
import os

import click

from grader.settings import GraderSettings
from hub.settings import Settings


@click.command("worker")
@click.argument("scheduler", required=False)
@click.option("--check", is_flag=True, help="Only say whether SCHEDULER has workers; exit code 1 if not.")
@click.pass_obj
def command(settings: Settings, *, scheduler: str | None, check: bool) -> None:
    """Grade for the site of SCHEDULER (by default the grader.scheduler of the settings) until Ctrl-C.

    This machine needs a Docker Engine with the labs' images, the site's folder of blobs at data_dir/blobs (the same
    files, by a network file system), and for tls:// the certificates. It needs no database.

    \b
    Example:
      ict worker tls://10.0.0.5:8786
    """
    from grader import cluster
    from grader.work import BLOBS

    grader = settings.grader.model_copy(update={"scheduler": scheduler or settings.grader.scheduler})
    if not grader.scheduler:
        raise click.ClickException("no scheduler. Name it: ict worker tls://HOST:8786.")
    if check:
        _check(grader)
        return
    if not settings.places.blobs.is_dir():
        raise click.ClickException(f"{settings.places.blobs}: no such folder. Mount the site's blobs there.")
    os.environ[BLOBS] = str(settings.places.blobs)
    try:
        asyncio.run(cluster.serve(grader))
    except (cluster.ClusterError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("Stopped.")


def _check(grader: GraderSettings) -> None:
    from grader import cluster

    try:
        with cluster.open_client(grader) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
    except cluster.ClusterError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{grader.scheduler} has workers: {workers}.")
