"""The exchange over HTTP: who reaches what, in which bounds, and what is said when something is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from grader.archives import pack
from grader.receipts import verify
from grader.store import MemberRow

LAB = "net-subnetting"
WORK = pack({f"{LAB}.ipynb": b'{"cells": []}'})
PEOPLE = {
    "t-alice": ("alice", ["nbgrader-ict101"]),
    "t-bob": ("bob", ["nbgrader-ict101"]),
    "t-carol": ("carol", ["nbgrader-ict102"]),
    "t-teacher": ("teacher", ["formgrade-ict101"]),
    "t-other": ("other", ["formgrade-ict102"]),
    "t-admin": ("admin", []),
    "t-busy": ("busy", ["nbgrader-ict101"]),
}
LIMITS = {"max_archive_mb": 1, "max_unpacked_mb": 2, "max_files": 10, "max_per_hour": 40}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, exchange_service: ModuleType) -> Iterator[Any]:
    """A running exchange with two courses and the lab released in both."""
    with exchange_service.running(tmp_path_factory.mktemp("site"), PEOPLE, LIMITS) as running:
        for course in ("ict101", "ict102"):
            running.store.create_course(course)
            running.store.enrol(course, [MemberRow("alice")])
            running.store.release(
                course, LAB, WORK, title="T", environment="base", max_points=5, by="teacher"
            )
        yield running


def submit(site: Any, token: str, course: str = "ict101", data: bytes = WORK) -> dict[str, Any]:
    """Hand in; must succeed."""
    response = site.ask(token, "POST", f"/submissions/{course}/{LAB}", data=data)
    assert response.status_code == 201, response.text
    taken: dict[str, Any] = response.json()
    return taken


def said(response: requests.Response, status: int) -> str:
    """The sentence of a refusal; never a trace back, a path of ours or the name of a class."""
    assert response.status_code == status, response.text
    detail = response.json()["detail"]
    assert isinstance(detail, str) and len(detail) > 15 and detail.endswith((".", "!"))
    for leak in ("Traceback", "Error", "/work", "/tmp", "sqlalchemy", ".py"):
        assert leak not in response.text
    return detail


def test_a_submission_is_answered_with_its_receipt(site: Any) -> None:
    """The receipt states who, what and when by the server's clock, and checks with the public key."""
    before = datetime.now(UTC)
    taken = submit(site, "t-alice")

    key = site.ask("", "GET", "/receipt-key").json()["ed25519"]
    stated = verify(taken["receipt"], key)
    assert stated["username"] == taken["username"] == "alice"
    assert stated["sha256"] == taken["sha256"] == hashlib.sha256(WORK).hexdigest()
    assert (stated["id"], stated["course"], stated["lab"]) == (taken["id"], "ict101", LAB)
    assert before <= datetime.fromisoformat(stated["received_at"]) <= datetime.now(UTC)
    archive = site.ask("t-alice", "GET", f"/submissions/ict101/{LAB}/{taken['id']}/archive")
    assert archive.content == WORK
    assert archive.headers["content-disposition"] == "attachment"


def test_identity_and_time_are_not_the_client_s_to_say(site: Any) -> None:
    """Names and times in the query, the headers or the archive change nothing."""
    archive = pack(
        {"timestamp.txt": b"1999-01-01 00:00:00 UTC", "submission_id.txt": b"0" * 32, f"{LAB}.ipynb": b"{}"}
    )
    response = site.ask(
        "t-alice",
        "POST",
        f"/submissions/ict101/{LAB}?username=bob&student=bob&received_at=1999-01-01",
        data=archive,
    )

    row = site.store.submission(response.json()["id"])
    assert (row.username, row.received_at.year >= 2026) == ("alice", True)


def test_lists_show_one_s_own(site: Any) -> None:
    """Students see theirs, instructors their course's, nobody another course's."""
    mine, his = submit(site, "t-alice")["id"], submit(site, "t-bob")["id"]

    def ids(token: str, query: str = "") -> set[str]:
        return {row["id"] for row in site.ask(token, "GET", f"/submissions{query}").json()}

    for query in ("", "?all=1", "?all=1&course=ict101", f"?course=ict101&lab={LAB}", "?username=bob&all=1"):
        assert mine in ids("t-alice", query) and his not in ids("t-alice", query)
    assert {mine, his} <= ids("t-teacher", "?all=1&course=ict101")
    assert ids("t-teacher") == set()
    for token in ("t-other", "t-carol", "t-admin"):
        assert not {mine, his} & ids(token, "?all=1") and not {mine, his} & ids(token, "?all=1&course=ict101")


@pytest.fixture(scope="module")
def bobs(site: Any) -> dict[str, Any]:
    """A submission of bob's with feedback."""
    taken = submit(site, "t-bob", data=pack({f"{LAB}.ipynb": b'{"cells": ["bob\'s secret"]}'}))
    pages = pack({f"{LAB}.html": b"<p>bob's secret"})
    assert (
        site.ask("t-teacher", "POST", f"/feedback/ict101/{LAB}/{taken['id']}", data=pages).status_code == 201
    )
    return taken


@pytest.mark.parametrize("token", ["t-alice", "t-carol", "t-other", "t-admin", "t-nobody", ""])
def test_no_guess_reaches_another_s_submission_or_feedback(
    site: Any, bobs: dict[str, Any], token: str
) -> None:
    """Not with the right id, nor any way of writing the address; and the answer is the same for ids that are not."""
    identity, sha256 = bobs["id"], bobs["sha256"]
    addresses = [
        f"/{kind}/{course}/{lab}/{which}/archive"
        for kind in ("submissions", "feedback")
        for course in ("ict101", "ict102", "ICT101", "ict101%00", "..")
        for lab in (LAB, "other", LAB.upper(), "%2e%2e", f"{LAB}%2f..%2f{LAB}")
        for which in (
            identity,
            identity.upper(),
            sha256,
            "*",
            "%",
            f"{identity}%00",
            f"..%2f{identity}",
            "0" * 32,
        )
    ]
    answers = {}
    with requests.Session() as session:
        session.headers["Authorization"] = f"token {token}"
        for address in addresses:
            response = session.get(site.url + address, timeout=30)
            assert 400 <= response.status_code < 500, (address, response.text)
            assert b"secret" not in response.content and b"PK" not in response.content[:2]
            answers[address] = response

    for kind in ("submissions", "feedback"):
        real, invented = (answers[f"/{kind}/ict101/{LAB}/{which}/archive"] for which in (identity, "0" * 32))
        assert (real.status_code, real.text) == (invented.status_code, invented.text)


def test_feedback_reaches_its_student_once_released(site: Any, bobs: dict[str, Any]) -> None:
    """The owner and the instructor read it; before the release there is none."""
    address = f"/feedback/ict101/{LAB}/{bobs['id']}/archive"
    for token in ("t-bob", "t-teacher"):
        content = site.ask(token, "GET", address).content
        assert zipfile.ZipFile(io.BytesIO(content)).read(f"{LAB}.html") == b"<p>bob's secret"
    fresh = submit(site, "t-bob")
    assert "no feedback" in said(
        site.ask("t-bob", "GET", f"/feedback/ict101/{LAB}/{fresh['id']}/archive"), 404
    )
    listed = {row["id"]: row["feedback"] for row in site.ask("t-bob", "GET", "/submissions").json()}
    assert listed[fresh["id"]] is None
    assert listed[bobs["id"]]["pages"] == {f"{LAB}.html": hashlib.sha256(b"<p>bob's secret").hexdigest()}


@pytest.mark.parametrize("token", ["t-alice", "t-carol", "t-other", "t-admin"])
def test_only_the_course_s_instructors_release(site: Any, bobs: dict[str, Any], token: str) -> None:
    """Labs and feedback; nothing is changed by a refused try."""
    before = site.store.find_release("ict101", LAB).sha256
    for method, address in (
        ("POST", f"/releases/ict101/{LAB}?force=1"),
        ("DELETE", f"/releases/ict101/{LAB}"),
        ("POST", f"/feedback/ict101/{LAB}/{bobs['id']}"),
    ):
        said(site.ask(token, method, address, data=pack({"x.ipynb": b"{}"})), 403)
    assert site.store.find_release("ict101", LAB).sha256 == before
    assert site.store.find_release("ict101", LAB).withdrawn_at is None


def test_an_instructor_of_one_course_is_nobody_in_another(site: Any) -> None:
    """ict102's instructor cannot give feedback to a submission of ict101 by naming it under ict102."""
    taken = submit(site, "t-alice")
    pages = pack({f"{LAB}.html": b"<p>"})

    said(site.ask("t-other", "POST", f"/feedback/ict102/{LAB}/{taken['id']}", data=pages), 404)
    assert site.store.feedback_of(taken["id"]) is None


def test_strangers_are_turned_away(site: Any) -> None:
    """No token, a wrong one; a course one is not in, whether it exists or not."""
    assert said(requests.get(site.url + "/releases", timeout=30), 401)
    said(site.ask("wrong", "POST", f"/submissions/ict101/{LAB}", data=WORK), 401)
    for course in ("ict101", "ict999"):
        sentence = said(site.ask("t-carol", "POST", f"/submissions/{course}/{LAB}", data=WORK), 403)
        assert sentence == f"You are not in course {course}. Ask its instructor to enrol you."
        said(site.ask("t-carol", "GET", f"/releases/{course}/{LAB}/archive"), 403)
        said(site.ask("t-carol", "GET", f"/releases?course={course}"), 403)


def test_instructors_release_and_withdraw_their_own(site: Any) -> None:
    """A lab of an instructor's own, its points read from the notebook; then taken back."""
    cell = {"metadata": {"nbgrader": {"grade": True, "points": 2.5}}}
    archive = pack({"p1.ipynb": json.dumps({"cells": [cell, cell, {"metadata": {}}]}).encode()})
    address = "/releases/ict101/Problem%201"

    shown = site.ask("t-teacher", "POST", address, data=archive).json()
    assert (shown["lab"], shown["max_points"], shown["notebooks"]) == ("Problem 1", 5.0, ["p1"])
    assert "--force" in said(site.ask("t-teacher", "POST", address, data=archive), 409)
    assert site.ask("t-teacher", "POST", address + "?force=1", data=archive).status_code == 201
    assert site.ask("t-alice", "GET", address + "/archive").content == archive
    offered = [row["lab"] for row in site.ask("t-alice", "GET", "/releases?course=ict101").json()]
    assert offered == ["Problem 1", LAB]

    assert site.ask("t-teacher", "DELETE", address).status_code == 200
    said(site.ask("t-alice", "GET", address + "/archive"), 409)
    said(site.ask("t-alice", "POST", "/submissions/ict101/Problem%201", data=WORK), 409)
    assert [row["lab"] for row in site.ask("t-alice", "GET", "/releases").json()] == [LAB]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"not a zip at all, however long it may be", 422),
        (bytes(1_000_001), 413),
        (pack({f"f{n}": b"" for n in range(11)}), 413),
        (pack({"zeros": bytes(2_500_000)}), 413),
        (pack({"x": b"1"})[:-5], 422),
    ],
)
def test_bad_archives_are_refused_and_leave_nothing(site: Any, data: bytes, status: int) -> None:
    """With a sentence; no row, no bytes, no temporary file."""
    rows, blobs = len(site.store.submissions("ict101")), set(site.store.blobs.folder.rglob("*"))

    said(site.ask("t-alice", "POST", f"/submissions/ict101/{LAB}", data=data), status)

    assert len(site.store.submissions("ict101")) == rows
    assert set(site.store.blobs.folder.rglob("*")) == blobs


def test_a_body_without_a_length_is_bounded_too(site: Any) -> None:
    """Chunks are counted as they come."""

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(100_000)

    try:
        response = site.ask("t-alice", "POST", f"/submissions/ict101/{LAB}", data=endless())
    except requests.ConnectionError:
        pass  # it may hang up while we still send
    else:
        said(response, 413)
    assert list((site.store.blobs.folder / "incoming").iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(site: Any) -> None:
    """The client goes away in the middle."""
    rows = len(site.store.submissions("ict101"))
    host, port = site.url.removeprefix("http://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /api/exchange/submissions/ict101/{LAB} HTTP/1.1\r\nHost: x\r\nAuthorization: token t-alice\r\n"
            "Content-Length: 1000\r\n\r\nPK".encode()
        )
    submit(site, "t-bob")  # the service lives on

    assert len(site.store.submissions("ict101")) == rows + 1
    assert "Traceback" not in site.log.read_text()


@pytest.mark.parametrize(
    "address",
    [
        "/submissions/ICT%20101/x",
        "/submissions/ict101/..%2f..%2fetc",
        "/submissions/ict101/a%00b",
        "/submissions/ict101/%F0%9F%92%A9",
        "/submissions/ict101/" + "a" * 65,
    ],
)
def test_bad_names_are_refused_with_a_sentence(site: Any, address: str) -> None:
    """Never a 5xx."""
    response = site.ask("t-alice", "POST", address, data=WORK)
    assert 400 <= response.status_code < 500
    assert isinstance(response.json()["detail"], str)


def test_queries_of_any_kind_are_answered(site: Any) -> None:
    """Strange parameters are a 4xx or an empty list."""
    for query in (
        "?course=%00",
        "?course=..",
        "?lab=%27%20OR%201=1",
        "?course=a&course=b",
        "?all=yes",
        "?course=&lab=",
    ):
        response = site.ask("t-alice", "GET", f"/submissions{query}")
        assert response.status_code < 500, (query, response.text)


def test_handing_in_too_often_is_held_back(site: Any) -> None:
    """The limit is for one student and one lab; what was handed in is kept."""
    for _ in range(LIMITS["max_per_hour"]):
        submit(site, "t-busy")

    assert "within the last hour" in said(
        site.ask("t-busy", "POST", f"/submissions/ict101/{LAB}", data=WORK), 429
    )
    assert len(site.store.submissions_of("busy")) == LIMITS["max_per_hour"]
    submit(site, "t-bob")


def test_a_fault_of_ours_is_one_sentence(site: Any) -> None:
    """Bytes that vanished from the disk: a 500 without a trace back; the log has it."""
    taken = submit(site, "t-alice", data=pack({"lost.ipynb": b"x"}))
    Path(site.store.blob(taken["sha256"])).unlink()

    response = site.ask("t-alice", "GET", f"/submissions/ict101/{LAB}/{taken['id']}/archive")

    assert response.status_code == 500
    assert response.json() == {
        "detail": "The exchange has a fault of its own; nothing was taken. Try again, then tell the operator."
    }
    assert "FileNotFoundError" in site.log.read_text()
    # put it back: the other tests list alice's submissions
    site.store.put_blob(pack({"lost.ipynb": b"x"}))
