"""What the audit log's words say, and the line that a command writes."""

from __future__ import annotations

import getpass
from collections.abc import Mapping

from grader.store import Store
from hub.settings import Settings

# A word never changes its meaning: old lines have it. {} stands for what it was done to.
DEEDS: Mapping[str, str] = {
    "account.add": "made an account for {}",
    "account.approve": "approved the account of {}",
    "account.discard": "discarded the account of {}",
    "account.password": "gave {} a new password",
    "account.revoke": "took the approval back from {}",
    "announcement.make": "announced something to the course",
    "announcement.withdraw": "withdrew announcement {}",
    "backup.make": "made a backup: {}",
    "course.create": "made the course",
    "course.join": "joined the course",
    "course.leave": "left the course",
    "course.open": "opened the course to everybody, or closed it",
    "extension.add": "gave an extension for {}",
    "extension.remove": "took an extension back ({})",
    "feedback.release": "asked for the feedback on {} to be released",
    "feedback.write": "wrote feedback on {}",
    "hand.lower": "lowered the hand of {}",
    "inquiry.answer": "answered inquiry {}",
    "inquiry.close": "closed inquiry {}",
    "job.cancel": "asked for grading job {} to be cancelled",
    "job.retry": "asked for what grading job {} left to be graded",
    "lab.grade": "asked for {} to be graded",
    "lab.release": "released {}",
    "lab.version": "released the new version of {}",
    "lab.withdraw": "took {} back",
    "mark.save": "marked by hand: {}",
    "people.add": "added somebody to the course",
    "people.change": "changed {} in the course",
    "people.import": "put a roster into the course",
    "people.remove": "removed {} from the course",
    "question.show": "changed who sees question {}",
    "question.withdraw": "withdrew something from question {}",
    "server.enter": "opened the server of {}, who had let them",
    "server.open": "let instructors into their own server, in {}",
    "server.shut": "ended that a server is open to instructors ({})",
    "server.stop": "stopped a server",
    "server.stop-idle": "stopped the servers that nobody used",
}


def note_command(
    record: Settings | Store, what: str, *, course: str | None = None, subject: str = "", detail: str = ""
) -> None:
    """Add a line to the audit log: whoever runs this command has done `what`."""
    store = Store.open(record.database_url, record.places) if isinstance(record, Settings) else record
    store.note(f"ict:{getpass.getuser()}", what, course=course, subject=subject, detail=detail)
