"""An instructor keeps the people of a course: what is shown is what is applied, and the course keeps an instructor."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from grader.roster import MAX_ROSTER_BYTES, MemberRow
from hub.portal.headers import PAGE_POLICY

PEOPLE = "courses/ict101/people"
ROSTER = "courses/ict101/roster"


def roles(school: Any) -> dict[str, str]:
    """Who is in ict101 as what."""
    return {each.username: each.role for each in school.store.members("ict101")}


def upload(browser: Any, path: str, file: bytes | None = None, csrf: str | None = None, **fields: str) -> Any:
    """Send a form with a file, as a browser does."""
    parts = {name: (None, value) for name, value in fields.items()}
    parts["csrf"] = (None, browser.csrf() if csrf is None else csrf)
    files: dict[str, Any] = parts | {"file": ("roster.csv" if file else "", file or b"", "text/csv")}
    return browser.client.post(f"/services/portal/{path}", files=files, follow_redirects=False)


def hidden(page: Any) -> dict[str, str]:
    """What a preview carries to the button *Apply*."""
    found = re.findall(r'name="(shown|roster)" value="([^"]*)"', page.text)
    return {name: html.unescape(value) for name, value in found}


def test_the_list_has_everybody_with_role_and_last_submission(visit: Any, school: Any) -> None:
    page = visit("teacher").get(PEOPLE)

    assert "2 students, 1 instructor." in page.text
    assert re.search(r"students/alice.*?alice@example.org.*?<time", page.text, re.S)
    assert 'href="/services/portal/courses/ict101/people"' in visit("teacher").get("courses/ict101").text


def test_assistants_are_counted_as_what_they_are(visit: Any, school: Any) -> None:
    school.store.add_member("ict101", MemberRow("carol", "assistant"))

    page = visit("teacher").get("courses/ict101/people")

    assert "2 students, 1 assistant, 1 instructor." in page.text


def test_a_long_list_comes_in_pages_and_can_be_searched(visit: Any, school: Any) -> None:
    school.store.enrol("ict101", [MemberRow(f"s{number:03}", section="Z9") for number in range(230)])
    browser = visit("teacher")

    first, last = browser.get(PEOPLE), browser.get(f"{PEOPLE}?page=3")
    found = browser.get(f"{PEOPLE}?q=S07")
    nobody = browser.get(f"{PEOPLE}?q=%3Cscript%3Ealert(7)")

    assert len(re.findall("people/s[0-9]{3}", first.text)) < 100
    assert "Page 3 of 3" in last.text
    assert "s229" in last.text
    assert "10 found" in found.text
    assert "Nobody here" in nobody.text
    assert "<script" not in nobody.text
    assert len(first.content) < 60_000


def test_a_person_is_added_changed_and_removed_and_what_they_handed_in_stays(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    added = browser.post(PEOPLE, username=" carol ", name="Carol", email="", section="B", role="instructor")
    changed = browser.post(f"{PEOPLE}/carol", name="", email="c@x.example", section="", role="student")
    asked = browser.get(f"{PEOPLE}/alice/remove")
    removed = browser.post(f"{PEOPLE}/alice/remove")

    assert {added.status_code, changed.status_code, removed.status_code} == {303}
    assert "1 submission with receipts" in asked.text
    assert roles(school) == {"bob": "student", "carol": "student", "teacher": "instructor"}
    carol = next(each for each in school.store.members("ict101") if each.username == "carol")
    assert (carol.name, carol.email, carol.section) == ("", "c@x.example", "")
    assert "What was handed in is kept." in browser.get(PEOPLE).text
    assert len(school.store.submissions_of("alice", "ict101")) == 1
    assert visit("alice").get(f"submissions/{school.alices.id}/receipt").status_code == 200


def test_an_assistant_gets_the_group_of_assistants_and_no_other(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    browser.post(f"{PEOPLE}/bob", name="Bob", email="", section="", role="assistant")

    assert school.store.groups_of("bob") == {"assist-ict101"}
    assert "1 student, 1 assistant, 1 instructor" in browser.get(PEOPLE).text


def test_an_assistant_sees_the_class_and_no_button_that_is_not_theirs(visit: Any, school: Any) -> None:
    tutor = visit("tutor")

    page = tutor.get("courses/ict101").text
    refused = tutor.post("courses/ict101/labs/lab-one/feedback")

    assert ">Grade<" in page
    assert not [each for each in ("Release feedback", "Formgrader", "/people", "authorize") if each in page]
    assert refused.status_code == 403
    assert ">ict101<" in tutor.get().text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"username": "Not A Name"}, "not a user name"),
        ({"username": "alice"}, "in this course already"),
        ({"username": "carol", "email": "<script>alert(1)</script>"}, "not an e-mail address"),
        ({"username": "carol", "role": "god"}, "not a role"),
        ({"username": "carol", "name": "x" * 201}, "201 characters"),
    ],
)
def test_a_person_who_cannot_be_added_is_said_with_what_was_typed(
    visit: Any, school: Any, fields: dict[str, str], said: str
) -> None:
    before = roles(school)

    page = visit("teacher").post(PEOPLE, **fields)

    assert page.status_code == 422
    assert said in page.text
    assert "Nothing was changed." in page.text
    assert "<script>alert(1)" not in page.text
    assert roles(school) == before


def test_the_last_instructor_stays(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    removed = browser.post(f"{PEOPLE}/teacher/remove")
    demoted = browser.post(f"{PEOPLE}/teacher", role="student")
    roster = upload(browser, ROSTER, roster="username,role\nteacher,student\n")
    applied = upload(browser, f"{ROSTER}/apply", **hidden(roster))

    assert (removed.status_code, demoted.status_code, applied.status_code) == (409, 422, 422)
    assert "without an instructor" in removed.text
    assert "without an instructor" in demoted.text
    assert "without an instructor" in applied.text
    assert roles(school)["teacher"] == "instructor"


def test_what_a_roster_changes_is_shown_first_and_then_applied_exactly(visit: Any, school: Any) -> None:
    browser = visit("teacher")
    file = "\ufeffusername;name;e-mail;group\r\nbob;Bob <b>;bob@x.example;A\r\ncarol;;;B\r\nalice;;;\r\n".encode()

    preview = upload(browser, ROSTER, file)
    before = roles(school)
    applied = upload(browser, f"{ROSTER}/apply", **hidden(preview))

    assert preview.status_code == 200
    assert "1 added, 1 changed, 1 as they are, 1 in the course but not in the roster" in preview.text
    assert re.search(r"<ins>Bob &lt;b&gt;</ins>", preview.text)
    assert "carol" not in before
    assert applied.status_code == 303
    members = {each.username: each for each in school.store.members("ict101")}
    assert (members["bob"].name, members["bob"].email, members["bob"].section) == (
        "Bob <b>",
        "bob@x.example",
        "A",
    )
    assert members["carol"].section == "B"
    assert members["alice"].email == "alice@example.org"
    assert "teacher" in members


def test_a_course_that_changed_meanwhile_is_shown_again(visit: Any, school: Any) -> None:
    browser = visit("teacher")
    preview = upload(browser, ROSTER, roster="carol,,A\n")
    school.store.enrol("ict101", [MemberRow("carol", section="Q")])

    again = upload(browser, f"{ROSTER}/apply", **hidden(preview))
    section = {each.username: each.section for each in school.store.members("ict101")}["carol"]
    applied = upload(browser, f"{ROSTER}/apply", **hidden(again))

    assert again.status_code == 409
    assert "The course changed since this was shown." in again.text
    assert "<del>Q</del>" in again.text
    assert section == "Q"
    assert applied.status_code == 303


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("carol,,A\nBad Name,,\ndan,<script>alert(1)</script>,\n", ["line 2:", "line 3:"]),
        ("", ["no row"]),
        ("username,<img src=x onerror=alert(2)>\n", ["not a column"]),
        ("\n".join(f"Bad{n}" for n in range(80)), ["line 50:", "and 30 more"]),
    ],
)
def test_a_bad_roster_is_said_by_line_and_changes_nothing(
    visit: Any, school: Any, text: str, said: list[str]
) -> None:
    browser, before = visit("teacher"), roles(school)

    shown = upload(browser, ROSTER, roster=text)
    applied = upload(browser, f"{ROSTER}/apply", roster=text, shown="")

    for page in (shown, applied):
        assert page.status_code == 422
        assert all(html.escape(word) in page.text for word in said)
        assert "<script>alert(1)" not in page.text
        assert "<img src=x" not in page.text
    assert roles(school) == before


def test_a_file_that_is_too_large_or_not_text_is_refused(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    large = upload(browser, ROSTER, b"x" * (MAX_ROSTER_BYTES + 20_000))
    latin = upload(browser, ROSTER, "zoë,,".encode("latin-1"))
    plain = browser.post(ROSTER, roster="carol,,A\n")
    broken = browser.client.post(
        f"/services/portal/{ROSTER}",
        content=b"--x\r\nnonsense",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )

    assert large.status_code == 413
    assert latin.status_code == 422
    assert "Save it as CSV UTF-8" in latin.text
    assert plain.status_code == 415
    assert broken.status_code in (400, 403)


def test_the_roster_can_be_downloaded_and_runs_in_no_spreadsheet(visit: Any, school: Any) -> None:
    school.store.enrol("ict101", [MemberRow("bob", name="=1+1")])
    browser = visit("teacher")

    answer = browser.get(f"{ROSTER}.csv")
    back = upload(browser, ROSTER, answer.content)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert "bob,'=1+1,,,student" in answer.text
    assert "The course has all of this already." in back.text


@pytest.mark.parametrize("name", ["alice", "prof", "nobody"])
def test_nobody_else_changes_the_people(visit: Any, school: Any, name: str) -> None:
    browser, before = visit(name), roles(school)

    answers = [
        browser.post(PEOPLE, username="carol"),
        browser.post(f"{PEOPLE}/bob", role="instructor"),
        browser.post(f"{PEOPLE}/bob/remove"),
        upload(browser, ROSTER, roster="carol,,"),
        upload(browser, f"{ROSTER}/apply", roster="carol,,", shown="x"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert roles(school) == before


def test_a_form_that_is_not_of_this_session_changes_nothing(visit: Any, school: Any) -> None:
    browser, before = visit("teacher"), roles(school)

    answers = [
        browser.post(PEOPLE, csrf="x", username="carol"),
        browser.post(f"{PEOPLE}/bob/remove", csrf=""),
        browser.post(f"{PEOPLE}/bob/remove", headers={"sec-fetch-site": "cross-site"}),
        upload(browser, f"{ROSTER}/apply", csrf="x", roster="carol,,", shown="x"),
        upload(browser, ROSTER, csrf="ü", roster="carol,,"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert roles(school) == before


def test_a_person_who_is_not_there_has_no_page(visit: Any, school: Any) -> None:
    browser = visit("teacher")

    assert browser.get(f"{PEOPLE}/prof").status_code == 404
    assert browser.get(f"{PEOPLE}/%00").status_code == 404
    assert browser.post(f"{PEOPLE}/prof/remove").status_code == 404


def test_previews_have_no_script_and_no_inline_style(visit: Any, school: Any) -> None:
    page = upload(visit("teacher"), ROSTER, roster="username,name,role\nbob,<script>alert(1)</script>,\n")

    assert page.headers["content-security-policy"] == PAGE_POLICY
    assert "<script" not in page.text
    assert "style=" not in page.text
