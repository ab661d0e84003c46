"""The demo course: an instructor, two students, three labs released; made once, kept as it is afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from grader.coursefolder import create_course_folder
from grader.release import release_lab
from grader.store import AlreadyThere, MemberRow, Store
from hub.accounts import Accounts, new_password
from hub.settings import Settings
from labs.library import Library

COURSE = "ict101"
PEOPLE = {"teacher": "instructor", "alice": "student", "bob": "student"}
LABS = {"net-subnetting": 7, "linux-permissions": 14, "data-sql-joins": 21}  # name -> days until it is due


def prepare_demo(settings: Settings, say: Callable[[str], None]) -> dict[str, str]:
    """Make what is missing of the demo. Returns the passwords of accounts made now; others are kept hashed only."""
    store = Store.open(settings.database_url, settings.places)
    try:
        store.create_course(COURSE, "ICT 101: a first course")
        store.enrol(
            COURSE,
            [MemberRow(n, "instructor" if r == "instructor" else "student") for n, r in PEOPLE.items()],
        )
    except AlreadyThere:
        pass
    create_course_folder(settings.places, COURSE)
    released = {release.lab for release in store.releases(COURSE, withdrawn=True)}
    library = Library([settings.root / folder for folder in settings.labs.folders])
    midnight = datetime.now(UTC).replace(hour=22, minute=0, second=0, microsecond=0)
    for name, days in LABS.items():
        if name not in released:
            say(f"releasing {name} to {COURSE}")
            due = midnight + timedelta(days=days)
            release_lab(store, settings.places, library.lab(name), COURSE, by="teacher", due_at=due)
    accounts = Accounts(settings)
    made = {}
    for name in PEOPLE:
        if not accounts.exists(name):
            made[name] = new_password()
            accounts.add(name, made[name])
    store.close()
    return made
