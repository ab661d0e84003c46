"""A roster is read whatever a spreadsheet made of it, compared with the course, and written so that nothing runs it."""

from __future__ import annotations

import pytest

from grader.roster import (
    MAX_ROSTER_ROWS,
    Change,
    MemberRow,
    RosterRefused,
    RosterRow,
    decode_roster,
    plan_roster,
    read_roster,
    write_roster,
)

CAROL = RosterRow("carol", email="carol@academy.example", section="A")


@pytest.mark.parametrize(
    "text",
    [
        "carol,carol@academy.example,A\n",
        "name,e-mail,group\ncarol,carol@academy.example,A\n",
        "\ufeffname;e-mail;group\r\ncarol;carol@academy.example;A\r\n",
        "carol\tcarol@academy.example\tA",
        "\n\nGroup,E-mail,Username\nA,carol@academy.example,carol\n,,\n",
        'username,section,email\ncarol,"A",carol@academy.example,\n',
    ],
)
def test_rosters_of_many_kinds_say_the_same(text: str) -> None:
    assert read_roster(text) == ([CAROL], [])


def test_a_header_may_name_full_names_and_roles() -> None:
    rows, problems = read_roster("username;name;role\ncarol;Carol Đặng, the younger;Instructor\ndan;;\n")

    assert rows == [
        RosterRow("carol", role="instructor", name="Carol Đặng, the younger"),
        RosterRow("dan"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Carol,,A", "not a user name"),
        ("../etc,,A", "not a user name"),
        (",a@b.example,", "not a user name"),
        ("carol,not-an-address,A", "not an e-mail address"),
        ("carol,a@b.example\nBcc: x@y.example,A".replace("\n", "\x0b"), "cannot be shown"),
        (f"carol,,{'A' * 65}", "65 characters"),
        ("carol,,A\x00", "cannot be shown"),
        ("dan,,A", "stands on line 2 already"),
        ("carol,,A,more", "4 columns"),
        (f"carol,,{'x' * 200_000}", "not CSV"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_the_good_ones_are_read(row: str, said: str) -> None:
    rows, problems = read_roster(f"name,e-mail,group\ndan,,A\n{row}\nerin,,B\n")

    assert [each.username for each in rows] == ["dan", "erin"]
    assert len(problems) == 1
    assert problems[0].startswith("line 3: ")
    assert said in problems[0]


def test_a_column_nobody_knows_or_a_role_nobody_has_is_refused() -> None:
    assert read_roster("username,salary\ncarol,7\n")[0] == []
    assert "'salary': not a column" in read_roster("username,salary\ncarol,7\n")[1][0]
    assert "twice" in read_roster("username,email,e-mail\ncarol,,\n")[1][0]
    assert "not a role" in read_roster("username,role\ncarol,god\n")[1][0]


def test_a_roster_is_bounded_and_must_be_text() -> None:
    rows, problems = read_roster("".join(f"s{number},,\n" for number in range(MAX_ROSTER_ROWS + 5)))

    assert len(rows) == MAX_ROSTER_ROWS
    assert len(problems) == 1
    with pytest.raises(RosterRefused, match="Save it as CSV UTF-8"):
        decode_roster("Zoë".encode("latin-1"))


def test_a_plan_says_who_is_added_changed_unchanged_and_absent() -> None:
    members = [
        MemberRow("teacher", "instructor"),
        MemberRow("alice", name="Alice", email="alice@a.example", section="A"),
        MemberRow("bob", section="B"),
    ]

    plan = plan_roster(members, [RosterRow("alice", section="C"), RosterRow("bob"), CAROL])

    assert plan.added == (MemberRow("carol", email="carol@academy.example", section="A"),)
    after = MemberRow("alice", name="Alice", email="alice@a.example", section="C")  # empty says nothing
    assert plan.changed == (Change(members[1], after),)
    assert plan.changed[0].differences == [("group", "A", "C")]
    assert plan.unchanged == (members[2],)
    assert plan.absent == (members[0],)


def test_a_plan_of_another_course_has_another_fingerprint() -> None:
    rows = [CAROL]
    before = plan_roster([MemberRow("alice")], rows)

    assert plan_roster([MemberRow("alice")], rows).fingerprint == before.fingerprint
    assert plan_roster([MemberRow("alice", section="B")], rows).fingerprint != before.fingerprint
    assert plan_roster([MemberRow("alice"), MemberRow("dan")], rows).fingerprint != before.fingerprint


def test_a_written_roster_runs_nowhere_and_is_read_back() -> None:
    members = [
        MemberRow("teacher", "instructor", name='=HYPERLINK("http://x.example","me")'),
        MemberRow("alice", name="@SUM(1)", email="+x@a.example", section="-1"),
        MemberRow("bob", name="O'Neil, Bob"),
    ]

    text = write_roster(members)
    rows, problems = read_roster(text)

    assert text.startswith("\ufeffusername,name,e-mail,group,role\r\n")
    assert not [cell for line in text.splitlines() for cell in line.split(",") if cell[:1] in "=+-@" and cell]
    assert "\"'=HYPERLINK" in text
    assert problems == []
    assert plan_roster(members, rows).unchanged == tuple(members)
