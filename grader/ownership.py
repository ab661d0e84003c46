"""Whose files homes and course folders are: the uid that servers in containers run as."""

from __future__ import annotations

import os
from pathlib import Path

STUDENT_UID = 1000  # the user of every image


def site_uid() -> int:
    """The owner of homes and course folders: 1000 when the site runs as root, else the operator."""
    return STUDENT_UID if os.geteuid() == 0 else os.geteuid()


def give(path: Path) -> None:
    """Make `path`, and everything below it, belong to the site uid. Links are changed, never followed."""
    if os.geteuid() != 0:
        return
    uid = site_uid()
    os.chown(path, uid, uid, follow_symlinks=False)
    if path.is_dir() and not path.is_symlink():
        for _, folders, files, fd in os.fwalk(path, follow_symlinks=False):
            for name in (*folders, *files):
                os.chown(name, uid, uid, dir_fd=fd, follow_symlinks=False)


def give_fd(fd: int) -> None:
    """Make an open file or folder belong to the site uid."""
    if os.geteuid() == 0:
        os.fchown(fd, site_uid(), site_uid())
