"""Zip archives from people we do not trust: read in bounds, written the same way every time."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from grader.names import NameRefused, check_path, same_file_key
from grader.settings import ExchangeSettings

_CHUNK = 1 << 16
_END = struct.Struct("<4s4H2LH")  # end of central directory, PKWARE APPNOTE 4.3.16
_ZIP64_LOCATOR = b"PK\x06\x07"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time a zip can hold: the same files always make the same bytes
# zipfile is written to raise BadZipFile, but on bytes made to hurt it also lets these through:
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    OSError,
)


class ArchiveRefused(ValueError):
    """An archive that is not taken; the message is a sentence for the person who sent it."""


class ArchiveTooLarge(ArchiveRefused):
    """An archive over a limit."""


@dataclass(frozen=True)
class Entry:
    """One file of an archive, read to its end."""

    path: str
    size: int
    sha256: str


def inspect(archive: Path, limits: ExchangeSettings) -> list[Entry]:
    """Read an archive to its end without keeping anything; return its files.

    Raises ArchiveRefused (ArchiveTooLarge over a limit). Memory used is bounded whatever the archive holds.
    """
    return list(_files(archive, limits, lambda _parts: None))


def unpack(archive: Path, folder: Path, limits: ExchangeSettings) -> list[Entry]:
    """Unpack an archive into `folder`, which must not exist or be empty; return its files.

    Files are 0644, folders 0755, whatever the archive says. Raises ArchiveRefused; then `folder` holds a part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArchiveRefused(f"{folder}: not empty. Unpack into a new folder.")

    def create(parts: tuple[str, ...]) -> BinaryIO:
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        return os.fdopen(descriptor, "wb")

    return list(_files(archive, limits, create))


def unpacked(archive: Path, limits: ExchangeSettings) -> dict[str, bytes]:
    """Return the files of an archive in memory: path -> bytes. Raises ArchiveRefused."""
    made: dict[str, io.BytesIO] = {}

    def create(parts: tuple[str, ...]) -> BinaryIO:
        made["/".join(parts)] = kept = _Kept()
        return kept

    for _ in _files(archive, limits, create):
        pass
    return {path: kept.getvalue() for path, kept in made.items()}


class _Kept(io.BytesIO):
    """Memory that can be read after it was closed, as a file can."""

    def close(self) -> None:
        """Keep the bytes."""


def read_member(archive: Path, path: str, max_bytes: int) -> bytes:
    """One file of an archive of ours (already inspected). Raises KeyError, ArchiveTooLarge."""
    with zipfile.ZipFile(archive) as opened, opened.open(path) as member:
        data = member.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ArchiveTooLarge(f"{path} is larger than {max_bytes} bytes.")
    return data


def pack(files: Mapping[str, bytes | Path]) -> bytes:
    """A zip of relative path -> content. The same files always make the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            check_path(path, 4096)
            content = files[path]
            info = zipfile.ZipInfo(path, _EPOCH)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content if isinstance(content, bytes) else content.read_bytes())
    return buffer.getvalue()


def pack_folder(folder: Path) -> bytes:
    """A zip of all files below `folder`, hidden ones too; links are left out."""
    found: dict[str, bytes | Path] = {}
    for root, _folders, names in os.walk(folder):  # os.walk does not follow links to folders
        for name in names:
            path = Path(root) / name
            if stat.S_ISREG(path.lstat().st_mode):
                found[str(PurePosixPath(path.relative_to(folder)))] = path
    return pack(found)


def _files(
    archive: Path, limits: ExchangeSettings, create: Callable[[tuple[str, ...]], BinaryIO | None]
) -> Iterator[Entry]:
    """Check the table of contents, then read every file, counting real bytes; `create` says where they go."""
    _check_outside(archive, limits)
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = _check_table(opened.infolist(), limits)
            left = limits.max_unpacked_mb * 1_000_000
            for info, parts in infos:
                with opened.open(info) as member:
                    out = create(parts)
                    try:
                        entry = _copy(info.filename, member, out, left, limits)
                    finally:
                        if out is not None:
                            out.close()
                left -= entry.size
                yield entry
    except ArchiveRefused:
        raise
    except NameRefused as error:
        raise ArchiveRefused(f"Nothing was taken: {error}") from error
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # a disk of ours; EINVAL is a seek to a place that the archive made up
        raise ArchiveRefused(
            "This is not a zip archive that can be read. Make it again and send it again."
        ) from error


def _copy(name: str, member: object, out: BinaryIO | None, left: int, limits: ExchangeSettings) -> Entry:
    digest, size = hashlib.sha256(), 0
    while chunk := member.read(_CHUNK):  # type: ignore[attr-defined]  # zipfile.ZipExtFile, or IO[bytes] to typeshed
        size += len(chunk)
        if size > left:
            raise ArchiveTooLarge(
                f"The files are larger than {limits.max_unpacked_mb} MB when unpacked. Remove what is not needed."
            )
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    return Entry(path=name, size=size, sha256=digest.hexdigest())


def _check_outside(archive: Path, limits: ExchangeSettings) -> None:
    """Bound what zipfile will read into memory, before it does: its table of contents, by the end record."""
    size = archive.stat().st_size
    if size > limits.max_archive_mb * 1_000_000:
        raise ArchiveTooLarge(
            f"The archive is larger than {limits.max_archive_mb} MB. Remove what is not needed."
        )
    if size < _END.size:
        raise ArchiveRefused("This is not a zip archive. Send the files as one zip.")
    with archive.open("rb") as data:
        data.seek(max(0, size - _END.size - 20))
        tail = data.read()
    end = tail[-_END.size :]
    mark, disk, start_disk, here, total, table_bytes, _offset, comment = _END.unpack(end)
    if mark != b"PK\x05\x06" or comment != 0:
        raise ArchiveRefused("This is not a plain zip archive: no end, or a comment after it. Make it again.")
    if disk != 0 or start_disk != 0 or here != total or tail[:4] == _ZIP64_LOCATOR:
        raise ArchiveRefused("Archives in several parts and zip64 are not taken. Make an ordinary zip.")
    if total > limits.max_files + 200:  # folders are entries too
        raise ArchiveTooLarge(f"More than {limits.max_files} files. Remove what is not needed.")
    # 46 bytes and a path (UTF-8) an entry, and room for the extra fields that common tools write
    if table_bytes > total * (46 + 4 * limits.max_path_chars + 256):
        raise ArchiveRefused(
            "The archive's table of contents is too large. Make the zip again with another tool."
        )


def _check_table(
    infos: list[zipfile.ZipInfo], limits: ExchangeSettings
) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """Check every entry's name and kind; return the files."""
    files: list[tuple[zipfile.ZipInfo, tuple[str, ...]]] = []
    seen: set[str] = set()
    folders: set[str] = set()
    for info in infos:
        name = info.orig_filename  # filename is cut at the first NUL
        parts = check_path(name.removesuffix("/"), limits.max_path_chars)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/"):
            if kind not in (0, stat.S_IFDIR):
                raise ArchiveRefused(f"'{name}' is neither a file nor a folder. Send plain files.")
            folders.add(same_file_key("/".join(parts)))
            continue
        if kind not in (0, stat.S_IFREG):
            raise ArchiveRefused(f"'{name}' is a link or a device. Send plain files.")
        if info.flag_bits & 0x1:
            raise ArchiveRefused(f"'{name}' is encrypted. Send plain files.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveRefused(f"'{name}' is packed in a way that is not taken. Make an ordinary zip.")
        key = same_file_key(name)
        if key in seen:
            raise ArchiveRefused(f"Two files are called '{name}' (case aside). Rename one.")
        seen.add(key)
        folders.update(same_file_key("/".join(parts[:depth])) for depth in range(1, len(parts)))
        files.append((info, parts))
    if len(files) > limits.max_files:
        raise ArchiveTooLarge(
            f"{len(files)} files; {limits.max_files} is the limit. Remove what is not needed."
        )
    if clash := seen & folders:
        raise ArchiveRefused(f"'{min(clash)}' is a file and a folder. Rename one.")
    return files
