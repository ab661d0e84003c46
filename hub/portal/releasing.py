"""What pressing Release, Save or Give more time does, in a thread, and the sentence that tells how it went."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from grader.names import check_username
from grader.schedule import Schedule
from grader.store import NotThere
from hub.portal.desk import Desk
from hub.portal.releaseform import moment_of
from labs.model import Lab

# What brings nbgrader with it is imported where it is used: the portal starts without it.


def offer(desk: Desk, course: str, lab: Lab, by: str, terms: tuple[Schedule, int | None]) -> str:
    """Release a lab on these terms; a bank of late days is the course's."""
    from grader.release import release_lab

    schedule, bank = terms
    if bank is not None:
        desk.store.set_bank(course, bank)
    row = release_lab(desk.store, desk.settings.places, lab, course, by=by, schedule=schedule)
    return f"{row.title} is released: {row.max_points:g} points."


def change(desk: Desk, course: str, lab: str, schedule: Schedule, bank: int | None) -> str:
    """Change the terms of a lab that is out."""
    from grader.release import change_terms

    if bank is not None:
        desk.store.set_bank(course, bank)
    changed = change_terms(desk.store, desk.settings.places, course, lab, schedule)
    return f"Saved.{_told(changed)}"


def renew(desk: Desk, course: str, lab: Lab, by: str, schedule: Schedule) -> str:
    """Put the library's version in the place of the one that is out."""
    from grader.release import release_lab

    row = release_lab(desk.store, desk.settings.places, lab, course, by=by, schedule=schedule)
    return (
        f"The new version is out: {row.max_points:g} points. Students who began keep their files. Grading puts the new "
        "checks into what they hand in."
    )


def extend(desk: Desk, where: tuple[str, str], fields: dict[str, str], by: str, zone: ZoneInfo) -> str:
    """Give the student or the group of a form more time."""
    from grader.latemarks import settle_lateness

    course, lab = where
    username, section = fields.get("username", "").strip(), fields.get("section", "")
    if username:
        check_username(username)
    elif section and section not in sections(desk, course):
        raise NotThere("There is no such group in this course. Choose one of the list.")
    row = desk.store.extend(
        course,
        lab,
        username=username,
        section=section,
        due_at=moment_of(fields.get("due", ""), zone),
        cutoff_at=moment_of(fields.get("cutoff", ""), zone),
        reason=fields.get("reason", ""),
        by=by,
    )
    changed = settle_lateness(desk.store, desk.settings.places, course)
    return f"{row.username or f'Group {row.section}'} has more time.{_told(changed)}"


def unextend(desk: Desk, course: str, lab: str, number: int) -> str:
    """Take an extension back."""
    from grader.latemarks import settle_lateness

    row = desk.store.remove_extension(course, lab, number)
    changed = settle_lateness(desk.store, desk.settings.places, course)
    return f"The extension of {row.username or f'group {row.section}'} is removed.{_told(changed)}"


def _told(changed: int) -> str:
    if not changed:
        return ""
    return f" {changed} mark{'' if changed == 1 else 's'} worked out again."


def sections(desk: Desk, course: str) -> list[str]:
    """The groups of a course."""
    return sorted({each.section for each in desk.store.roll(course) if each.section})
