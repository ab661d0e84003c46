"""Keys of the site: files of 0600 in a folder of 0700, made once, whoever comes first."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def open_key(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read the key at `path`, or `make` it. Raises ValueError when what is there is not base64."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _create(path, make())
    return base64.b64decode(path.read_bytes(), validate=True)


def _create(path: Path, raw: bytes) -> None:
    """Write the key so that of two processes one wins and both read the winner's."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(base64.b64encode(raw))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink()
