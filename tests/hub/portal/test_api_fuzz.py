"""The JSON API bears whatever its description allows, and what it does not: never a fault, always a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from grader.archives import pack
from hub.portal.app import create_app
from hub.portal.hubclient import HubClient

BOUNDED = settings(
    max_examples=30,  # for each operation and person
    derandomize=True,  # the same requests in every run: what fails in CI fails at the desk
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no fault of the API
)
RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture
def client(school: Any, tiny_hub: Any) -> Iterator[TestClient]:
    """The portal over a class whose jobs nobody begins."""
    hub = HubClient(f"{tiny_hub.url}/hub/api", client_id="service-portal", client_secret="s")
    app = create_app(school.settings, school.store, hub)
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def operations(client: TestClient) -> list[Any]:
    """What programs may use, as the portal describes it."""
    described = schemathesis.openapi.from_dict(client.app.openapi())  # type: ignore[attr-defined]
    return [found.ok() for found in described.include(path_regex="/api/").get_all_operations()]


def cases(operation: Any, real: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Requests: as described, not as described, and about what there is."""
    known = {each.name: real[each.name] for each in operation.path_parameters}
    about_the_class = operation.as_strategy(RIGHT, path_parameters=known)
    if not known and not len(operation.query):  # there is nothing to get wrong
        return about_the_class
    return st.one_of(about_the_class, operation.as_strategy(RIGHT), operation.as_strategy(WRONG))


@pytest.mark.parametrize("name", ["alice", "teacher"])
def test_no_request_makes_a_fault_and_every_refusal_is_a_sentence(
    client: TestClient, school: Any, name: str
) -> None:
    real = {
        "course": "ict101", "lab": "lab-one", "submission_id": school.alices.id,
        "number": school.store.jobs("ict101")[0].id,
    }  # fmt: skip
    bodies = st.binary(max_size=64) | st.sampled_from(
        [
            pack({"lab-one.ipynb": b"{}"}),
            pack({"a.html": b""}),
            b"",
            b'{"text": "Why?\\ud800\\u0000"}',
            b'{"title": "Masks", "text": "Why?", "lab": "lab-one", "shown_to": "course"}',
        ]
    )
    statuses: Counter[int] = Counter()

    for operation in operations(client):

        @BOUNDED
        @given(case=cases(operation, real), body=bodies)
        def ask(case: Any, body: bytes) -> None:
            sent = case.as_transport_kwargs("http://testserver")
            headers = {k: v for k, v in sent["headers"].items() if k.lower() != "authorization"}
            answer = client.request(
                sent["method"],
                sent["url"],
                params=sent.get("params"),
                headers=headers | {"Authorization": f"token token-{name}"},
                content=body if case.method.upper() == "POST" else None,
            )
            statuses[answer.status_code] += 1
            check(answer)

        ask()

    assert {200, 404, 422} <= set(statuses), statuses  # it came in, found something, and was refused


def check(answer: Any) -> None:
    """A program can go on with this answer, or a person read it."""
    assert answer.status_code < 500, answer.text
    kind = answer.headers["content-type"]
    if answer.is_success:
        assert kind in ("application/json", "application/zip")
    else:
        assert kind == "application/json"
        assert answer.json()["detail"].endswith("."), answer.text
