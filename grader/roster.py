"""What a roster file says, and how a course changes when it is applied. Pure."""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from grader.models import Member
from grader.names import NameRefused, check_username, is_email

Role = Literal["student", "assistant", "instructor"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_ROSTER_BYTES = 1_000_000
MAX_ROSTER_ROWS = 5_000
_LONGEST = {"name": 200, "email": 254, "section": 64}  # as the record's columns
_WORDS = {"name": "name", "email": "e-mail", "section": "group", "role": "role"}
_HEADER = {
    "username": "username",
    "user name": "username",
    "name": "name",
    "e-mail": "email",
    "email": "email",
    "group": "section",
    "section": "section",
    "role": "role",
}
_PLAIN = ("username", "email", "section")  # the columns of a roster that does not name them
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


class RosterRefused(ValueError):
    """A roster that cannot be read at all; the message says why and what to do."""


@dataclass(frozen=True)
class MemberRow:
    """One person of a course."""

    username: str
    role: Role = "student"
    name: str = ""
    email: str = ""
    section: str = ""


@dataclass(frozen=True)
class RosterRow:
    """One row of a roster file. What is empty says nothing about that person."""

    username: str
    role: Role | Literal[""] = ""
    name: str = ""
    email: str = ""
    section: str = ""


@dataclass(frozen=True)
class Change:
    """A person whose values become others."""

    before: MemberRow
    after: MemberRow

    @property
    def differences(self) -> list[tuple[str, str, str]]:
        """What changes: the column's word, the old value, the new value."""
        pairs = [(word, getattr(self.before, key), getattr(self.after, key)) for key, word in _WORDS.items()]
        return [(word, old, new) for word, old, new in pairs if old != new]


@dataclass(frozen=True)
class Plan:
    """What a roster does to a course. People who are not in the file stay as they are."""

    added: tuple[MemberRow, ...]
    changed: tuple[Change, ...]
    unchanged: tuple[MemberRow, ...]
    absent: tuple[MemberRow, ...]

    @property
    def fingerprint(self) -> str:
        """Equal for equal plans: what is applied is what was shown."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def plan_roster(members: Iterable[Member | MemberRow], rows: Sequence[RosterRow]) -> Plan:
    """Compare a roster with the people of a course."""
    known = {each.username: member_row(each) for each in members}
    added, changed, unchanged = [], [], []
    for row in rows:
        before = known.pop(row.username, None)
        after = laid_over(before, row)
        if before is None:
            added.append(after)
        elif before == after:
            unchanged.append(before)
        else:
            changed.append(Change(before, after))
    absent = sorted(known.values(), key=lambda each: each.username)
    return Plan(tuple(added), tuple(changed), tuple(unchanged), tuple(absent))


def laid_over(before: MemberRow | None, row: RosterRow) -> MemberRow:
    """A person with the values of a row; where the row is empty, those they had."""
    said = {key: getattr(row, key) for key in _WORDS if getattr(row, key)}
    return replace(before or MemberRow(row.username), **said)


def member_row(member: Member | MemberRow) -> MemberRow:
    """The values of a member."""
    role: Role = next((each for each in ROLES if each == member.role), "student")
    return MemberRow(member.username, role, member.name, member.email, member.section)


def decode_roster(raw: bytes) -> str:
    """The text of a roster file. Raises RosterRefused."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RosterRefused(f"not UTF-8 text ({error.reason}). Save it as CSV UTF-8.") from error


def read_roster(text: str) -> tuple[list[RosterRow], list[str]]:
    """Read a roster: username, e-mail, group; or the columns that its header line names, with name and role too.

    Commas, semicolons or tabs between the columns. Returns the good rows, and a sentence with the line for each bad one.
    """
    rows: list[RosterRow] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    columns: Sequence[str] | None = None
    text = text.removeprefix("\ufeff")  # Excel's mark
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(f"line {reader.line_num}: not CSV: {error}")
            continue
        if cells is None:
            return rows, problems
        cells = [_unguarded(cell.strip()) for cell in cells]
        if not any(cells):
            continue
        if len(seen) >= MAX_ROSTER_ROWS:
            problems.append(f"line {reader.line_num}: more than {MAX_ROSTER_ROWS} rows. Split the roster.")
            return rows, problems
        try:
            if columns is None:
                columns, is_header = _columns(cells)
                if is_header:
                    continue
            row = _row(cells, columns, seen)
        except RosterRefused as problem:
            problems.append(f"line {reader.line_num}: {problem}")
            if columns is None:
                return rows, problems  # without its header no other row can be read
            continue
        seen[row.username] = reader.line_num
        rows.append(row)


def write_roster(members: Iterable[Member | MemberRow]) -> str:
    """A roster as CSV, with Excel's mark, that read_roster takes back and no spreadsheet runs."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("username", *_WORDS.values()))
    for each in members:
        writer.writerow(
            [_guarded(value) for value in (each.username, *(getattr(each, key) for key in _WORDS))]
        )
    return "\ufeff" + out.getvalue()


def check_member(row: MemberRow | RosterRow) -> None:
    """Raise RosterRefused when a person's values cannot be kept."""
    try:
        check_username(row.username)
    except NameRefused as problem:
        raise RosterRefused(str(problem)) from problem
    for key, longest in _LONGEST.items():
        value = getattr(row, key)
        if len(value) > longest:
            raise RosterRefused(f"the {_WORDS[key]} has {len(value)} characters; {longest} at most")
        if any(unicodedata.category(char) == "Cc" for char in value):
            raise RosterRefused(f"the {_WORDS[key]} {value[:60]!a} has characters that cannot be shown")
    if row.email and not is_email(row.email):
        raise RosterRefused(f"{row.email!r} is not an e-mail address")
    if row.role and row.role not in ROLES:
        raise RosterRefused(f"{row.role!r} is not a role. Use {' or '.join(ROLES)}.")


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=first.count)


def _columns(cells: list[str]) -> tuple[Sequence[str], bool]:
    """The columns of a roster, from its first row; and whether that row is a header."""
    words = [cell.lower() for cell in cells]
    names_them = "username" in words or "user name" in words
    if not names_them and words[0] != "name":
        return _PLAIN, False
    unknown = [cell for cell, word in zip(cells, words, strict=True) if word not in _HEADER]
    if unknown:
        raise RosterRefused(
            f"{', '.join(map(repr, unknown))}: not a column. Use username, name, e-mail, group, role."
        )
    keys = [_HEADER[word] for word in words]
    if not names_them:
        keys[0] = "username"  # name,e-mail,group: the short form
    if len(set(keys)) < len(keys):
        raise RosterRefused("a column stands in the header twice")
    return keys, True


def _row(cells: list[str], columns: Sequence[str], seen: dict[str, int]) -> RosterRow:
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        said = ",".join("username" if key == "username" else _WORDS[key] for key in columns)
        raise RosterRefused(f"{len(cells)} columns; a row is {said}")
    values = {"username": ""} | dict(zip(columns, cells, strict=False))
    if "role" in values:
        values["role"] = values["role"].lower()
    row = RosterRow(**values)  # type: ignore[arg-type]  # check_member refuses what is no role
    check_member(row)
    if row.username in seen:
        raise RosterRefused(f"{row.username} stands on line {seen[row.username]} already")
    return row


def _guarded(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _unguarded(value: str) -> str:
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value
