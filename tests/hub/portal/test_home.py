"""A student's first page goes on where they stopped and says what is due and new; times stand in their own zone."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from grader.archives import pack
from hub.portal.languages import Languages
from hub.portal.zones import ZONE_COOKIE, zones_by_region

PREFIX = "/services/portal/"
NOTEBOOK = pack({"lab-one.ipynb": b"{}"})


def card(page: str) -> str:
    """The card on top, as words."""
    found = re.search(r'<section class="lab go-on".*?</section>', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


def section(page: str, name: str) -> str:
    """The section whose heading has this id."""
    return page.partition(f'<section aria-labelledby="{name}"')[2].partition("</section>")[0]


def release(school: Any, lab: str, title: str, due_at: datetime | None, environment: str = "base") -> None:
    school.store.release(
        "ict101",
        lab,
        NOTEBOOK,
        title=title,
        environment=environment,
        max_points=5,
        by="teacher",
        due_at=due_at,
    )


def test_who_has_begun_nothing_begins_with_what_is_due_next(visit: Any, school: Any) -> None:
    release(school, "lab-three", "Routing", datetime.now(UTC) + timedelta(days=1))

    page = visit("alice").get().text

    assert card(page).startswith("Your next lab Routing not started due ")
    assert card(page).endswith(" Begin")


def test_a_start_is_what_a_student_goes_on_with_until_it_is_handed_in(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    release(school, "lab-three", "Routing", datetime.now(UTC) + timedelta(days=1))
    alice = visit("alice")
    tiny_hub.servers = {"base": {"ready": True}}
    tiny_hub.events = ['data: {"progress": 100, "ready": true, "message": "Ready"}\n\n']
    alice.post("labs/ict101/lab-two/start")

    running = alice.get().text
    tiny_hub.servers = {}
    alice = visit("alice")
    stopped = alice.get().text
    school.store.submit("ict101", "lab-two", "alice", NOTEBOOK)
    handed_in = alice.get().text

    assert card(running).startswith("Your server runs; you left off here Permissions working")
    assert card(stopped).startswith("You left off here Permissions working")
    assert card(stopped).endswith(" Go on")
    assert 'action="/services/portal/labs/ict101/lab-two/start"' in stopped
    assert card(handed_in).startswith("Your next lab Routing")


def test_who_has_handed_in_everything_has_nothing_to_go_on_with(visit: Any, school: Any) -> None:
    school.store.submit("ict101", "lab-two", "alice", NOTEBOOK)

    page = visit("alice").get().text

    assert card(page) == ""
    assert section(page, "due") == ""


def test_a_lab_that_is_no_longer_offered_is_nothing_to_go_on_with(visit: Any, school: Any) -> None:
    school.store.started("alice", "ict101", "lab-two")
    school.store.withdraw("ict101", "lab-two")

    assert card(visit("alice").get().text) == ""


def test_the_next_three_due_labs_are_listed_with_the_time_left(visit: Any, school: Any) -> None:
    now = datetime.now(UTC)
    for number, hours in enumerate((100, 2.1, 51.1, 30), 3):
        release(school, f"lab-{number}", f"Number {number}", now + timedelta(hours=hours))

    listed = section(visit("alice").get().text, "due")

    assert re.findall(r"<bdi>(.*?)</bdi></a>", listed) == ["Number 4", "Number 6", "Number 5"]
    assert "2 hours 6 minutes left" in listed or "2 hours 5 minutes left" in listed
    assert "2 days 3 hours left" in listed


def test_feedback_is_new_until_its_student_opens_it_or_the_labs_page(visit: Any, school: Any) -> None:
    alice = visit("alice")
    teacher = visit("teacher")

    teacher.get(f"feedback/{school.alices.id}")
    before = section(alice.get().text, "new-feedback")
    alice.get("labs/ict101/lab-one")

    assert f"feedback/{school.alices.id}" in before
    assert "18 / 20" in before
    assert section(alice.get().text, "new-feedback") == ""
    assert school.store.feedback_of(school.alices.id).read_at is not None


def test_a_first_page_with_much_on_it_has_the_headings_in_order(visit: Any, school: Any) -> None:
    school.store.announce("ict101", "Exam", "On Friday.", by="teacher")
    school.store.started("alice", "ict101", "lab-two")

    page = visit("alice").get().text

    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_server_of_another_environment_is_not_where_a_student_left_off(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    school.store.started("alice", "ict101", "lab-two")
    tiny_hub.servers = {"data": {"ready": True}}

    assert card(visit("alice").get().text).startswith("You left off here Permissions")


def test_a_lab_page_has_marks_by_exercise_and_what_to_do(visit: Any, school: Any) -> None:
    release(school, "net-ospf", "OSPF", None, "network")
    alice = visit("alice")

    marked, untouched = (
        alice.get("labs/ict101/lab-one").text,
        alice.get("labs/ict101/net-ospf").text,
    )

    assert re.search(r"<bdi>mask</bdi>.*?8 / 10.*?Expected /26, found /25\.", marked, re.S)
    assert "Let the routers meet" in untouched
    assert "Exercise by exercise" not in untouched
    assert "Expected /26" not in visit("bob").get("labs/ict101/lab-one").text  # graded, and not given back


def test_five_hundred_submissions_are_shown_fifty_at_a_time(visit: Any, school: Any) -> None:
    newest = [school.store.submit("ict101", "lab-one", "alice", NOTEBOOK).id for _ in range(120)][::-1]
    alice = visit("alice")

    first, last, beyond = (alice.get(f"labs/ict101/lab-one?page={page}").text for page in (1, 3, 99))

    def shown(page: str) -> list[str]:
        return re.findall(r"submissions/([0-9a-f]{32})/receipt/verify", page)

    assert shown(first) == newest[:50]
    assert shown(last) == shown(beyond) == [*newest[100:], school.alices.id]
    assert "50 of 121 submissions</span>" in first
    assert 'rel="next" href="/services/portal/labs/ict101/lab-one?page=2#history"' in first


def test_a_receipt_of_the_history_is_verified_by_a_press(visit: Any, school: Any) -> None:
    page = visit("alice").get(f"submissions/{school.alices.id}/receipt/verify").text

    assert "Valid." in page
    assert school.alices.sha256 in page
    assert school.alices.receipt in page
    assert visit("bob").get(f"submissions/{school.alices.id}/receipt/verify").status_code == 404


def test_times_stand_in_the_zone_that_the_browser_said(visit: Any, school: Any) -> None:
    alice = visit("alice")
    alice.client.cookies.set(ZONE_COOKIE, "Asia/Kolkata", "testserver.local", PREFIX)

    page = alice.get(f"submissions/{school.alices.id}/receipt").text

    kolkata = school.alices.received_at + timedelta(hours=5, minutes=30)
    assert f"{kolkata:%H:%M}</time>" in page
    assert "Times are in <bdi>Asia/Kolkata</bdi>." in page


@pytest.mark.parametrize("said", ["", "Mars/Olympus", "../../etc/passwd", "<script>", "UTC" * 2000])
def test_a_zone_that_there_is_not_is_the_sites(visit: Any, school: Any, said: str) -> None:
    alice = visit("alice")
    alice.client.cookies.clear()
    alice.login("alice")
    alice.client.headers["Cookie"] = f"{ZONE_COOKIE}={said}; " + "; ".join(
        f"{each.name}={each.value}" for each in alice.client.cookies.jar
    )

    page = alice.get()

    assert page.status_code == 200
    assert "Times are in <bdi>UTC</bdi>." in page.text


def test_instructors_pages_stay_in_the_sites_zone_and_say_so(visit: Any, school: Any) -> None:
    teacher = visit("teacher")
    teacher.client.cookies.set(ZONE_COOKIE, "Asia/Kolkata", "testserver.local", PREFIX)

    page = teacher.get("courses/ict101/people").text

    assert f"{school.bobs.received_at:%H:%M}</time>" in page
    assert "Times are in <bdi>UTC</bdi>, the time zone of the site." in page


def test_a_zone_is_chosen_without_javascript_and_leads_back(visit: Any, school: Any) -> None:
    alice = visit("alice")
    asked = alice.get("timezone", headers={"Referer": "http://testserver/services/portal/catalogue?q=ospf"})

    chosen = alice.post("timezone", zone="Africa/Nairobi", back="/services/portal/catalogue?q=ospf")
    elsewhere = alice.post("timezone", zone="Africa/Nairobi", back="https://elsewhere.example/")

    assert 'name="back" value="/services/portal/catalogue?q=ospf"' in asked.text
    assert chosen.headers["location"] == "/services/portal/catalogue?q=ospf"
    assert elsewhere.headers["location"] == "/services/portal/"
    assert "Times are in <bdi>Africa/Nairobi</bdi>." in alice.get().text
    assert 'value="Africa/Nairobi" selected' in alice.get("timezone").text
    assert alice.post("timezone", zone="Mars/Olympus").status_code == 400


def test_every_zone_of_the_list_is_one(visit: Any) -> None:
    names = [name for region in zones_by_region().values() for name in region]

    assert len(names) > 400
    assert {"Europe/Berlin", "Africa/Nairobi", "Asia/Shanghai", "UTC"} <= set(names)


def test_only_the_first_page_of_a_browser_asks_it_for_its_zone(visit: Any, school: Any) -> None:
    alice = visit("alice")
    told = alice.get()
    alice.client.cookies.delete(ZONE_COOKIE)
    untold = alice.get()

    assert "<script" not in told.text
    assert re.findall(r"<script[^>]*src=\"([^\"?]+)", untold.text) == ["/services/portal/static/zone.js"]
    policy = untold.headers["content-security-policy"]
    assert policy.endswith("script-src 'self'")
    assert "unsafe" not in policy
    assert "<script" not in visit("teacher").get("courses/ict101").text


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("en", ["2 days", "3 hours"]),
        ("fr", ["2 jours", "3 heures"]),
        ("ar", ["يومان", "3 ساعات"]),
        ("zh-Hans", ["2天", "3小时"]),
    ],
)
def test_the_time_left_is_in_the_readers_words(tag: str, said: list[str]) -> None:
    language = Languages().find(tag)
    assert language

    units = language.span(timedelta(days=2, hours=3, minutes=59))

    assert [unit.replace("\xa0", " ") for unit in units] == said
    assert len(language.span(timedelta(days=12))) == 1
    assert len(language.span(timedelta(0))) == 1
