"""Announcements and answers on their way out as e-mail, in threads of their own; what became of an announcement is kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from grader.models import Announcement, Course, Member
from grader.people import Person
from grader.questions import Asked
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
        return _letter(self._settings, course, member, row.title, (row.text, row.author))

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


def mail_answer(store: Store, settings: Settings, asked: Asked, by: Person, text: str) -> None:
    """Begin to send what an instructor or assistant answered to who asked, if both can be: nothing waits for it."""
    if not settings.mail.host or asked.is_mine or not by.may_help(asked.course):
        return
    member = store.someone(asked.course, asked.author)
    if member is None or not member.email:
        return
    letter = _letter(settings, store.course(asked.course), member, f"Re: {asked.title}", (text, by.name))
    threading.Thread(target=_send_answer, args=(settings, letter), daemon=True).start()


def _send_answer(settings: Settings, letter: Letter) -> None:
    try:
        for _letter_sent, why in deliver(settings.mail, settings.root, [letter]):
            if why:
                log.warning("an answer to %s: %s", letter.username, why)
    except MailDown as error:  # the answer is on their first page all the same
        log.warning("an answer to %s: %s", letter.username, error)
    except Exception:  # this thread has nobody above it
        log.exception("sending an answer")


def _letter(settings: Settings, course: Course, member: Member, title: str, said: tuple[str, str]) -> Letter:
    """said: a text and who wrote it."""
    text, author = said
    body = f"{text}\n\n-- \n{author}, {course.title}, {settings.site.name}\n"
    subject = " ".join(f"[{course.title}] {title}".split())
    return Letter(member.username, member.email, subject, body)


def _refusals(refused: Sequence[str]) -> str:
    if not refused:
        return ""
    more = f" and {len(refused) - _MOST_NAMED} more" if len(refused) > _MOST_NAMED else ""
    return f"{len(refused)} refused: {', '.join(refused[:_MOST_NAMED])}{more}."
