"""What monitoring reads: numbers of the portal and the record, an id in each answer, and one line of the log for each."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.portal.metrics import REQUEST_ID, JsonLines
from hub.site import METRICS_TOKEN, secret

PREFIX = "/services/portal"


def numbers(school: Any, browser: Any) -> dict[tuple[str, str], float]:
    """(name, labels) -> value, as Prometheus reads them."""
    token = secret(school.settings, METRICS_TOKEN)
    answer = browser.get("metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_record_the_queue_and_the_disk_are_counted(visit: Any, school: Any) -> None:
    browser = visit()
    before = numbers(school, browser)["ictlabs_submissions", ""]
    school.store.submit("ict101", "lab-one", "alice", b"")

    found = numbers(school, browser)

    assert found["ictlabs_submissions", ""] == before + 1
    assert (found["ictlabs_jobs", "waiting"], found["ictlabs_jobs", "done"]) == (0, 1)
    assert found["ictlabs_starts", "waiting"] == 0
    assert 0 < found["ictlabs_disk_bytes", "free"] < found["ictlabs_disk_bytes", "total"]


def test_requests_are_measured_by_route_and_not_by_address(visit: Any, school: Any) -> None:
    alice = visit("alice")
    alice.get("labs/ict101/no-such-lab")
    alice.get("no-such-page")
    alice.client.request("MADE-UP", f"{PREFIX}/health")

    found = numbers(school, alice)

    assert found["ictlabs_request_seconds_count", "GET /labs/{course}/{lab} 404"] == 1
    assert found["ictlabs_request_seconds_count", "GET none 404"] == 1
    assert not any("no-such" in labels or "MADE-UP" in labels for _, labels in found)


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer ", "token x"])
def test_without_the_sites_token_there_are_none(visit: Any, header: str) -> None:
    answer = visit("admin").get("metrics", headers={"Authorization": header})

    assert answer.status_code == 403
    assert "ictlabs_" not in answer.text


def test_a_request_has_the_id_that_the_proxy_gave_it_or_a_new_one(visit: Any) -> None:
    browser = visit()

    def of(**headers: str) -> str:
        return str(browser.get("health", headers=headers).headers["x-request-id"])

    assert of(**{"X-Request-ID": "from-the-proxy-1"}) == "from-the-proxy-1"
    assert re.fullmatch("[0-9a-f]{16}", of())
    assert re.fullmatch("[0-9a-f]{16}", of(**{"X-Request-ID": "bad id and more"}))


def test_a_fault_is_counted_and_its_answer_has_the_id_too(
    visit: Any, school: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = visit("alice")
    monkeypatch.setattr(school.store, "submission", None)

    answer = alice.get(
        f"submissions/{school.alices.id}/receipt", headers={"X-Request-ID": "the-fault-of-alice"}
    )

    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "the-fault-of-alice")
    monkeypatch.undo()
    found = numbers(school, alice)
    assert found["ictlabs_request_seconds_count", "GET /submissions/{submission_id}/receipt 500"] == 1


def test_a_line_of_the_log_is_json_with_the_request_and_no_name(
    visit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alice = visit("alice")
    with caplog.at_level(logging.INFO, "ictlabs.requests"):
        alice.get("courses/ict101/students/alice")
    record = next(each for each in caplog.records if each.name == "ictlabs.requests")
    REQUEST_ID.set("0123456789abcdef")

    line = json.loads(JsonLines().format(record))

    assert (line["level"], line["request"]) == ("INFO", "0123456789abcdef")
    assert re.fullmatch(r"GET /courses/\{course\}/students/\{username\} 403 \d+ ms", line["message"])
    assert "alice" not in json.dumps(line)


def test_the_dashboard_asks_only_for_what_there_is(visit: Any, school: Any, root: Path) -> None:
    browser = visit()
    browser.get("health")
    there = {name for name, _ in numbers(school, browser)}

    board = json.loads((root / "deploy" / "grafana-dashboard.json").read_text())
    asked = set(
        re.findall(r"ictlabs_\w+", " ".join(t["expr"] for p in board["panels"] for t in p["targets"]))
    )

    assert asked <= there | {"ictlabs_reports"}  # which has no state before the first one is graded
