"""`ict portal`: the portal alone, for sites whose hub does not start it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from hub.settings import Settings

_WAIT_S = 60


@click.command("portal")
@click.pass_context
def command(context: click.Context) -> None:
    """Serve the portal of a site whose hub runs somewhere else, as compose.yaml does it, until Ctrl-C.

    With hub.portal_apart in the settings, the hub leaves the portal to this command. It needs the site's data folder and
    database, and no Docker Engine.

    \b
    Example:
      ict --settings /srv/ictlabs/ictlabs.toml portal
    """
    from hub.configure import PORTAL, PREFIX
    from hub.site import PORTAL_TOKEN, SiteError, load_site, secret

    settings: Settings = context.obj
    if not settings.hub.portal_apart:
        raise click.ClickException(
            "the hub of this site starts the portal itself. To start it alone, set in the settings, [hub]: portal_apart = true."
        )
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            site = load_site(settings)
            break
        except SiteError as error:  # `ict up` has just been started
            if time.monotonic() > until:
                raise click.ClickException(str(error)) from error
            time.sleep(0.2)
    hub = f"http://{site.inner_ip}:{site.hub_port}/hub/api"
    environment = {
        "ICTLABS_MODE": site.mode,
        "JUPYTERHUB_SERVICE_NAME": PORTAL,
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_SERVICE_URL": site.portal_url,
        "JUPYTERHUB_API_URL": hub,
        "JUPYTERHUB_API_TOKEN": secret(settings, PORTAL_TOKEN, 24),
        "JUPYTERHUB_CLIENT_ID": f"service-{PORTAL}",
        "JUPYTERHUB_BASE_URL": "/",
    }
    file: Path | None = context.find_root().params.get("settings")
    if file:
        environment["ICTLABS_SETTINGS"] = str(file.resolve())
    os.execve(sys.executable, [sys.executable, "-m", "hub.portal"], {**os.environ, **environment})  # noqa: S606 (our own program)
