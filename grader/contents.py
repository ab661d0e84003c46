"""The files of an archive in memory, read in the exchange's bounds a second time."""

from __future__ import annotations

import tempfile
from pathlib import Path

from grader.archives import unpack
from grader.settings import ExchangeSettings


def contents(archive: Path, limits: ExchangeSettings) -> dict[str, bytes]:
    """Path -> bytes of every file. Raises ArchiveRefused."""
    with tempfile.TemporaryDirectory(prefix="ict-unpack-") as folder:
        entries = unpack(archive, Path(folder) / "files", limits)
        return {entry.path: (Path(folder) / "files" / entry.path).read_bytes() for entry in entries}
