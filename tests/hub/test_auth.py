"""Who enters: sign-up, approval, password rules, lock-out, in a real hub."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.site import DemoSite
from grader.audit import Asked
from grader.store import Store
from hub.settings import load_settings

Visit = Callable[[DemoSite, str], Any]
GOOD = "a long enough passphrase"


def sign_up(visitor: Any, name: str, password: str = GOOD, again: str | None = None, email: str = "") -> Any:
    visitor.http.get("/hub/signup")
    return visitor.post(
        "/hub/signup",
        username=name,
        signup_password=password,
        signup_password_confirmation=again or password,
        email=email,
    )


def test_nobody_enters_before_approval_and_an_instructor_approves(
    process_site: DemoSite, visit: Visit
) -> None:
    carol, teacher = visit(process_site, "carol"), visit(process_site, "teacher")

    asked = sign_up(carol, "carol", email="carol@academy.example")
    too_early = carol.login(GOOD)
    teacher.login()
    page = teacher.http.get("/hub/authorize")
    approved = teacher.post("/hub/authorize", name="carol", action="approve")
    welcome = carol.login(GOOD)

    assert "An instructor has to approve" in asked.text
    assert "waits for approval" in too_early.text
    assert "carol@academy.example" in page.text
    assert "on no roster" in page.text
    assert approved.status_code == 200
    assert welcome.url.path == "/services/portal/"
    settings = load_settings(process_site.folder / "ictlabs.toml")
    line = Store.open(settings.database_url, settings.places).deeds(Asked(who="teacher"))[0]
    assert (line.what, line.subject) == ("account.approve", "carol")


def test_a_student_approves_nobody(process_site: DemoSite, visit: Visit) -> None:
    dan, bob = visit(process_site, "dan"), visit(process_site, "bob")
    sign_up(dan, "dan")
    bob.login()

    assert bob.http.get("/hub/authorize").status_code == 403
    assert bob.post("/hub/authorize", name="dan", action="approve").status_code == 403
    assert "waits for approval" in dan.login(GOOD).text


def test_an_instructor_takes_no_approval_back(process_site: DemoSite, visit: Visit) -> None:
    teacher = visit(process_site, "teacher")
    teacher.login()

    answer = teacher.post("/hub/authorize", name="bob", action="revoke")

    assert answer.status_code == 403
    assert "bob" in process_site.ict("people", "list").stdout


def test_an_instructor_lets_nobody_in_who_teaches_another_course(
    process_site: DemoSite, visit: Visit
) -> None:
    made = process_site.ict("course", "create", "ict900", "--instructor", "judy")
    judy, teacher = visit(process_site, "judy"), visit(process_site, "teacher")
    sign_up(judy, "judy")
    teacher.login()

    refused = teacher.post("/hub/authorize", name="judy", action="approve")

    assert made.returncode == 0, made.stderr
    assert refused.status_code == 403
    assert "rights that you do not have" in refused.text
    assert "waits for approval" in judy.login(GOOD).text


def test_an_approval_needs_the_anti_forgery_token(process_site: DemoSite, visit: Visit) -> None:
    erin, teacher = visit(process_site, "erin"), visit(process_site, "teacher")
    sign_up(erin, "erin")
    teacher.login()

    answer = teacher.http.post("/hub/authorize", data={"name": "erin", "action": "approve"})

    assert answer.status_code == 403
    assert "waits for approval" in erin.login(GOOD).text


@pytest.mark.parametrize(
    ("name", "password", "again", "sentence"),
    [
        ("frank", "short", None, "10 characters"),
        ("frank", GOOD, "another passphrase", "differ"),
        ("frank", "1234567890", None, "commonest"),
        ("../frank", GOOD, None, "not a user name"),
        ("alice", GOOD, None, "taken"),
    ],
)
def test_a_bad_sign_up_says_what_is_wrong(  # noqa: PLR0917 (the columns of the table above)
    process_site: DemoSite, visit: Visit, name: str, password: str, again: str | None, sentence: str
) -> None:
    answer = sign_up(visit(process_site, name), name, password, again)

    assert answer.status_code == 400
    assert sentence in answer.text


def test_wrong_passwords_lock_an_account_for_a_while(process_site: DemoSite, visit: Visit) -> None:
    process_site.ict("people", "add", "grace")
    password = process_site.ict("people", "password", "grace").stdout.split()[1]
    grace = visit(process_site, "grace")

    for _ in range(5):
        wrong = grace.login("not the password")
    locked = grace.login(password)

    assert "Invalid username or password" in wrong.text
    assert "Too many wrong passwords" in locked.text
    assert locked.url.path == "/hub/login"


def test_guesses_sent_at_once_are_not_more_guesses(process_site: DemoSite, visit: Visit) -> None:
    process_site.ict("people", "add", "mallory")
    password = process_site.ict("people", "password", "mallory").stdout.split()[1]
    visitors = [visit(process_site, "mallory") for _ in range(16)]
    for visitor in visitors:
        visitor.http.get("/hub/login")

    with ThreadPoolExecutor(len(visitors)) as pool:
        guesses = list(pool.map(lambda visitor: visitor.login("not the password"), visitors))

    looked_at = [answer for answer in guesses if "Invalid username or password" in answer.text]
    assert 0 < len(looked_at) <= 5
    assert "Too many wrong passwords" in visit(process_site, "mallory").login(password).text


def test_passwords_are_kept_hashed_only(process_site: DemoSite) -> None:
    secrets = [password.encode() for password in process_site.passwords.values()]

    for file in (process_site.folder / "var").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(secret in content for secret in secrets), file


def test_enrolment_counts_within_seconds_while_the_hub_runs(process_site: DemoSite, visit: Visit) -> None:
    process_site.ict("people", "add", "heidi")
    password = process_site.ict("people", "password", "heidi").stdout.split()[1]
    heidi = visit(process_site, "heidi")
    before = heidi.login(password)
    roster = process_site.folder / "late.csv"
    roster.write_text("heidi,heidi@academy.example,A\n")

    enrolled = process_site.ict("course", "enrol", "ict101", str(roster))
    again = visit(process_site, "heidi")
    after = again.login(password)

    assert enrolled.returncode == 0, enrolled.stderr
    assert "net-subnetting" not in before.text
    assert "net-subnetting" in after.text


def test_change_of_password_needs_the_old_one(process_site: DemoSite, visit: Visit) -> None:
    process_site.ict("people", "add", "ivan")
    password = process_site.ict("people", "password", "ivan").stdout.split()[1]
    ivan = visit(process_site, "ivan")
    ivan.login(password)
    new = {"new_password": GOOD, "new_password_confirmation": GOOD}

    refused = ivan.post("/hub/change-password", old_password="wrong", **new)
    changed = ivan.post("/hub/change-password", old_password=password, **new)

    assert refused.status_code == 400
    assert "Your password is changed" in changed.text
    assert visit(process_site, "ivan").login(GOOD).url.path == "/services/portal/"
