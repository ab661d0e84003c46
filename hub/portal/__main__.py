"""`python -m hub.portal`: the portal as a service that the hub starts."""

from __future__ import annotations

import gc
import logging
import os
import sys
from urllib.parse import urlsplit

import uvicorn

from grader.store import Store
from hub.portal.app import create_app
from hub.portal.hubclient import HubClient
from hub.portal.languages import Languages, LanguagesRefused
from hub.portal.metrics import JsonLines
from hub.settings import SettingsError, load_settings

_NEEDED = (
    "JUPYTERHUB_SERVICE_URL",
    "JUPYTERHUB_SERVICE_PREFIX",
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_CLIENT_ID",
)


def main() -> int:
    """Serve until told to stop. Exit code 2 when the hub's environment or the settings are not there."""
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if missing:
        print(
            f"{', '.join(missing)}: not set. The hub sets them: start the site with `ict up`.",
            file=sys.stderr,
        )
        return 2
    try:
        settings = load_settings()
        languages = Languages(settings.portal.language)
    except (SettingsError, LanguagesRefused) as error:
        print(error, file=sys.stderr)
        return 2
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every question to the hub helps nobody
    env = os.environ
    address = urlsplit(env["JUPYTERHUB_SERVICE_URL"])
    app = create_app(
        settings,
        Store.open(settings.database_url, settings.places),
        HubClient(
            env["JUPYTERHUB_API_URL"],
            client_id=env["JUPYTERHUB_CLIENT_ID"],
            client_secret=env["JUPYTERHUB_API_TOKEN"],
            service=env.get("JUPYTERHUB_SERVICE_NAME", "portal"),
        ),
        prefix=env["JUPYTERHUB_SERVICE_PREFIX"],
        base_url=env.get("JUPYTERHUB_BASE_URL", "/"),
        callback_url=env.get("JUPYTERHUB_OAUTH_CALLBACK_URL", ""),
        mode=env.get("ICTLABS_MODE", "docker"),
        languages=languages,
    )
    # a page waits for the interpreter after each question to the database: beside insight that is worked out for seconds,
    # Python's own 5 ms for each would be half a second
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()  # what is loaded stays: going through it again and again costs pages a tenth of a second each time
    uvicorn.run(
        app,
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        access_log=False,  # the proxy has one; receipts and names need not be in two
        server_header=False,
        log_config=None,
        # longer than Traefik keeps one that is idle (90 s): what somebody sends by a connection that is closed at that
        # very moment would be lost, and Traefik sends again only what changes nothing
        timeout_keep_alive=120,
        timeout_graceful_shutdown=3,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
