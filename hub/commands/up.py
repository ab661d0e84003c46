"""`ict up`: start the site in the foreground."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import click

from hub.settings import Settings
from hub.site import Site, SiteError, is_denied, is_listening, load_site, plan_site


@click.command("up")
@click.option("--demo", is_flag=True, help="With the demo course; servers stop with the site.")
@click.option("--check", is_flag=True, help="Only say whether the site is up; exit code 1 if not.")
@click.pass_context
def command(context: click.Context, demo: bool, check: bool) -> None:
    """Start the site and keep it up until Ctrl-C.

    Students' servers outlive a stop and a restart of the site. With --demo they stop with it, and nothing is left.

    \b
    Example:
      ict up
      ict --settings /etc/ictlabs.toml up
    """
    from hub.supervise import only_one

    settings: Settings = context.obj
    if check:
        _check(settings)
        return
    try:
        with only_one(settings):
            _up(settings, demo, context.find_root().params.get("settings"))
    except SiteError as error:
        raise click.ClickException(str(error)) from error


def _up(settings: Settings, demo: bool, settings_file: Path | None) -> None:
    from hub.enginewatch import watch
    from hub.needs import look
    from hub.supervise import parts, run, stop_left_over

    for name in stop_left_over(settings):
        _say(f"stopped {name} of an earlier run")
    site = plan_site(settings, keep_servers=not demo)
    _warn(site)
    _check_ports(settings)
    _check_certificate(settings)
    if site.contained:
        _prepare_docker(settings, site, demo)
    passwords = _prepare_demo(settings) if demo else {}
    group = parts(settings, site, settings_file)
    # beside the start, which they must not delay; until then the pages say nothing of it
    for beside, about in ((look, (settings, site.mode)), (watch, (settings,))):
        threading.Thread(target=beside, args=about, daemon=True).start()
    try:
        run(settings, site, group, _say, lambda: _announce(settings, site, demo, passwords))
    finally:
        if demo and site.contained:
            _clean_docker(settings, site)


def _check_ports(settings: Settings) -> None:
    host, ports = settings.hub.host, {"hub.port": settings.hub.port}
    if settings.tls.is_on and settings.tls.redirect_port:
        ports["tls.redirect_port"] = settings.tls.redirect_port
    for key, port in ports.items():
        if is_listening(host, port):
            raise SiteError(
                f"something else listens on {host}:{port}. Stop it, or set {key} to another port."
            )
        if port < 1024 and is_denied(host, port):
            raise SiteError(
                f"{key}: this user may not listen on port {port}. Set another one, or let every user: "
                "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"
            )


def _check_certificate(settings: Settings) -> None:
    from hub.tls import CertificateError, doubts, read_certificate

    if not settings.tls.certificate_file:
        return
    try:
        certificate = read_certificate(settings)
    except CertificateError as error:
        raise SiteError(str(error)) from error
    for what, consequence, remedy in doubts(settings, certificate):
        _say(f"{what}: {consequence}. To mend it: {remedy}.")


def _check(settings: Settings) -> None:
    """Say whether the proxy listens and the portal, which ends with the hub, answers."""
    import httpx

    try:
        health = f"{load_site(settings).portal_url}/services/portal/health"
        answer = httpx.get(health, timeout=5, trust_env=False).status_code
    except (SiteError, httpx.HTTPError) as error:
        raise click.ClickException(f"the portal does not answer: {error}") from error
    if answer != 200:
        raise click.ClickException(f"the portal answers {answer}. Look into {settings.places.logs}.")
    if not is_listening(settings.hub.host, settings.hub.port):
        raise click.ClickException(f"nothing listens on {settings.hub.host}:{settings.hub.port}.")
    _say("up")


def _say(message: str) -> None:
    click.echo(f"  {message}")


def _warn(site: Site) -> None:
    if site.contained:
        return
    wall = "in jails of namespaces" if site.mode == "process" else "WITHOUT ANY WALL between students"
    lines = [
        "NO DOCKER ENGINE: students' servers are local processes,",
        f"{wall}, on loopback only.",
        "Fit for a first look, not for a class. To mend it: sudo make docker",
    ]
    width = max(map(len, lines)) + 4
    click.secho(
        "\n".join(["!" * width, *(f"! {line:<{width - 4}} !" for line in lines), "!" * width]),
        fg="red",
        err=True,
    )


def _prepare_docker(settings: Settings, site: Site, demo: bool) -> None:
    import docker

    from hub.images import ImageError, build

    known = set() if demo else _known_containers(settings)
    for name in _sweep(settings, site, known):
        _say(f"removed the container {name}, left by an earlier run")
    client = docker.from_env(timeout=600)
    try:
        build(settings, client, "base", say=_say)
    except (ImageError, docker.errors.DockerException) as error:
        raise SiteError(str(error)) from error
    finally:
        client.close()


def _sweep(settings: Settings, site: Site, known: set[str]) -> list[str]:
    if site.mode == "swarm":
        from hub.spawners.swarm import sweep
    else:
        from hub.spawners.docker import sweep
    return sweep(settings, known)


def _known_containers(settings: Settings) -> set[str]:
    """Ids of containers and services that the hub will find again."""
    import json

    file = settings.places.data / "jupyterhub.sqlite"
    if not file.exists():
        return set()
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        rows = connection.execute("select state from spawners where state is not null").fetchall()
    except sqlite3.OperationalError:  # no such table yet
        return set()
    finally:
        connection.close()
    states = [json.loads(row[0]) or {} for row in rows]
    return {str(state["object_id"]) for state in states if state.get("object_id")}


def _clean_docker(settings: Settings, site: Site) -> None:
    from hub.spawners.docker import remove_network

    _sweep(settings, site, set())
    if site.mode == "docker":  # the nodes' operator made the other one
        remove_network(settings)


def _prepare_demo(settings: Settings) -> dict[str, str]:
    from grader.database import RecordError
    from grader.gradebook import GradebookError
    from hub.demo import prepare_demo
    from labs.model import LabError

    # nbgrader tells at length how it makes a gradebook, and sets its own levels
    logging.disable(logging.INFO)
    try:
        return prepare_demo(settings, _say)
    except (LabError, GradebookError, RecordError) as error:
        raise SiteError(str(error)) from error
    finally:
        logging.disable(logging.NOTSET)


def _announce(settings: Settings, site: Site, demo: bool, passwords: dict[str, str]) -> None:
    from hub.demo import COURSE, PEOPLE

    click.echo(f"\n{settings.site.name} is up:  {settings.address}")
    if settings.tls.acme_email:
        click.echo(
            f"Certificate:  by ACME; what keeps it from coming is in {_short(settings.places.logs)}/traefik.log"
        )
    click.echo(f"Mode:         {site.mode}, because {site.why}")
    click.echo(f"Data:         {_short(settings.places.data)}")
    if demo:
        click.echo(f"Demo course:  {COURSE}")
        for name, role in PEOPLE.items():
            if name in passwords:
                click.echo(f"  {name:<10} {passwords[name]}")
            else:
                click.echo(
                    f"  {name:<10} ({role}; password as shown at the first start, or: ict people password {name})"
                )
        if passwords:
            click.echo("Write the passwords down: they are kept hashed and not shown again.")
    click.echo("Ctrl-C stops it.\n")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
