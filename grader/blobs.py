"""Bytes kept by their SHA-256: written once, durable before anything points at them, never changed."""

from __future__ import annotations

import ctypes
import hashlib
import os
import secrets
import time
from pathlib import Path

from grader.names import is_sha256

_libc = ctypes.CDLL(None, use_errno=True)
_CHUNK = 1 << 20
_STALE_S = 24 * 3600  # no upload lasts this long


class Blobs:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`, make it (0700) if it is not there, and sweep what broken uploads left."""
        self.folder = folder
        self._incoming = folder / "incoming"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._incoming.mkdir(exist_ok=True, mode=0o700)
        self._sweep()

    def incoming(self) -> Path:
        """A new path on the blobs' own file system, for bytes that are still arriving. Remove it when done."""
        return self._incoming / secrets.token_hex(16)

    def put(self, source: Path | bytes, *, durable: bool = True) -> tuple[str, int]:
        """Store the bytes of a file or of memory; return (sha256, size). When it returns they are on the disk.

        durable: False leaves that to a later `sync`: for what is made many at a time and can be made again.
        """
        temporary = self.incoming()
        try:
            sha256, size = _write(source, temporary, durable)
            final = self._place(sha256)
            if not final.parent.exists():
                final.parent.mkdir(exist_ok=True, mode=0o700)
                if durable:
                    _sync_folder(self.folder)
            if not final.exists():
                temporary.replace(final)
            # Also when it was there already: a writer that died may not have come as far as this.
            if durable:
                _sync_folder(final.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return sha256, size

    def sync(self) -> None:
        """Bring everything that was put without `durable` to the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _libc.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), f"syncfs of {self.folder} failed")
        finally:
            os.close(descriptor)

    def path(self, sha256: str) -> Path:
        """The file that holds these bytes. Raises FileNotFoundError."""
        if not is_sha256(sha256):
            raise FileNotFoundError(f"{sha256!r} is not a SHA-256")
        place = self._place(sha256)
        if not place.is_file():
            raise FileNotFoundError(
                f"{place}: the record names these bytes but they are not there; see the backup"
            )
        return place

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _sweep(self) -> None:
        for left in self._incoming.iterdir():
            try:
                if time.time() - left.stat().st_mtime > _STALE_S:
                    left.unlink()
            except FileNotFoundError:
                continue  # another process sweeps too


def _write(source: Path | bytes, target: Path, durable: bool) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as out:
        if isinstance(source, bytes):
            out.write(source)
            digest.update(source)
            size = len(source)
        else:
            with source.open("rb") as data:
                while chunk := data.read(_CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        out.flush()
        if durable:
            os.fsync(out.fileno())
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
