"""Whose files the site's data are: only this file decides on uids and changes owners."""

from __future__ import annotations

import os
import stat
from pathlib import Path

CONTAINER_UID = 1000  # the user `student` of every image


def site_uid() -> int:
    """Return the uid that owns homes and course folders and runs students' code.

    As root it is the images' own user, so that code of students never runs as root; otherwise the operator's.
    """
    return CONTAINER_UID if os.geteuid() == 0 else os.geteuid()


def site_gid() -> int:
    """Return the group that goes with `site_uid`."""
    return CONTAINER_UID if os.geteuid() == 0 else os.getegid()


def give(path: Path) -> None:
    """Make `path` and everything below it the site user's; do nothing when not root.

    Links are changed themselves, never followed, and every step is relative to an open folder: the tree may
    belong to a student who swaps a folder for a link meanwhile. A file with several names is left alone, since
    its other name may lie outside.
    """
    if os.geteuid() != 0:
        return
    uid, gid = site_uid(), site_gid()
    os.chown(path, uid, gid, follow_symlinks=False)
    if path.is_symlink() or not path.is_dir():
        return
    for _, folders, files, folder in os.fwalk(path, follow_symlinks=False):
        for name in folders + files:
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
                    os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed meanwhile
