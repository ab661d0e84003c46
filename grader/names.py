"""What people, courses, labs and files may be called: checked here, and nowhere else."""

from __future__ import annotations

import re
import unicodedata

_USERNAME = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_COURSE = re.compile(r"[a-z][a-z0-9-]{0,39}")
# Wider than the names of our own labs, because instructors may release assignments of their own through nbgrader.
# Never "+": nbgrader builds folder names with it.
_LAB = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,62}[A-Za-z0-9_-])?")
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")
_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

MAX_DEPTH = 16
MAX_NAME_BYTES = 255  # what ext4, xfs and overlayfs take for one name


class NameRefused(ValueError):
    """A name that cannot be used; the message says why and what is allowed."""


def check_username(name: str) -> str:
    """Return `name`, or raise NameRefused."""
    if not _USERNAME.fullmatch(name) or ".." in name:
        raise NameRefused(
            f"{_shown(name)} is not a user name. Use up to 32 of a-z, 0-9, '.', '_' and '-', starting with a letter."
        )
    return name


def check_course(name: str) -> str:
    """Return `name`, or raise NameRefused."""
    if not _COURSE.fullmatch(name):
        raise NameRefused(
            f"{_shown(name)} is not a course id. Use up to 40 of a-z, 0-9 and '-', starting with a letter."
        )
    return name


def check_lab(name: str) -> str:
    """Return `name`, or raise NameRefused."""
    if not _LAB.fullmatch(name) or ".." in name:
        raise NameRefused(
            f"{_shown(name)} is not the name of a lab. Use up to 64 letters, digits, spaces, '_', '.' and '-', "
            "starting with a letter or digit."
        )
    return name


def is_email(text: str) -> bool:
    """Whether `text` has the form of one e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_submission_id(text: str) -> bool:
    """Whether `text` has the form of a submission's id."""
    return _ID.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Whether `text` has the form of a blob's name."""
    return _SHA256.fullmatch(text) is not None


def check_path(path: str, max_chars: int) -> tuple[str, ...]:
    """Return the parts of a relative file path, or raise NameRefused.

    Refused: absolute paths, "." and "..", empty parts, backslashes, control and other unprintable characters,
    more than `max_chars` characters, more than MAX_DEPTH parts.
    """
    if len(path) > max_chars:
        raise NameRefused(f"the path {_shown(path)} is longer than {max_chars} characters. Shorten it.")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in path):
        raise NameRefused(f"the path {_shown(path)} has characters that cannot be shown. Rename the file.")
    if "\\" in path:
        raise NameRefused(f"the path {_shown(path)} has a backslash. Rename the file.")
    parts = tuple(path.split("/"))
    if len(parts) > MAX_DEPTH:
        raise NameRefused(f"the path {_shown(path)} is more than {MAX_DEPTH} folders deep. Move the file up.")
    for part in parts:
        if part in ("", ".", ".."):
            raise NameRefused(
                f"the path {_shown(path)} does not stay inside its folder. Send plain relative paths."
            )
        if len(part.encode("utf-8")) > MAX_NAME_BYTES:
            raise NameRefused(
                f"the path {_shown(path)} has a name longer than {MAX_NAME_BYTES} bytes. Shorten it."
            )
    return parts


def same_file_key(path: str) -> str:
    """A key that is equal for paths that some file system takes for one file (case, Unicode form)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _shown(text: str) -> str:
    """`text` for a message: short and printable whatever it holds."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return ascii(short) if not short.isprintable() else f"'{short}'"
