"""A raised hand from the notebook: the course's instructors see it at once, with the lab it is about."""

from __future__ import annotations


def hand(about: str = "") -> str:
    """Raise your hand, with some words of what it is about; returns what the site says.

    It is lowered by an instructor, by you on the lab's page in the portal, or by `lower_hand()`.
    """
    return _say(about)


def lower_hand() -> str:
    """Lower your hand."""
    return _say(None)


def _say(about: str | None) -> str:
    from ictlab.exchange.client import Service, ServiceError
    from ictlab.show.progress import ProgressError, notebook_file

    try:
        lab = notebook_file().parent
        return Service.from_environment().hand(lab.parent.name, lab.name, about)
    except (ServiceError, ProgressError) as error:
        return f"Your hand is as it was: {error}"
