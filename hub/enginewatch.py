"""What `ict up` sees of the Docker Engine and the machine, kept for pages: the portal has no way to the Engine."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import docker

from hub.doctor import Findings, Problem, examine
from hub.images import ImageState, states
from hub.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 300.0
_WAIT_S = 10


@dataclass(frozen=True)
class Seen:
    """What was there when it was looked at. images: none without a Docker Engine."""

    findings: Findings
    images: tuple[ImageState, ...]


def watch(settings: Settings) -> None:
    """Look every five minutes; for ever."""
    while True:
        try:
            look(settings)
        except Exception:  # pages say that nothing is known, and the next look does better
            log.exception("looking at the machine")
        time.sleep(LOOK_S)


def look(settings: Settings) -> None:
    """Look once. Takes a second or two."""
    findings = examine(settings)
    found = Seen(findings, _images(settings) if findings.docker["available"] else ())
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(found)), encoding="utf-8")
    fresh.replace(file)


def kept(settings: Settings) -> Seen | None:
    """What was seen last; None before the first look, or if another version wrote it down."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        found: dict[str, Any] = json.loads(_file(settings).read_text(encoding="utf-8"))
        findings = dict(found["findings"])
        findings["problems"] = [Problem(**each) for each in findings["problems"]]
        return Seen(Findings(**findings), tuple(ImageState(**each) for each in found["images"]))
    return None


def _images(settings: Settings) -> tuple[ImageState, ...]:
    client = docker.from_env(timeout=_WAIT_S)
    try:
        return tuple(states(settings, client))
    finally:
        client.close()


def _file(settings: Settings) -> Path:
    return settings.places.run / "machine.json"
