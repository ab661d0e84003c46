"""Copies a whole site into one file while it runs, and makes a site of such a file again.

Order is what makes the copy whole. The record is copied first, in one moment; bytes that it names are written before
the record names them and never change, so those that are copied afterwards are all there. Homes and course folders are
copied as they are met: a file that changes at that moment is copied as it was or as it became, or is counted as changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sqlalchemy.engine import URL, make_url

from hub.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"  # the last entry: a file that was cut off has none
RECORD = "ictlabs.sqlite"  # of a record in a file outside of the data folder
DUMP = "postgresql.dump"
LEFT_OUT = ("run", "logs")  # worthless after a stop; what was printed
MOST_DEEP = 200  # folders in folders: nobody needs so many, and a student may make a thousand
_CHUNK = 1 << 20
_MOST_MANIFEST = 1 << 30
_BESIDE = ("-wal", "-shm", "-journal")  # beside a database, which is copied without them

Say = Callable[[str], None]


class BackupError(Exception):
    """It cannot be made, or not be restored; the message says why and what to do."""


@dataclass
class Counted:
    """What a backup holds. changed: files that grew shorter while they were copied; skipped: no files or folders, or too deep."""

    files: int = 0
    bytes: int = 0
    changed: list[str] = field(default_factory=list)
    skipped: int = 0


# Making one


def back_up(settings: Settings, file: Path, *, homes: bool = True, say: Say) -> Counted:
    """Write a backup of the site to `file`, which must not exist, and read it back. Raises BackupError."""
    data = settings.places.data
    if not (data / "secrets").is_dir():
        raise BackupError(f"{data}: no site is there. Name its settings with --settings.")
    if file.exists():
        raise BackupError(f"{file}: is there already. Choose another name: no backup is overwritten.")
    part = file.with_name(file.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            found = _write(settings, out, homes, say)
            out.flush()
            os.fsync(out.fileno())
        say("reading it back")
        check(part)
        part.rename(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BackupError(f"{file}: {error.strerror or error}. Nothing was left there.") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return found


def _write(settings: Settings, out: IO[bytes], homes: bool, say: Say) -> Counted:
    counted, digests = Counted(), dict[str, tuple[str, int]]()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive, counted, digests, say)
        url = make_url(settings.database_url)
        if url.get_backend_name() == "postgresql":
            writer.dump(url)
        else:
            writer.database(Path(url.database or ""), PurePosixPath(_record_inside(settings, url)))
        writer.site(settings.places.data, homes)
        manifest = {
            "format": FORMAT,
            "version": version("ictlabs"),
            "made_at": datetime.now(UTC).isoformat(),
            "record": url.get_backend_name(),
            "record_file": None if url.get_backend_name() == "postgresql" else _record_inside(settings, url),
            "homes": homes,
            "changed": counted.changed,
            "files": digests,
        }
        content = json.dumps(manifest).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(content), 0o600
        archive.addfile(entry, io.BytesIO(content))
    return counted


def _record_inside(settings: Settings, url: URL) -> str:
    """Where a backup has the record's SQLite file: at its own place in the data folder, or on top."""
    file, data = Path(url.database or "").resolve(), settings.places.data
    return file.relative_to(data).as_posix() if file.is_relative_to(data) else RECORD


@dataclass
class _Writer:
    archive: tarfile.TarFile
    counted: Counted
    digests: dict[str, tuple[str, int]]
    say: Say
    said_at: float = field(default_factory=time.monotonic)

    def site(self, data: Path, homes: bool) -> None:
        """Everything in the data folder."""
        for top, folders, files, folder in os.fwalk(data, follow_symlinks=False):
            below = PurePosixPath(Path(top).relative_to(data).as_posix())
            if below == PurePosixPath():
                left_out = LEFT_OUT if homes else (*LEFT_OUT, "homes")
                folders[:] = [name for name in folders if name not in left_out]
            if len(below.parts) >= MOST_DEEP:
                self.counted.skipped += len(folders)
                folders.clear()
            databases = {
                name for name in files if _is_database(below, name) or str(below / name) in self.digests
            }
            for name in sorted(folders + files):
                if str(below / name) in self.digests:
                    continue  # the record: it is copied already
                if name in databases:
                    self.database(Path(top, name), below / name)
                elif not name.endswith(_BESIDE) or name.rpartition("-")[0] not in databases:
                    self._entry(folder, name, below / name)

    def database(self, source: Path, inside: PurePosixPath) -> None:
        """A SQLite database as it is at one moment, while others write."""
        if not source.is_file():
            raise BackupError(f"{source}: the database is not there. Is this the site's settings file?")
        with tempfile.TemporaryDirectory(prefix="ictlabs-backup-") as folder:
            copy = Path(folder, "copy")
            try:
                with (
                    contextlib.closing(
                        sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)
                    ) as live,
                    contextlib.closing(sqlite3.connect(copy)) as kept,
                ):
                    live.backup(kept)
            except sqlite3.Error as error:
                raise BackupError(f"{source}: {error}. Mend it or move it away, then start again.") from error
            found = source.stat()
            with copy.open("rb") as content:
                self._file(content, inside, copy.stat().st_size, found)

    def dump(self, url: URL) -> None:
        """The record in PostgreSQL, by its own pg_dump."""
        self.say("the record in PostgreSQL")
        with tempfile.TemporaryFile() as content:
            _postgresql("pg_dump", ["--format=custom", "--no-owner", "--no-privileges"], url, stdout=content)
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            self._file(content, PurePosixPath(DUMP), size, None)

    def _entry(self, folder: int, name: str, inside: PurePosixPath) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
                with os.fdopen(descriptor, "rb") as content:
                    opened = os.fstat(descriptor)
                    if stat.S_ISREG(opened.st_mode):  # still: its owner may swap it
                        self._file(content, inside, opened.st_size, opened)
                return
            entry = _header(inside, found)
            if stat.S_ISDIR(found.st_mode):
                entry.type = tarfile.DIRTYPE
            elif stat.S_ISLNK(found.st_mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
            else:
                self.counted.skipped += 1
                return
        except (FileNotFoundError, NotADirectoryError):
            return  # removed meanwhile
        self.archive.addfile(entry)

    def _file(
        self, content: IO[bytes], inside: PurePosixPath, size: int, found: os.stat_result | None
    ) -> None:
        entry = _header(inside, found)
        entry.size = size
        reader = _Exactly(content, size)
        self.archive.addfile(entry, reader)
        self.digests[str(inside)] = (reader.digest.hexdigest(), size)
        self.counted.files += 1
        self.counted.bytes += size
        if reader.was_short:
            self.counted.changed.append(str(inside))
        if time.monotonic() - self.said_at > 2:
            self.said_at = time.monotonic()
            self.say(f"{self.counted.files} files, {self.counted.bytes / 1e6:.0f} MB, at {inside.parent}")


class _Exactly(io.RawIOBase):
    """So many bytes of a file, whatever becomes of it meanwhile: zeros where it has grown shorter."""

    def __init__(self, content: IO[bytes], size: int) -> None:
        self.content, self.left = content, size
        self.digest = hashlib.sha256()
        self.was_short = False

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        found = self.content.read(wanted)
        if len(found) < wanted:
            self.was_short = True
            found += bytes(wanted - len(found))
        self.left -= wanted
        self.digest.update(found)
        return found


def _header(inside: PurePosixPath, found: os.stat_result | None) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(inside))
    entry.mode = 0o600
    if found:
        entry.mode = stat.S_IMODE(found.st_mode)
        entry.uid, entry.gid, entry.mtime = found.st_uid, found.st_gid, int(found.st_mtime)
    return entry


def _is_database(below: PurePosixPath, name: str) -> bool:
    """Whether it is one of the site's own SQLite files; what students make is copied as any file."""
    if below == PurePosixPath():
        return name.endswith(".sqlite")
    return below.parts[0] == "courses" and len(below.parts) == 2 and name == "gradebook.db"


def _postgresql(tool: str, options: list[str], url: URL, **streams: Any) -> None:
    """Run one of PostgreSQL's tools on a database; the password is in no command line."""
    if not shutil.which(tool):
        raise BackupError(f"{tool}: not found. apt-get install postgresql-client, then start again.")
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, **({"PGPASSWORD": url.password} if url.password else {})}
    done = subprocess.run(
        [tool, *options, f"--dbname={address}"],
        env=environment,
        stderr=subprocess.PIPE,
        check=False,
        **streams,
    )
    if done.returncode:
        raise BackupError(f"{tool}: {done.stderr.decode(errors='replace').strip()[-500:]}")


# Reading one


def check(file: Path) -> dict[str, Any]:
    """Read a backup to its end and compare every file with what is said of it. Returns its manifest.

    Raises BackupError.
    """
    with _opened(file) as archive:
        return _read(archive, None)


def restore(settings: Settings, file: Path, *, say: Say) -> dict[str, Any]:
    """Make a site of a backup in the data folder of `settings`, which must be empty or missing. Returns its manifest.

    All or nothing: what is there before the last moment is a folder beside it. Raises BackupError.
    """
    data, url = settings.places.data, make_url(settings.database_url)
    if data.exists() and any(data.iterdir()):
        raise BackupError(f"{data}: is not empty. Move it away first: a restore overwrites nothing.")
    say("looking whether the backup is whole")
    manifest = check(file)
    if manifest["record"] != url.get_backend_name():
        raise BackupError(
            f"{file}: its record is in {manifest['record']}, and [site] database_url names {url.get_backend_name()}. "
            "Set it to an empty database of the same kind."
        )
    fresh = data.with_name(data.name + ".restoring")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True, mode=0o700)
    try:
        say(f"writing {len(manifest['files'])} files")
        with _opened(file) as archive:
            _read(archive, fresh)
        dump = fresh / DUMP
        if dump.exists():
            say("the record in PostgreSQL")
            with dump.open("rb") as content:
                options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
                _postgresql("pg_restore", options, url, stdin=content, stdout=subprocess.DEVNULL)
            dump.unlink()
        else:
            _place_record(fresh / manifest["record_file"], Path(url.database or "").resolve(), data, fresh)
        if data.exists():
            data.rmdir()
        fresh.rename(data)
    except OSError as error:
        raise BackupError(f"{fresh}: {error.strerror or error}. {data} is as it was.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def _place_record(record: Path, target: Path, data: Path, fresh: Path) -> None:
    """Put the record where the settings want it: in the data folder that `fresh` becomes, or elsewhere."""
    if target.is_relative_to(data):
        target = fresh / target.relative_to(data)
    if target != record:
        if target.exists():
            raise BackupError(
                f"{target}: is there already. Move it away first: a restore overwrites nothing."
            )
        shutil.move(record, target)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{file}: not a backup, or cut off ({error}). Take another one.") from error
    except FileNotFoundError as error:
        raise BackupError(f"{file}: no such file.") from error


def _read(archive: tarfile.TarFile, into: Path | None) -> dict[str, Any]:
    """Go through an archive, write what is in it below `into` if there is one, and compare."""
    digests: dict[str, tuple[str, int]] = {}
    manifest: dict[str, Any] = {}
    later: list[tarfile.TarInfo] = []  # links, when nothing is written any more that could go through one
    folders: list[tarfile.TarInfo] = []  # their modes and times
    for entry in archive:
        inside = PurePosixPath(entry.name)
        if manifest or inside.is_absolute() or ".." in inside.parts:
            raise BackupError(f"{archive.name!s}: {entry.name!r} has no place in a backup. Take another one.")
        if entry.isfile() and entry.name == MANIFEST:
            content = archive.extractfile(entry)
            manifest = _manifest(content.read(_MOST_MANIFEST) if content else b"", archive)
        elif entry.isfile():
            digests[entry.name] = (_copied(archive, entry, into and into / inside), entry.size)
        elif entry.isdir():
            folders.append(entry)
            if into:
                (into / inside).mkdir(mode=0o700, parents=True, exist_ok=True)
        elif entry.issym():
            later.append(entry)
    if not manifest:
        raise BackupError(
            f"{archive.name!s}: not a backup, or cut off: it has no manifest. Take another one."
        )
    said = {name: tuple(each) for name, each in manifest["files"].items()}
    if wrong := sorted(name for name in said.keys() | digests.keys() if said.get(name) != digests.get(name)):
        raise BackupError(
            f"{archive.name!s}: {len(wrong)} files are not as they were, such as {wrong[0]}. Take another one."
        )
    if into:
        for entry in later:
            place = into / entry.name
            place.symlink_to(entry.linkname)
            _owned(place, entry)
        for entry in reversed(folders):
            _owned(into / entry.name, entry)
    return manifest


def _manifest(content: bytes, archive: tarfile.TarFile) -> dict[str, Any]:
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise BackupError(
                f"{archive.name!s}: of format {found['format']}, and this version ({version('ictlabs')}) reads {FORMAT}. "
                f"Restore it with version {found.get('version')}."
            )
        return dict(found)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{archive.name!s}: its manifest cannot be read. Take another one.") from error


def _copied(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path | None) -> str:
    digest, content = hashlib.sha256(), archive.extractfile(entry)
    assert content is not None  # noqa: S101 (it is a file)
    with contextlib.ExitStack() as stack:
        out = None
        if target:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            out = stack.enter_context(os.fdopen(descriptor, "wb"))
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            if out:
                out.write(chunk)
    if target:
        _owned(target, entry)
    return digest.hexdigest()


def _owned(place: Path, entry: tarfile.TarInfo) -> None:
    """Owner, mode and time as they were; the owner only as root."""
    if os.geteuid() == 0:
        os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if not entry.issym():
        place.chmod(entry.mode)
        os.utime(place, (entry.mtime, entry.mtime))
