"""Folders to zip archives and back, on the student's and the instructor's side."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

# (folder, names in it) -> names to leave out: what shutil.copytree and nbgrader call an ignore function
Ignore = Callable[[str, list[str]], Iterable[str]]

_EPOCH = (1980, 1, 1, 0, 0, 0)


class UnsafeArchive(Exception):
    """An archive with a path that leaves its folder."""


def leave_nothing_out(_folder: str, _names: list[str]) -> Iterable[str]:
    """Ignore nothing."""
    return ()


def list_files(folder: Path, ignore: Ignore = leave_nothing_out) -> list[Path]:
    """Files below `folder`, sorted. Links to folders are not followed: they may lead round in a circle.

    Raises PermissionError when a folder cannot be read: what is in it would be left out unseen.
    """
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=_raise):
        out = set(ignore(root, folders + names))
        folders[:] = sorted(name for name in folders if name not in out)
        found += (Path(root, name) for name in sorted(names) if name not in out)
    return [path for path in found if path.is_file()]


def _raise(error: OSError) -> None:
    raise error


def pack_folder(folder: Path, ignore: Ignore = leave_nothing_out) -> bytes:
    """The files below `folder` as a zip; the same files always make the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in list_files(folder, ignore):
            info = zipfile.ZipInfo(str(PurePosixPath(path.relative_to(folder))), _EPOCH)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def with_file(archive: bytes, name: str, text: str) -> bytes:
    """The zip with one more text file, which wins over one of the same name when it is unpacked."""
    buffer = io.BytesIO(archive)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is one of the same name
        opened.writestr(zipfile.ZipInfo(name, _EPOCH), text)
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path, ignore: Ignore = leave_nothing_out) -> None:
    """Put the files of a zip into `folder` (made if needed); files that are there are replaced.

    Only plain files are written, whatever the archive says. Raises UnsafeArchive.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for info in opened.infolist():
            if info.is_dir():
                continue
            parts = PurePosixPath(info.filename).parts
            if not parts or info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
                raise UnsafeArchive(f"{info.filename!r} does not stay inside its folder. Tell the operator.")
            if any(part in set(ignore(str(folder), [part])) for part in parts):
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(info) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)


def unpack_new(
    archive: bytes, folder: Path, extra: dict[str, str] | None = None, ignore: Ignore = leave_nothing_out
) -> None:
    """Make `folder` from a zip, whole or not at all. `extra`: further text files, which win over the zip's.

    Raises FileExistsError when `folder` is there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        part = Path(temporary) / "part"
        part.mkdir()
        unpack(archive, part, ignore)
        for name, text in (extra or {}).items():
            (part / name).write_text(text, encoding="utf-8")
        part.rename(folder)


def add_missing(archive: bytes, folder: Path, ignore: Ignore = leave_nothing_out) -> list[str]:
    """Put those files of a zip into `folder` that are not there; return their paths."""
    added: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        unpack(archive, Path(temporary), ignore)
        for source in list_files(Path(temporary)):
            path = source.relative_to(temporary)
            if not os.path.lexists(folder / path):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, folder / path)
                added.append(str(path))
    return added
