"""Configuration of the real hub in test_real_hub.py: everything of the portal's contract with a hub, nothing else."""

import json
import os
import sys

from hub.configure import LOGIN_SCOPES

c = get_config()  # noqa: F821 (traitlets gives it to configuration files)

port = int(os.environ["TEST_PORT"])
me = "http://127.0.0.1"
c.JupyterHub.bind_url = f"{me}:{port}/"
c.JupyterHub.hub_bind_url = f"{me}:{port + 1}"
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret = b"0" * 32
c.JupyterHub.pid_file = ""
c.JupyterHub.allow_named_servers = True

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "a-test-password"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}

c.JupyterHub.proxy_class = "traefik_file"
c.TraefikProxy.traefik_api_url = f"{me}:{port + 3}"
c.TraefikProxy.traefik_api_username = "hub"
c.TraefikProxy.traefik_api_password = "proxy-password"
c.TraefikFileProviderProxy.dynamic_config_file = os.environ["TEST_FOLDER"] + "/routes.toml"
c.TraefikProxy.static_config_file = os.environ["TEST_FOLDER"] + "/traefik.toml"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.environ["TEST_FOLDER"] + "/{username}"
c.Spawner.args = [
    "--allow-root",
    "--HubOAuth.cache_max_age=2",
    '--ServerApp.jpserver_extensions={"ictlab.extension": True}',
]
c.Spawner.start_timeout = 60


def _refuse(spawner) -> None:
    if spawner.user.name == "bob":
        error = RuntimeError("no room")
        error.jupyterhub_message = "There is no room for your server. Try again later."
        raise error


c.Spawner.pre_spawn_hook = _refuse

groups = json.loads(os.environ["TEST_GROUPS"])
c.JupyterHub.load_groups = {
    group: {"users": [name for name, mine in groups.items() if group in mine]}
    for group in sorted({group for mine in groups.values() for group in mine})
}
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "shares!user", "access:services!service=portal"]},
    {"name": "portal", "services": ["portal"], "scopes": ["read:shares", "users:shares"]},
    {
        "name": "server",
        "scopes": [
            *("users:activity!user", "access:servers!server"),
            *("read:users:name!user", "read:users:groups!user", "access:services!service=portal"),
        ],
    },
]
c.JupyterHub.services = [
    {
        "name": "portal",
        "url": f"{me}:{port + 2}",
        "command": [
            "setpriv",
            "--pdeathsig",
            "KILL",
            sys.executable,
            "-m",
            "hub.portal",
        ],  # with a hub that is killed
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": LOGIN_SCOPES,
        "environment": {"ICTLABS_SETTINGS": os.environ["TEST_SETTINGS"], "ICTLABS_MODE": "process"},
    }
]
