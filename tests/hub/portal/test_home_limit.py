"""Who reads that a home is too full: its owner in every language, the instructors of the course, the operator."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hub.homes import Home, Size, keep

PAGES = ("", "labs/ict101/lab-one")
LIMIT = 2048 * 2**20


def took(school: Any, mb: int, *, stopped: bool = False, whole: bool = True) -> None:
    """Alice's home was measured."""
    school.settings.places.run.mkdir(parents=True, exist_ok=True)
    at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC) if stopped else None
    keep(school.settings, {"alice": Home(Size(mb * 2**20, whole), LIMIT, at)})


def test_a_student_reads_how_full_the_home_is_and_what_to_do(visit: Any, school: Any) -> None:
    alice, bob = visit("alice"), visit("bob")
    told = {}
    for mb in (1600, 1700, 2100):
        took(school, mb)
        told[mb] = [alice.get(page).text for page in PAGES]

    assert not any("Your home" in page for page in told[1600])
    for page in told[1700]:
        assert "Your home is nearly full." in page
        assert ">1.8 GB</data>, and <data" in page
        assert "sort -h" in page
        assert "is stopped" not in page
    for page in told[2100]:
        assert 'class="notice danger lines" role="alert"' in page
        assert "your server is stopped" in page
    assert "Your home" not in bob.get().text


def test_who_was_stopped_reads_why_in_their_own_language(visit: Any, school: Any) -> None:
    took(school, 3000, stopped=True)
    alice = visit("alice")

    english = alice.get().text
    others = [alice.get(headers={"Accept-Language": tag}).text for tag in ("fr", "es", "ar", "zh-Hans")]

    assert "Your server was stopped on <time" in english
    assert "Wed, 4 Mar 2026, 05:06" in english
    assert "Your files are kept." in english
    assert all("sort -h" in page for page in others)
    assert not any("Your home" in page or "Your server was" in page for page in others)


def test_instructors_and_operators_see_whose_home_is_over_the_limit(
    visit: Any, school: Any, tiny_hub: Any
) -> None:
    tiny_hub.running = {"alice": {"base": {"ready": True, "pending": None}}}
    took(school, 1700)
    near = visit("admin").get("administration").text
    took(school, 3000, stopped=True, whole=False)
    over = visit("admin").get("administration").text

    course = visit("teacher").get("courses/ict101").text

    assert "1.8 GB" in near
    assert "over the limit" not in near
    assert "over the limit" in over
    assert "more than <data" in over
    assert "Too much in their homes" in course
    assert "3.1 GB" in course
    assert "Too much in their homes" not in visit("prof").get("courses/net201").text
