"""Progress of a grading job as server-sent events, and its cancel and retry, for those who teach the course."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from grader.models import Report
from hub.portal.progress import changes


class Listener:
    """Stands for the browser's request: connected until it is told otherwise."""

    gone = False

    async def is_disconnected(self) -> bool:
        return self.gone


@pytest.fixture
def job(school: Any) -> Any:
    """A job that runs over the submissions of alice and bob."""
    made, _ = school.store.open_job("ict101", "lab-one", "teacher", regrade=True)
    school.store.start_job(made.id)
    school.store.plan_items(made.id, school.store.newest_submissions("ict101", "lab-one"))
    return made


def finish(school: Any, job: int, name: str) -> None:
    submission = next(s for s in school.store.newest_submissions("ict101", "lab-one") if s.username == name)
    report = Report(
        submission_id=submission.id, job_id=job, state="needs-look", points=1.0, max_points=2.0, exercises=[],
        message="", evidence=["It is equal to <everything>."], release_sha256="0" * 64, notebooks={}, cells={},
        graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip
    school.store.items_finished(job, [(report, "w")])


def test_each_change_is_an_event_and_the_end_is_said(school: Any, job: Any) -> None:
    import asyncio

    def work() -> None:
        time.sleep(0.8)
        finish(school, job.id, "alice")
        time.sleep(0.8)
        finish(school, job.id, "bob")
        school.store.finish_job(job.id, "done")

    async def listen() -> list[str]:
        return [event async for event in changes(school.store, job.id, Listener())]

    worker = threading.Thread(target=work)
    worker.start()
    events = asyncio.run(listen())
    worker.join()
    jobs = [json.loads(e.split("data: ")[1]) for e in events if e.startswith("event: job")]
    assert (jobs[0]["done"], jobs[0]["total"], [i["state"] for i in jobs[0]["items"]]) == (
        0,
        2,
        ["waiting"] * 2,
    )
    assert [i["username"] for i in jobs[1]["items"]] == ["alice"]
    assert events[-1].startswith("event: end")
    assert json.loads(events[-1].split("data: ")[1]) == {"state": "done", "done": 2, "total": 2}


def test_a_browser_that_leaves_ends_the_stream(school: Any, job: Any) -> None:
    import asyncio

    listener = Listener()
    listener.gone = True

    async def listen() -> list[str]:
        return [event async for event in changes(school.store, job.id, listener)]

    assert asyncio.run(listen()) == []


def test_events_come_over_http_and_only_to_the_courses_instructors(visit: Any, school: Any, job: Any) -> None:
    school.store.finish_job(job.id, "done")
    answer = visit("teacher").get(f"courses/ict101/jobs/{job.id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: end" in answer.text
    assert visit("alice").get(f"courses/ict101/jobs/{job.id}/events").status_code == 403
    assert visit("teacher").get("courses/ict101/jobs/999/events").status_code == 404


def test_the_page_listens_can_cancel_and_shows_evidence_as_text(visit: Any, school: Any, job: Any) -> None:
    from grader.pipeline import _alone

    finish(school, job.id, "alice")
    with _alone(school.settings.places, "ict101", "lab-one"):  # its process is somewhere
        page = visit("teacher").get("courses/ict101/labs/lab-one")
    assert f"jobs/{job.id}/events" in page.text
    assert "It is equal to &lt;everything&gt;." in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    answer = visit("teacher").post(f"courses/ict101/jobs/{job.id}/cancel")
    assert answer.status_code == 303
    assert school.store.job(job.id).cancel_requested_at is not None
    assert visit("alice").post(f"courses/ict101/jobs/{job.id}/cancel").status_code == 403


def test_retry_of_a_job_that_left_nothing_is_a_sentence(visit: Any, school: Any, job: Any) -> None:
    for name in ("alice", "bob"):
        finish(school, job.id, name)
    school.store.finish_job(job.id, "done")
    browser = visit("teacher")
    browser.post(f"courses/ict101/jobs/{job.id}/retry")
    assert "left nothing" in browser.get("courses/ict101").text
