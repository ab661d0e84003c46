"""What a load balancer asks: one answer for hub, database and jobs, which says what is wrong and nothing of anybody."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def test_anybody_reads_that_all_is_well_and_no_number(visit: Any) -> None:
    answer = visit().get("health")

    assert answer.status_code == 200
    assert answer.json() == {"hub": "ok", "database": "ok", "jobs": "ok"}
    assert answer.headers["cache-control"] == "no-store"


def test_a_database_that_is_gone_is_named_and_so_is_its_return(visit: Any, school: Any) -> None:
    browser = visit()
    file = school.settings.places.data / "ictlabs.sqlite"
    file.rename(file.with_suffix(".away"))

    gone = browser.get("health")
    file.with_suffix(".away").rename(file)
    back = _until(lambda: browser.get("health"), 200)

    assert gone.status_code == 503
    assert gone.json() == {"hub": "ok", "database": "cannot be read", "jobs": "ok"}
    assert str(file) not in gone.text
    assert back.json()["database"] == "ok"


def test_jobs_that_nobody_looks_after_are_no_health(visit: Any, school: Any) -> None:
    (school.settings.places.run / "grading.looked").unlink()

    answer = visit().get("health")

    assert answer.status_code == 503
    assert answer.json()["jobs"] == "nobody looks after them"


def test_who_asks_all_the_time_does_not_make_the_portal_ask_all_the_time(visit: Any, tiny_hub: Any) -> None:
    browser = visit()
    began = time.monotonic()

    for _ in range(50):
        assert browser.get("health").status_code == 200

    assert tiny_hub.versions <= 1 + (time.monotonic() - began)


def _until(ask: Callable[[], Any], status: int) -> Any:
    for _ in range(100):
        answer = ask()
        if answer.status_code == status:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"it stays {answer.status_code}: {answer.text}")
