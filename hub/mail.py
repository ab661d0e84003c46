"""Hands e-mail to an SMTP server, one message a person, and says of each whether the server took it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from hub.settings import MailSettings

_TIMEOUT_S = 30
_CLOSING = 421  # the server ends the connection, and may take more on a new one
_LONGEST_REASON = 200


class MailDown(Exception):
    """The SMTP server cannot be used; the message says why."""


@dataclass(frozen=True)
class Letter:
    """One message to one person."""

    username: str
    address: str
    subject: str
    text: str


def deliver(mail: MailSettings, root: Path, letters: Iterable[Letter]) -> Iterator[tuple[Letter, str]]:
    """Send each letter; give back each with why it was refused, or "". `root`: where relative paths start.

    Raises MailDown when the server is not there or goes away, with what was given back so far being true.
    """
    server: smtplib.SMTP | None = None
    try:
        for letter in letters:
            try:
                message = _message(mail, letter)
            except (ValueError, MessageError, IndexError):  # what the email package says of a bad address
                yield letter, "not an e-mail address"
                continue
            for last_try in (False, True):
                server = server or _connect(mail, root)
                try:
                    refusal = _refusal(server, mail, letter, message)
                    break
                except OSError as error:
                    server.close()
                    server = None  # servers end a connection after so many messages
                    if last_try:
                        raise MailDown(f"{mail.host}:{mail.port} broke off: {_said(error)}") from error
            yield letter, refusal
    finally:
        if server is not None:
            server.close()


def _connect(mail: MailSettings, root: Path) -> smtplib.SMTP:
    server: smtplib.SMTP | None = None
    try:
        server = smtplib.SMTP(mail.host, mail.port, timeout=_TIMEOUT_S)
        if mail.starttls:
            server.starttls(context=ssl.create_default_context())
        if mail.user:
            password = (root / mail.password_file).read_text(encoding="utf-8").strip()
            server.login(mail.user, password)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        if server is not None:
            server.close()
        raise MailDown(f"{mail.host}:{mail.port} cannot be used: {_said(error)}") from error
    return server


def _message(mail: MailSettings, letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Address(addr_spec=mail.sender)
    message["To"] = Address(addr_spec=letter.address)
    message["Subject"] = letter.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's absence note answers
    message.set_content(letter.text)
    return message


def _refusal(server: smtplib.SMTP, mail: MailSettings, letter: Letter, message: EmailMessage) -> str:
    """Hand one message over; why the server does not take it, or ""."""
    try:
        server.send_message(message, from_addr=mail.sender, to_addrs=[letter.address])
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = next(iter(error.recipients.values()))
        refused = smtplib.SMTPResponseException(code, answer)
    except smtplib.SMTPResponseException as error:
        refused = error
    except (smtplib.SMTPNotSupportedError, UnicodeError):
        return "the server takes no such address"
    else:
        return ""
    if refused.smtp_code == _CLOSING:
        raise smtplib.SMTPServerDisconnected(_said(refused))
    return _said(refused)


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
        text = f"{error.smtp_code} {text}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = str(error) or type(error).__name__
    text = " ".join(text.split())
    return "".join(char for char in text if char.isprintable())[:_LONGEST_REASON]
