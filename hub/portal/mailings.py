"""Announcements on their way out as e-mail: a thread of their own, and what became of each kept in the record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from grader.models import Announcement, Course, Member
from grader.store import Store
from hub.mail import Letter, MailDown, deliver
from hub.settings import Settings

log = logging.getLogger(__name__)

_NOTE_EVERY = 20  # letters between two notes in the record
_MOST_NAMED = 20  # people who are named when their letters are refused


class Mailings:
    """Sends one announcement after another; pages never wait for it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Nothing is sent yet."""
        self._store = store
        self._settings = settings
        self._turn = threading.Lock()
        self._under_way: set[int] = set()

    @property
    def can_send(self) -> bool:
        """Whether this site has an SMTP server."""
        return bool(self._settings.mail.host)

    def is_interrupted(self, row: Announcement) -> bool:
        """Whether its e-mail was begun and nobody goes on with it: the portal was restarted."""
        begun = row.mail_to is not None and row.mail_ended_at is None
        return begun and row.id not in self._under_way

    def send(self, row: Announcement, course: Course, members: Iterable[Member]) -> None:
        """Begin to send an announcement to each of `members`, who have an address."""
        letters = [self._letter(row, course, member) for member in members]
        self._under_way.add(row.id)
        # a daemon: a restart of the portal does not wait for a slow mail server, and the page says what was left
        threading.Thread(target=self._send, args=(row.id, letters), daemon=True).start()

    def _letter(self, row: Announcement, course: Course, member: Member) -> Letter:
        name = self._settings.site.name
        text = f"{row.text}\n\n-- \n{row.author}, {course.title}, {name}\n"
        subject = " ".join(f"[{course.title}] {row.title}".split())
        return Letter(member.username, member.email, subject, text)

    def _send(self, number: int, letters: Sequence[Letter]) -> None:
        try:
            with self._turn:
                sent, told = self._delivered(number, letters)
            self._store.mailed(number, sent, told, ended=True)
        except Exception:  # this thread has nobody above it
            log.exception("sending announcement %d", number)
        finally:
            self._under_way.discard(number)

    def _delivered(self, number: int, letters: Sequence[Letter]) -> tuple[int, str]:
        """Send what can be sent: how many letters went out, and what to tell about the others."""
        sent = 0
        refused: list[str] = []
        try:
            for letter, why in deliver(self._settings.mail, self._settings.root, letters):
                if why:
                    log.warning("announcement %d to %s: %s", number, letter.username, why)
                    refused.append(f"{letter.username} ({why})")
                else:
                    sent += 1
                if (sent + len(refused)) % _NOTE_EVERY == 0:
                    row = self._store.mailed(number, sent, _refusals(refused))
                    if row.withdrawn_at is not None:
                        return sent, f"The rest was not sent: it was withdrawn. {_refusals(refused)}".strip()
        except MailDown as error:
            log.warning("announcement %d: %s", number, error)
            return sent, f"The rest was not sent: {error}. {_refusals(refused)}".strip()
        return sent, _refusals(refused)


def _refusals(refused: Sequence[str]) -> str:
    if not refused:
        return ""
    more = f" and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    return f"{len(refused)} refused: {', '.join(refused[:_MOST_NAMED])}{more}."
