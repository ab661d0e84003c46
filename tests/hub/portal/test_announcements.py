"""What instructors announce reaches the members' pages, and their mailboxes by a small SMTP server that really listens."""

from __future__ import annotations

import email
import email.message
import email.policy
import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grader.models import Announcement
from grader.store import MemberRow
from hub.settings import MailSettings, Settings

PAGE = "courses/ict101/announcements"
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Postbox(socketserver.ThreadingTCPServer):
    """An SMTP server: takes mail, refuses the addresses in `refused`, ends each connection after `most` messages."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.taken: list[tuple[list[str], bytes]] = []
        self.refused: set[str] = set()
        self.most = 1000
        self.connections = 0
        self.gate = threading.Event()
        self.gate.set()

    def messages(self) -> list[tuple[list[str], email.message.EmailMessage]]:
        """What came, with whom each was handed over for."""
        return [
            (to, email.message_from_bytes(raw, policy=email.policy.default))  # type: ignore[misc]
            for to, raw in self.taken
        ]


class _Conversation(socketserver.StreamRequestHandler):
    server: Postbox

    def handle(self) -> None:
        self.server.connections += 1
        self.server.gate.wait(20)
        self.say("220 test")
        to: list[str] = []
        taken = 0
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "MAIL" and taken >= self.server.most:
                self.say("421 that is enough for one connection")
                return
            if word == "RCPT":
                address = line[line.index("<") + 1 : line.index(">")]
                if address in self.server.refused:
                    self.say(f"550 5.1.1 no {XSS} mailbox")
                    continue
                to.append(address)
            if word == "DATA":
                self.say("354 go on")
                raw = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    raw += part.removeprefix(b".")
                self.server.taken.append((to, raw))
                to, taken = [], taken + 1
            self.say("250 good")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    """The server, on a port of its own."""
    with Postbox() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.gate.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture
def mailing(school: Any, postbox: Postbox) -> Any:
    """The class, on a site with that server."""
    mail = MailSettings(
        host="127.0.0.1",
        port=postbox.server_address[1],
        starttls=False,
        sender="labs@academy.example",
    )
    school.settings = school.settings.model_copy(update={"mail": mail})
    return school


def ended(school: Any) -> Announcement:
    """The newest announcement, once its e-mail is over."""
    return _until(
        lambda: next(
            (row for row in school.store.announcements("ict101", withdrawn=True)[:1] if row.mail_ended_at),
            None,
        )
    )


def _until(found: Callable[[], Any]) -> Any:
    for _ in range(400):
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen within 20 s")


def test_an_announcement_is_on_every_members_first_page_as_plain_text(visit: Any, school: Any) -> None:
    teacher = visit("teacher")
    sent = teacher.post(PAGE, title=f"Exam {XSS}", text=f"On Friday\nat nine\nhttp://x.example {XSS}")

    home = visit("alice").get()
    everything = visit("bob").get(PAGE)

    assert sent.status_code == 303
    for page in (home, everything, teacher.get(PAGE)):
        assert "On Friday\nat nine\nhttp://x.example &lt;script&gt;" in page.text
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
        assert 'href="http://x.example' not in page.text
    assert f'href="/services/portal/{PAGE}"' in home.text
    assert "<textarea" not in everything.text
    assert "Exam" not in visit("prof").get().text
    assert "Exam" not in visit("nobody").get().text


def test_the_first_page_has_the_last_three_of_thirty_days(visit: Any, school: Any) -> None:
    for number in range(5):
        school.store.announce("ict101", f"Number {number}", "text", by="teacher")
    with school.store._write() as session:
        session.get(Announcement, 4).at = datetime.now(UTC) - timedelta(days=31)

    home, everything = visit("alice").get().text, visit("alice").get(PAGE).text

    assert re.findall(r"<h3 dir=\"auto\">(Number \d)", home) == ["Number 4", "Number 2", "Number 1"]
    assert re.findall(r"<h2 dir=\"auto\">(Number \d)", everything) == [
        f"Number {number}" for number in (4, 3, 2, 1, 0)
    ]


def test_a_withdrawn_announcement_is_seen_by_instructors_only(visit: Any, school: Any) -> None:
    row = school.store.announce("ict101", "A mistake", "text", by="teacher")
    teacher = visit("teacher")

    answer = teacher.post(f"{PAGE}/{row.id}/withdraw")

    assert answer.status_code == 303
    assert "A mistake" not in visit("alice").get().text
    assert "A mistake" not in visit("alice").get(PAGE).text
    assert "withdrawn" in teacher.get(PAGE).text


def test_an_announcement_without_a_text_is_refused_with_what_was_typed(visit: Any, school: Any) -> None:
    page = visit("teacher").post(PAGE, title='"><b>half', text=" ")

    assert page.status_code == 422
    assert "Write both." in page.text
    assert "&gt;&lt;b&gt;half" in page.text
    assert school.store.announcements("ict101") == []


def test_nobody_else_announces_or_withdraws(visit: Any, school: Any) -> None:
    row = school.store.announce("ict101", "Stays", "text", by="teacher")

    for name in ("alice", "prof", "nobody"):
        browser = visit(name)
        assert browser.post(PAGE, title="x", text="x").status_code == 403
        assert browser.post(f"{PAGE}/{row.id}/withdraw").status_code == 403
    teacher = visit("teacher")
    assert teacher.post(PAGE, csrf="x", title="x", text="x").status_code == 403
    assert teacher.post(f"{PAGE}/{row.id}/withdraw", csrf="x").status_code == 403
    assert visit("prof").post(f"courses/net201/announcements/{row.id}/withdraw").status_code == 404
    assert teacher.post(f"{PAGE}/{10**30}/withdraw").status_code == 422

    assert [each.title for each in school.store.announcements("ict101")] == ["Stays"]


def test_without_a_mail_server_nothing_is_sent_and_the_page_says_so(visit: Any, school: Any) -> None:
    teacher = visit("teacher")

    teacher.post(PAGE, title="x", text="x", mail="yes")

    assert school.store.announcements("ict101")[0].mail_to is None
    assert "this site has no mail server" in teacher.get(PAGE).text
    assert 'type="checkbox"' not in teacher.get(PAGE).text


def test_e_mail_goes_to_each_member_with_an_address_alone(visit: Any, mailing: Any, postbox: Postbox) -> None:
    mailing.store.enrol("ict101", [MemberRow("bob", email="bob@example.org")])
    teacher = visit("teacher")

    title = "Exam\r\nBcc: thief@x.example"
    teacher.post(PAGE, title=title, text="On Friday\nzoë\n.\nBcc: thief@x.example", mail="yes")
    row = ended(mailing)

    assert [to for to, _ in postbox.messages()] == [["alice@example.org"], ["bob@example.org"]]
    for (address,), message in postbox.messages():
        assert message["To"] == address
        assert message["From"] == "labs@academy.example"
        assert message["Subject"] == "[Networks & systems] Exam Bcc: thief@x.example"
        assert message["Bcc"] is None
        assert "On Friday\nzoë\n.\nBcc: thief@x.example\n\n-- \nteacher" in message.get_content().replace(
            "\r\n", "\n"
        )
        others = {"alice@example.org", "bob@example.org"} - {address}
        assert not any(other in str(message) for other in others)
    assert (row.mail_to, row.mail_sent, row.mail_told) == (2, 2, "")
    assert "sent to 2 of 2." in teacher.get(PAGE).text


def test_what_was_refused_is_told_to_instructors_only(visit: Any, mailing: Any, postbox: Postbox) -> None:
    mailing.store.enrol(
        "ict101", [MemberRow("bob", email="bob@example.org"), MemberRow("eve", email='"x y"@z@w.example')]
    )
    postbox.refused = {"bob@example.org"}
    teacher = visit("teacher")

    teacher.post(PAGE, title="Exam", text="On Friday", mail="yes")
    ended(mailing)
    page = teacher.get(PAGE).text

    assert "sent to 1 of 3. 2 refused: bob (550 5.1.1 no &lt;script&gt;" in page
    assert "eve (not an e-mail address)" in page
    assert "<script" not in page
    assert "refused" not in visit("alice").get(PAGE).text


def test_a_server_that_ends_connections_gets_the_rest_on_new_ones(
    visit: Any, mailing: Any, postbox: Postbox
) -> None:
    mailing.store.enrol("ict101", [MemberRow(f"s{n:02}", email=f"s{n}@example.org") for n in range(25)])
    postbox.most = 10

    visit("teacher").post(PAGE, title="Exam", text="On Friday", mail="yes")
    row = ended(mailing)

    assert (row.mail_sent, row.mail_told) == (26, "")
    assert len({to for (to,), _ in postbox.messages()}) == len(postbox.taken) == 26
    assert postbox.connections == 3


def test_a_slow_server_delays_no_page_and_a_withdrawal_stops_the_rest(
    visit: Any, mailing: Any, postbox: Postbox
) -> None:
    mailing.store.enrol("ict101", [MemberRow(f"s{n:02}", email=f"s{n}@example.org") for n in range(60)])
    postbox.gate.clear()
    teacher = visit("teacher")

    began = time.monotonic()
    teacher.post(PAGE, title="Exam", text="On Friday", mail="yes")
    page = teacher.get(PAGE).text
    took_s = time.monotonic() - began
    (row,) = mailing.store.announcements("ict101")
    teacher.post(f"{PAGE}/{row.id}/withdraw")
    postbox.gate.set()

    assert took_s < 5
    assert "sent to 0 of 61 so far" in page
    assert ended(mailing).mail_sent == len(postbox.taken) == 20
    assert "The rest was not sent: it was withdrawn." in teacher.get(PAGE).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "127.0.0.1:1 cannot be used: Connection refused"),
        ({"starttls": True}, "cannot be used: STARTTLS extension not supported by server"),
    ],
)
def test_a_server_that_cannot_be_used_is_told(
    visit: Any, mailing: Any, postbox: Postbox, change: dict[str, Any], said: str
) -> None:
    mail = mailing.settings.mail.model_copy(update=change)
    mailing.settings = mailing.settings.model_copy(update={"mail": mail})
    teacher = visit("teacher")

    teacher.post(PAGE, title="Exam", text="On Friday", mail="yes")
    ended(mailing)

    assert f"sent to 0 of 1. The rest was not sent: {mail.host}:{mail.port}" in teacher.get(PAGE).text
    assert said in teacher.get(PAGE).text
    assert postbox.taken == []


def test_e_mail_that_a_restart_cut_off_is_said(visit: Any, mailing: Any) -> None:
    row = mailing.store.announce("ict101", "Exam", "On Friday", by="teacher", mail_to=30)
    mailing.store.mailed(row.id, 20)

    assert "sent to 20 of 30, then it broke off." in visit("teacher").get(PAGE).text


def test_an_answer_of_who_teaches_goes_to_who_asked_and_to_nobody_else(
    visit: Any, mailing: Any, postbox: Postbox
) -> None:
    mailing.store.enrol("ict101", [MemberRow("bob", email="bob@example.org")])
    thread = f"courses/ict101/questions/{mailing.asked}"
    teacher, alice = visit("teacher"), visit("alice")
    teacher.post(f"{thread}/show", to="course")

    alice.post(thread, text="Nobody is told of mine.")
    visit("bob").post(thread, text="A classmate's is news on her first page.")
    teacher.post(thread, text="Count\nthe hosts.")
    (to, message) = _until(postbox.messages)[0]

    assert to == ["alice@example.org"]
    assert message["Subject"].startswith("[Networks & systems] Re: Why a mask of 26 bits?")
    assert message.get_content().replace("\r\n", "\n").startswith("Count\nthe hosts.\n\n-- \nteacher")
    assert len(postbox.taken) == 1


def test_an_answer_is_taken_when_no_mail_can_be_sent(visit: Any, mailing: Any) -> None:
    mail = mailing.settings.mail.model_copy(update={"port": 1})
    mailing.settings = mailing.settings.model_copy(update={"mail": mail})
    thread = f"courses/ict101/questions/{mailing.asked}"

    assert visit("teacher").post(thread, text="Count.").status_code == 303
    assert "Count." in visit("alice").get(thread).text


@pytest.mark.parametrize(
    "table",
    [
        {"host": "mail.academy.example"},
        {"host": "mail.academy.example", "sender": "a@b.example\nBcc: x@y.example"},
        {"host": "mail.academy.example", "sender": "labs@academy.example", "user": "labs"},
        {
            "host": "mail.academy.example",
            "sender": "labs@academy.example",
            "user": "labs",
            "password_file": "x",
            "starttls": False,
        },
    ],
)
def test_mail_settings_that_are_not_whole_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mail"):
        Settings.model_validate({"mail": table})
