"""Jobs in the record: one open job a lab, states of each submission, cancel, retry, and what a killed job leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from grader.archives import pack
from grader.database import NotThere, RecordError
from grader.models import Report, Submission
from grader.store import Store

LAB = "net-subnetting"


@pytest.fixture
def handed_in(store: Store) -> dict[str, Submission]:
    """A released lab and a submission of alice and of bob."""
    kept: dict[str, Any] = {"title": "Subnets", "environment": "base", "max_points": 5, "by": "teacher"}
    store.release("ict101", LAB, pack({"a.ipynb": b"{}"}), **kept)
    return {
        name: store.submit("ict101", LAB, name, pack({"a.ipynb": name.encode()})) for name in ("alice", "bob")
    }


def report_of(submission: Submission, job: int, state: str = "graded") -> Report:
    return Report(
        submission_id=submission.id, job_id=job, state=state, points=None if state == "failed" else 4.0,
        max_points=5.0, exercises=[], message="", evidence=[], release_sha256="0" * 64, notebooks={}, cells={},
        graded_at=datetime.now(UTC), in_gradebook_at=None,
    )  # fmt: skip


def states(store: Store, job: int) -> dict[str, str]:
    return {item.username: item.state for item in store.items(job)}


def test_everybody_who_asks_at_once_gets_the_same_job(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda n: store.open_job("ict101", LAB, f"teacher{n}"), range(16)))
    assert len({job.id for job, _ in asked}) == 1
    assert sum(new for _, new in asked) == 1


def test_a_job_for_some_widens_when_more_is_asked_for(store: Store) -> None:
    job, _ = store.open_job("ict101", LAB, "teacher", students=["alice"])
    assert store.open_job("ict101", LAB, "teacher", students=["bob"])[0].students == ["alice", "bob"]
    assert store.open_job("ict101", LAB, "other", regrade=True)[0].students is None
    widened = store.job(job.id)
    assert (widened.students, widened.regrade, widened.requested_by) == (None, True, "teacher")


def test_a_job_that_is_asked_for_again_before_its_end_stays_open(store: Store) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0]
    store.start_job(job.id)
    store.open_job("ict101", LAB, "other")

    early = store.finish_job(job.id, "done", asked=job.asked)
    late = store.finish_job(job.id, "done", asked=early.asked)

    assert (early.state, late.state) == ("running", "done")


def test_submissions_go_from_waiting_to_their_end(store: Store, handed_in: dict[str, Submission]) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    store.start_job(job)
    store.plan_items(job, list(handed_in.values()))
    assert (store.job(job).total, store.job(job).done) == (2, 0)
    store.items_started(job, [handed_in["alice"].id])
    assert states(store, job) == {"alice": "running", "bob": "waiting"}
    store.items_finished(job, [(report_of(handed_in["alice"], job, "needs-look"), "host:7")])
    assert states(store, job) == {"alice": "needs-look", "bob": "waiting"}
    alice = store.items(job)[0]
    assert (alice.worker, alice.attempts, alice.finished_at is not None) == ("host:7", 1, True)
    assert (store.job(job).total, store.job(job).done) == (2, 1)
    assert store.report(handed_in["alice"].id) is not None


def test_a_newer_submission_takes_the_place_of_one_that_waits(
    store: Store, handed_in: dict[str, Submission]
) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    store.plan_items(job, list(handed_in.values()))
    newer = store.submit("ict101", LAB, "alice", pack({"a.ipynb": b"better"}))
    store.plan_items(job, store.newest_submissions("ict101", LAB))
    assert [(i.username, i.state) for i in store.items(job)] == [
        ("alice", "superseded"), ("alice", "waiting"), ("bob", "waiting"),
    ]  # fmt: skip
    assert store.items(job)[1].submission_id == newer.id
    assert store.job(job).total == 2


def test_what_a_killed_process_had_begun_waits_again(store: Store, handed_in: dict[str, Submission]) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    store.start_job(job)
    store.plan_items(job, list(handed_in.values()))
    store.items_started(job, [handed_in["alice"].id])
    began = store.job(job).started_at
    again = store.start_job(job)
    assert states(store, job) == {"alice": "waiting", "bob": "waiting"}
    assert (again.starts, again.started_at) == (2, began)


def test_a_cancelled_job_keeps_what_is_graded_and_can_be_retried(
    store: Store, handed_in: dict[str, Submission]
) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    store.start_job(job)
    store.plan_items(job, list(handed_in.values()))
    store.items_finished(job, [(report_of(handed_in["alice"], job), "w")])
    assert store.cancel_job(job).cancel_requested_at is not None
    with pytest.raises(RecordError, match="is being cancelled"):
        store.open_job("ict101", LAB, "teacher")
    store.finish_job(job, "cancelled")
    assert states(store, job) == {"alice": "graded", "bob": "cancelled"}
    assert store.retry_job(job, "teacher").students == ["bob"]
    with pytest.raises(RecordError, match="nothing to cancel"):
        store.cancel_job(job)


def test_retry_takes_only_what_failed(store: Store, handed_in: dict[str, Submission]) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    store.start_job(job)
    store.plan_items(job, list(handed_in.values()))
    with pytest.raises(RecordError, match="Cancel it first"):
        store.retry_job(job, "teacher")
    store.items_finished(
        job, [(report_of(handed_in["alice"], job), "w"), (report_of(handed_in["bob"], job, "failed"), "w")]
    )
    store.finish_job(job, "failed", "bob")
    again = store.retry_job(job, "other")
    assert (again.students, again.requested_by) == (["bob"], "other")
    store.finish_job(again.id, "done")
    with pytest.raises(RecordError, match="left nothing"):
        store.retry_job(again.id, "teacher")


def test_a_job_that_waits_is_cancelled_at_once_and_none_is_a_sentence(store: Store) -> None:
    job = store.open_job("ict101", LAB, "teacher")[0].id
    assert store.cancel_job(job).state == "cancelled"
    with pytest.raises(RecordError, match="is cancelled"):
        store.start_job(job)
    with pytest.raises(NotThere, match="ict jobs list"):
        store.job(99)
