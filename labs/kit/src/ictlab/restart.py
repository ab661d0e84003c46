"""A fresh start: the untouched lab comes back, and the work so far is kept beside it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


class ResetError(Exception):
    """The lab cannot be had anew; nothing was changed. The message says why."""


def reset(folder: Path | str | None = None) -> str:
    """Put the untouched lab in the place of yours, and keep yours in a folder beside it; returns what was done.

    folder: the lab's, `course/lab` in your home; the notebook's own if left out. Raises ResetError.
    """
    from ictlab.exchange.client import Service, ServiceError
    from ictlab.exchange.files import UnsafeArchive, unpack_new

    here = Path(folder or Path.cwd()).absolute()
    course, lab = here.parent.name, here.name
    try:
        archive = Service.from_environment().release_archive(course, lab)
    except ServiceError as error:
        raise ResetError(f"Nothing was changed: {error}") from error
    kept = here.with_name(f"{lab} until {datetime.now():%Y-%m-%d %H.%M.%S}")
    fresh = here.with_name(f".{lab} fresh")
    try:
        unpack_new(archive, fresh)
        here.rename(kept)
        fresh.rename(here)
    except (OSError, UnsafeArchive) as error:
        raise ResetError(f"Nothing of yours was lost, but the lab is not fresh: {error}") from error
    return (
        f"{lab} is as it was at the start. Your work so far is in the folder “{kept.name}”. "
        "Close this notebook without saving and open it again."
    )
