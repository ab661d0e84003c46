"""Talks to the exchange service: address and token come from the server's environment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests

from ictlab.exchange.files import with_file
from ictlab.variant import SEED_FILE

# Formgrader builds a new nbgrader API, and with it a list, on every request of every page.
_FRESH_S = 3.0
_CONNECT_S = 5.0
_READ_S = 120.0
_MAX_ARCHIVE_BYTES = 200_000_000  # the service's own limits are far below; this is for a wrong address

_answers: dict[tuple[str, str, str], tuple[float, Any]] = {}
_answers_lock = threading.Lock()


class ServiceError(Exception):
    """The exchange refused or could not be reached; the message says what to do."""

    def __init__(self, message: str, status: int = 0) -> None:
        """`status`: the HTTP status, 0 when there was no answer."""
        super().__init__(message)
        self.status = status


class Service:
    """The exchange service as one person sees it."""

    def __init__(self, url: str, token: str) -> None:
        """`url`: where the exchange answers, without a slash at the end. `token`: the hub's, of this server."""
        self.url = url.rstrip("/")
        self._token = token

    @classmethod
    def from_environment(cls) -> Service:
        """The service this server was started for."""
        url, token = os.environ.get("ICTLABS_EXCHANGE_URL"), os.environ.get("JUPYTERHUB_API_TOKEN")
        if not url or not token:
            raise ServiceError(
                "There is no exchange here: ICTLABS_EXCHANGE_URL and JUPYTERHUB_API_TOKEN are not set. "
                "Start your server from the portal."
            )
        return cls(url, token)

    def releases(self, course: str = "") -> list[dict[str, Any]]:
        """Labs offered in `course`, or in all the person's courses."""
        return list(self._json("/releases", {"course": course}))

    def release_archive(self, course: str, lab: str) -> bytes:
        """The files of a lab, zipped, with the seed of the person's own values among them."""
        archive, headers = self._download(f"/releases/{quote(course)}/{quote(lab)}/archive")
        seed = headers.get("ICTLabs-Variant", "")
        return with_file(archive, SEED_FILE, seed) if seed else archive

    def release(self, course: str, lab: str, archive: bytes, *, force: bool) -> dict[str, Any]:
        """Offer a lab."""
        return self._send(
            f"/releases/{quote(course)}/{quote(lab)}", archive, {"force": "1" if force else "0"}
        )

    def withdraw(self, course: str, lab: str) -> None:
        """Take a lab back."""
        self._request("DELETE", f"/releases/{quote(course)}/{quote(lab)}")
        forget()

    def submissions(
        self, course: str = "", lab: str = "", *, everybody: bool = False
    ) -> list[dict[str, Any]]:
        """The person's submissions; with `everybody` also those of the courses the person teaches."""
        return list(
            self._json("/submissions", {"course": course, "lab": lab, "all": "1" if everybody else ""})
        )

    def submit(self, course: str, lab: str, archive: bytes) -> dict[str, Any]:
        """Hand in; the answer has the receipt."""
        return self._send(f"/submissions/{quote(course)}/{quote(lab)}", archive)

    def submission_archive(self, row: Mapping[str, Any]) -> bytes:
        """The files of a submission, zipped."""
        return self._archive(
            f"/submissions/{quote(row['course'])}/{quote(row['lab'])}/{quote(row['id'])}/archive"
        )

    def feedback_archive(self, row: Mapping[str, Any]) -> bytes:
        """Feedback on a submission: <notebook>.html, zipped."""
        return self._archive(
            f"/feedback/{quote(row['course'])}/{quote(row['lab'])}/{quote(row['id'])}/archive"
        )

    def release_feedback(self, course: str, lab: str, submission_id: str, archive: bytes) -> dict[str, Any]:
        """Let a student read feedback."""
        return self._send(f"/feedback/{quote(course)}/{quote(lab)}/{quote(submission_id)}", archive)

    def grade(self, course: str, lab: str, student: str) -> dict[str, Any]:
        """Have the site grade what a student handed in: the job that does it."""
        path = f"/grading/{quote(course)}/{quote(lab)}"
        return dict(_decoded(self._request("POST", path, params={"student": student})))

    def job(self, course: str, lab: str, number: int) -> dict[str, Any]:
        """How far a job is."""
        return dict(_decoded(self._request("GET", f"/grading/{quote(course)}/{quote(lab)}/{number}")))

    def tell(self, course: str, lab: str, events: list[dict[str, Any]], *, within_s: float) -> None:
        """Say what ran in a lab: see ictlab.events."""
        body = {"course": course, "lab": lab, "events": events}
        self._request("POST", "/events", json=body, within_s=within_s)

    def hand(self, course: str, lab: str, about: str | None) -> str:
        """Raise the person's hand in a course, or lower it when `about` is None; the answer is a sentence."""
        body = {"course": course, "lab": lab, "about": about}
        return str(_decoded(self._request("POST", "/hands", json=body))["told"])

    def _json(self, path: str, params: Mapping[str, str]) -> Any:
        query = {name: value for name, value in params.items() if value}
        key = (self.url, self._token, path + "?" + repr(sorted(query.items())))
        with _answers_lock:
            known = _answers.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        answer = _decoded(self._request("GET", path, params=query))
        with _answers_lock:
            if len(_answers) > 200:
                _answers.clear()
            _answers[key] = (time.monotonic() + _FRESH_S, answer)
        return answer

    def _send(self, path: str, archive: bytes, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            answer = _decoded(self._request("POST", path, params=params, data=archive))
        finally:
            forget()
        return dict(answer)

    def _archive(self, path: str) -> bytes:
        return self._download(path)[0]

    def _download(self, path: str) -> tuple[bytes, Mapping[str, str]]:
        with self._request("GET", path, stream=True) as response:
            data = bytearray()
            try:
                for chunk in response.iter_content(1 << 20):
                    data += chunk
                    if len(data) > _MAX_ARCHIVE_BYTES:
                        raise ServiceError(
                            "The exchange sent more than an archive can be. Tell the operator."
                        )
            except requests.RequestException as error:
                raise ServiceError(
                    f"The exchange broke off in the middle ({_kind(error)}). Try again."
                ) from error
            return bytes(data), response.headers

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        json: Any = None,
        stream: bool = False,
        within_s: float | None = None,
    ) -> requests.Response:
        headers = {"Authorization": f"token {self._token}"}
        if data is not None:
            headers["Content-Type"] = "application/zip"
        try:
            with requests.Session() as session:
                session.trust_env = (
                    False  # the service is beside us: no proxy, and no ~/.netrc instead of the token
                )
                response = session.request(
                    method,
                    self.url + path,
                    params=params,
                    data=data,
                    json=json,
                    headers=headers,
                    stream=stream,
                    timeout=within_s or (_CONNECT_S, _READ_S),
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise ServiceError(
                f"The exchange cannot be reached ({_kind(error)}). Your files are safe here; try again in a minute."
            ) from error
        if not response.ok or response.is_redirect:
            raise ServiceError(_sentence(response), response.status_code)
        return response


def forget() -> None:
    """Forget remembered answers: something changed."""
    with _answers_lock:
        _answers.clear()


def _decoded(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise ServiceError(
            "What answers is not the exchange. Tell the operator.", response.status_code
        ) from error


def _sentence(response: requests.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    if isinstance(detail, str) and detail:
        return detail
    return (
        f"The exchange answered {response.status_code} {response.reason}. Try again, then tell the operator."
    )


def _kind(error: Exception) -> str:
    return type(error).__name__
