"""Formgrader's Autograde button: the site grades, and what it says comes back as nbgrader's dictionary."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from ictlab import grading

from grader.archives import pack
from grader.exchange import exchange_router
from grader.models import Job
from grader.people import Person
from grader.settings import ExchangeSettings, Places
from grader.store import Store

PEOPLE = {"teacher": ["formgrade-ict101"], "alice": ["nbgrader-ict101"]}


@pytest.fixture
def site(tmp_path: Path, free_port: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real exchange over HTTP; a job that it starts ends half a second later as `ends` says."""
    places = Places(data=tmp_path)
    store = Store.open(places.store_url, places)
    store.create_course("ict101")
    store.release(
        "ict101", "sums", pack({"sums.ipynb": b"{}"}), title="Sums", environment="base", max_points=2, by="t"
    )
    store.submit("ict101", "sums", "alice", pack({"sums.ipynb": b"{ }"}))
    found = SimpleNamespace(store=store, ends=("done", ""), asked=[])

    def grade(course: str, lab: str, by: str, student: str) -> Job:
        found.asked.append((course, lab, by, student))
        job, _ = store.open_job(course, lab, by, students=[student], regrade=True)

        def end() -> None:
            time.sleep(0.5)
            store.finish_job(job.id, *found.ends)

        threading.Thread(target=end).start()
        return job

    async def person(request: Request) -> Person:
        name = request.headers.get("authorization", "").removeprefix("token ")
        if name not in PEOPLE:
            raise HTTPException(401, "Log in.")
        return Person(name, frozenset(PEOPLE[name]))

    app = FastAPI()
    app.include_router(exchange_router(store, ExchangeSettings(), person, grade))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    monkeypatch.setenv("ICTLABS_EXCHANGE_URL", f"http://127.0.0.1:{port}/api/exchange")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "teacher")
    yield found
    server.should_exit = True
    thread.join()


@pytest.fixture
def api(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """nbgrader's own API object, as Formgrader makes it, with our way of grading."""
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    monkeypatch.setattr(NbGraderAPI, "autograde", NbGraderAPI.autograde)  # put back afterwards
    assert grading.use_the_site()
    (tmp_path / "course").mkdir()
    return NbGraderAPI(CourseDirectory(root=str(tmp_path / "course"), course_id="ict101"))


def test_the_button_starts_a_job_of_the_site_and_waits_for_it(api: Any, site: Any) -> None:
    told = api.autograde("sums", "alice")
    assert told["success"], told
    assert "Job 1 of the site: done" in told["log"]
    assert site.asked == [("ict101", "sums", "teacher", "alice")]


def test_a_job_that_fails_is_an_error_with_its_sentence(api: Any, site: Any) -> None:
    site.ends = ("failed", "No sandbox works here.")
    told = api.autograde("sums", "alice")
    assert not told["success"]
    assert "No sandbox works here." in told["error"]


@pytest.mark.parametrize(
    "asked",
    [
        ("sums", "bob", "teacher", "bob has not handed in sums"),
        ("nope", "alice", "teacher", "nope"),
        ("sums", "alice", "alice", "Only instructors and assistants of ict101"),
    ],
)
def test_what_the_site_refuses_is_said(
    api: Any, site: Any, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str, str, str]
) -> None:
    lab, student, token, sentence = asked
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", token)
    told = api.autograde(lab, student)
    assert not told["success"]
    assert sentence in told["error"]
    assert site.asked == []
