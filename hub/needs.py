"""What labs need of this host and its images: tried in each environment's own walls, kept, and said in a sentence."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import docker

from grader.sandbox.seccomp import profile_json
from hub.images import environment_of, environments, image_name
from hub.portal.languages import gettext as _
from hub.portal.languages import spoken
from hub.settings import Settings
from hub.site import CONTAINED
from hub.spawners.docker import NESTED
from hub.wholefile import write_whole
from labs.model import Lab

log = logging.getLogger(__name__)

Answer = Literal["yes", "emulated", "no"]
Offers = Mapping[str, Mapping[str, Answer]]  # environment -> feature -> whether it is there

_ASK = "import json; from ictlab.net.probe import answers; print(json.dumps(answers()))"
_WAIT_S = 60


def look(settings: Settings, mode: str) -> Offers:
    """Try every feature in each environment that is built and was not tried yet; keep and return what was found.

    mode: the site's; without containers every environment is this machine. Takes two seconds for an environment.
    """
    before = _load(settings)
    found: dict[str, Any] = {}
    with (
        contextlib.closing(docker.from_env(timeout=_WAIT_S))
        if mode in CONTAINED
        else contextlib.nullcontext() as client
    ):
        for environment in environments():
            where = f"{os.uname().release} {_image_id(settings, client, environment)}"
            if where.endswith(" "):
                continue
            if before.get(environment, {}).get("where") == where:
                found[environment] = before[environment]
                continue
            try:
                told = _in_container(settings, client, environment) if client else _here()
                found[environment] = {"where": where, "features": json.loads(told)}
            except (docker.errors.DockerException, subprocess.SubprocessError, OSError, ValueError) as error:
                log.warning("%s: what it offers to labs could not be tried: %s", environment, error)
    write_whole(_file(settings), json.dumps(found, indent=1))
    return offers(settings)


def offers(settings: Settings) -> Offers:
    """What `look` found last; nothing about an environment that it did not try."""
    return {name: kept["features"] for name, kept in _load(settings).items()}


def sentence(lab: Lab, found: Offers) -> str:
    """What a student should know before this lab is started here; "" if all is there, or nothing is known."""
    features = found.get(lab.environment)
    if features is None:
        return ""
    missing = [need for need in lab.needs if features.get(need, "no") == "no"]
    if missing:
        return _(
            "This lab needs %(features)s, which this server does not offer: parts of it will not work here. "
            "Ask your instructor before you start."
        ) % {"features": _joined(missing)}
    emulated = [need for need in lab.needs if features.get(need) == "emulated"]
    if emulated:
        return _(
            "This server's kernel lacks %(features)s, so the lab's networks run in an emulated machine: "
            "everything works the same, but slower. It takes some ten seconds to start."
        ) % {"features": _joined(emulated)}
    return ""


def _joined(names: list[str]) -> str:
    return spoken().listed(names)


def _image_id(settings: Settings, client: docker.DockerClient | None, environment: str) -> str:
    if client is None:
        return "this machine"
    try:
        return str(client.images.get(image_name(settings, environment)).id)
    except docker.errors.ImageNotFound:
        return ""


def _in_container(settings: Settings, client: docker.DockerClient, environment: str) -> str:
    nested = environment_of(environment).nested
    config = client.api.create_host_config(
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", *([f"seccomp={profile_json(nested=True)}"] if nested else [])],
        mem_limit="256m",
        pids_limit=256,
        tmpfs={"/tmp": "size=16m,mode=1777"},  # noqa: S108 (the container's own)
        init=True,
    )
    if nested:
        config.update(NESTED["host_config"])
    made = client.api.create_container(
        image_name(settings, environment), ["python3", "-c", _ASK], host_config=config, network_disabled=True
    )["Id"]
    try:
        client.api.start(made)
        client.api.wait(made, timeout=_WAIT_S)
        return str(client.api.logs(made, stdout=True, stderr=False).decode())
    finally:
        client.api.remove_container(made, force=True)


def _here() -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=True, timeout=_WAIT_S
    )
    return done.stdout


def _file(settings: Settings) -> Path:
    return settings.places.run / "offers.json"


def _load(settings: Settings) -> dict[str, Any]:
    try:
        kept = json.loads(_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
