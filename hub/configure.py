"""The only file that knows JupyterHub's trait names: settings and site in, configuration out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bcrypt
from jupyterhub.services.service import _ServiceSpawner
from jupyterhub.spawner import LocalProcessSpawner

from grader.store import Store
from hub.accounts import hub_database_url
from hub.images import environments
from hub.settings import Settings
from hub.site import METRICS_TOKEN, PORTAL_TOKEN, Site, load_site, secret
from hub.spawners import SPAWNERS
from hub.tls import ENTRY, traefik_folder

HERE = Path(__file__).resolve().parent
PORTAL = "portal"
GRADING = "grading"
CULLER = "idle-culler"
HOME_WATCH = "home-watch"
SERVICE_LOOK_S = 1
MONITORING = "monitoring"
PREFIX = f"/services/{PORTAL}/"
# What a person's login at the portal lets it do in the person's name.
LOGIN_SCOPES = [
    "read:users:name!user",
    "read:users:groups!user",
    "servers!user",
    "access:servers!user",
    "shares!user",  # while a hand is up
    f"access:services!service={PORTAL}",
    # for Administration: of these the hub gives a login only what the person has
    "list:users",
    "read:servers",
    "delete:servers",
]


# A hub that is killed takes its services along: else the next hub finds the portal's port taken.
WITH_THE_HUB = ["setpriv", "--pdeathsig", "KILL"]
ROLES: list[dict[str, Any]] = [
    {
        "name": "user",
        "description": "what a person may do: everything with what is theirs, and enter the portal",
        # shares!user: a raised hand can let an instructor into one's own server
        "scopes": ["self", "shares!user", f"access:services!service={PORTAL}"],
    },
    {
        "name": PORTAL,
        "description": "see who was let into a server, and take them out; no way in for the portal itself",
        "services": [PORTAL],
        "scopes": ["read:shares", "users:shares"],
    },
    {
        "name": CULLER,
        "description": "see when a server was used last, and stop it; nothing of what is in it",
        "services": [CULLER],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    },
    {
        "name": HOME_WATCH,
        "description": "see whose servers run, and stop one; nothing of what is in it",
        "services": [HOME_WATCH],
        "scopes": ["list:users", "read:servers", "delete:servers"],
    },
    {
        "name": MONITORING,
        "description": "read the hub's numbers; nothing of anybody's",
        "services": [MONITORING],
        "scopes": ["read:metrics"],
    },
]


def configure(c: Any, settings: Settings, site: Site | None = None) -> None:
    """Fill `c`, JupyterHub's configuration, for this site."""
    site = site or load_site(settings)
    store = Store.open(settings.database_url, settings.places)
    _hub(c, settings, site)
    _proxy(c, settings, site)
    _people(c, settings, store)
    _servers(c, settings, site, store)
    monitoring = {"name": MONITORING, "api_token": secret(settings, METRICS_TOKEN), "display": False}
    services = [
        _grading(settings),
        _portal(settings, site),
        *_idle(settings),
        *_home_watch(settings),
        monitoring,
    ]
    names = {service["name"] for service in services}
    c.JupyterHub.services = services
    # a role of a service that is not there keeps the hub from starting
    c.JupyterHub.load_roles = [role for role in ROLES if names.issuperset(role.get("services", ()))]
    _look_at_services_often()


def _hub(c: Any, settings: Settings, site: Site) -> None:
    data = settings.places.data
    c.JupyterHub.db_url = hub_database_url(settings)
    secret(settings, "cookie_secret")
    c.JupyterHub.cookie_secret_file = str(settings.places.secrets / "cookie_secret")
    c.JupyterHub.hub_bind_url = f"http://{site.inner_ip}:{site.hub_port}"
    c.JupyterHub.hub_connect_url = f"http://{site.inner_ip}:{site.hub_port}"
    c.JupyterHub.bind_url = f"http://{settings.hub.host}:{settings.hub.port}"
    if settings.tls.is_on:  # the hub's and students' servers' cookies; the portal looks at how a request came
        c.JupyterHub.tornado_settings = {"cookie_options": {"secure": True}}
    c.JupyterHub.cleanup_servers = not site.keep_servers
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.template_vars = {"ictlabs_signup": settings.hub.open_signup, "announcement": _warning(site)}
    c.JupyterHub.default_url = PREFIX
    c.JupyterHub.pid_file = str(data / "run" / "jupyterhub.pid")
    c.JupyterHub.log_level = "INFO"
    # the portal queues; this much more is for those who start from the hub's own pages
    c.JupyterHub.concurrent_spawn_limit = settings.hub.starts_at_once + 20
    c.JupyterHub.init_spawners_timeout = 10
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.named_server_limit_per_user = len(environments())
    c.Application.log_level = "INFO"


def _warning(site: Site) -> str:
    if site.contained:
        return ""
    jail = "in a jail" if site.mode == "process" else "WITHOUT any wall between students"
    return f"First-look mode: no Docker Engine, servers run as local processes {jail}. Not for a class."


def _proxy(c: Any, settings: Settings, site: Site) -> None:
    """Traefik is a process of its own, kept up by hub.supervise: a restart of the hub does not stop it."""
    password = secret(settings, "traefik_password")
    c.JupyterHub.proxy_class = "jupyterhub_traefik_proxy.fileprovider.TraefikFileProviderProxy"
    c.TraefikFileProviderProxy.should_start = False
    c.TraefikFileProviderProxy.traefik_entrypoint = ENTRY
    c.TraefikFileProviderProxy.dynamic_config_file = str(traefik_folder(settings) / "routes.toml")
    c.TraefikFileProviderProxy.traefik_api_url = f"http://127.0.0.1:{site.traefik_port}"
    c.TraefikFileProviderProxy.traefik_api_username = "jupyterhub"
    c.TraefikFileProviderProxy.traefik_api_password = password
    # The password is 256 random bits: a costly hash protects nothing more, and costs 0.25 s at each call.
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    c.TraefikFileProviderProxy.traefik_api_hashed_password = hashed


def _people(c: Any, settings: Settings, store: Store) -> None:
    c.JupyterHub.authenticator_class = "hub.auth.SiteAuthenticator"
    c.SiteAuthenticator.groups_of = lambda name: store.groups_of(name)  # noqa: PLW0108 (a bound method would be copied with its store)
    c.SiteAuthenticator.memberships = lambda name: store.memberships(name)  # noqa: PLW0108 (likewise)
    c.SiteAuthenticator.note = lambda who, what, **more: store.note(who, what, **more)  # noqa: PLW0108 (likewise)
    c.SiteAuthenticator.allow_all = True  # who is not approved does not get past authenticate()
    c.SiteAuthenticator.manage_groups = True
    c.SiteAuthenticator.auth_refresh_age = 10  # a new course counts within ten seconds
    c.SiteAuthenticator.admin_users = set(settings.hub.admins)
    c.SiteAuthenticator.enable_signup = settings.hub.open_signup
    c.SiteAuthenticator.open_signup = False
    c.SiteAuthenticator.ask_email_on_signup = True
    c.SiteAuthenticator.minimum_password_length = settings.hub.min_password_chars
    c.SiteAuthenticator.check_common_password = True
    c.SiteAuthenticator.allowed_failed_logins = settings.hub.failed_logins
    c.SiteAuthenticator.seconds_before_next_try = settings.hub.lockout_s


def _servers(c: Any, settings: Settings, site: Site, store: Store) -> None:
    c.JupyterHub.spawner_class = SPAWNERS[site.mode]
    c.LabSpawner.settings = settings
    c.LabSpawner.site = site
    c.LabSpawner.memberships = lambda name: store.memberships(name)  # noqa: PLW0108 (likewise)
    c.LabSpawner.room_for = lambda *of: store.room_for(*of)  # noqa: PLW0108 (likewise)
    c.Spawner.start_timeout = settings.hub.start_timeout_s + 10  # ours ends first, with a better message
    c.Spawner.http_timeout = 30
    c.LabSwarmSpawner.poll_interval = 10  # a server that came back on another machine is found within that
    c.Spawner.default_url = "/lab"
    # Whom the hub no longer lets in, a server still lets in for so long: five minutes by default, and a share that
    # somebody ended must not last.
    c.Spawner.args = ["--HubOAuth.cache_max_age=15"]
    if idle_s := settings.hub.idle_s:  # who is at work is heard of before the time is over
        c.Spawner.args += [f"--JupyterHubSingleUser.hub_activity_interval={max(1, min(300, idle_s // 4))}"]
    if settings.tls.is_on:  # its other cookies go by the hub's options
        c.Spawner.args += ["--ServerApp.tornado_settings={'xsrf_cookie_kwargs': {'secure': True}}"]
    c.Spawner.oauth_client_allowed_scopes = []
    # What a student's server may do with its token: say who it is, and reach the exchange.
    c.Spawner.server_token_scopes = [
        "users:activity!user",
        "access:servers!server",
        "read:users:name!user",
        "read:users:groups!user",
        f"access:services!service={PORTAL}",
    ]


def _environment(*names: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")} | {
        name: os.environ[name] for name in names if name in os.environ
    }


def _grading(settings: Settings) -> dict[str, Any]:
    """The service that starts grading. It asks the hub nothing."""
    kept = ("ICTLABS_SETTINGS", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME", "TMPDIR")
    return {
        "name": GRADING,
        "command": [*WITH_THE_HUB, sys.executable, "-m", "hub.grading"],
        "cwd": str(settings.root),
        "environment": _environment(*kept),
        "display": False,
    }


def _portal(settings: Settings, site: Site) -> dict[str, Any]:
    here = {
        "command": [*WITH_THE_HUB, sys.executable, "-m", "hub.portal"],
        "cwd": str(settings.root),
        "environment": {"ICTLABS_MODE": site.mode} | _environment("ICTLABS_SETTINGS", "HOME", "TMPDIR"),
    }
    return ({} if settings.hub.portal_apart else here) | {
        "name": PORTAL,
        "url": site.portal_url,
        "api_token": secret(settings, PORTAL_TOKEN, 24),
        "oauth_no_confirm": True,
        "display": False,
        "oauth_client_allowed_scopes": LOGIN_SCOPES,
    }


def _look_at_services_often() -> None:
    """JupyterHub sees within 30 s that a service died, and has no setting for it: too long to be without a portal."""

    def start_polling(service: LocalProcessSpawner) -> None:
        service.poll_interval = SERVICE_LOOK_S
        LocalProcessSpawner.start_polling(service)

    _ServiceSpawner.start_polling = start_polling


def _idle(settings: Settings) -> list[dict[str, Any]]:
    """The service that stops servers nobody uses: files stay, and *Start* brings them back."""
    if not settings.hub.idle_s:
        return []
    timeout = f"--timeout={settings.hub.idle_s}"
    command = [*WITH_THE_HUB, sys.executable, "-m", "jupyterhub_idle_culler", timeout]
    return [{"name": CULLER, "command": command, "display": False}]


def _home_watch(settings: Settings) -> list[dict[str, Any]]:
    """The service that looks how large homes have become."""
    if not settings.hub.home_mb:
        return []
    return [
        {
            "name": HOME_WATCH,
            "command": [*WITH_THE_HUB, sys.executable, "-m", "hub.homewatch"],
            "cwd": str(settings.root),
            "environment": _environment("ICTLABS_SETTINGS"),
            "display": False,
        }
    ]
