"""Two hundred students hand in at the same moment."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from types import ModuleType

import requests

from grader.archives import pack
from grader.receipts import verify

STUDENTS = 200
LAB = "net-subnetting"


def test_every_receipt_of_a_storm_is_true(tmp_path: Path, exchange_service: ModuleType) -> None:
    """200 at once, to a real process: 200 receipts that verify, 200 rows, every byte there."""
    people = {f"t{n}": (f"student{n}", ["nbgrader-ict101"]) for n in range(STUDENTS)}
    work = {f"student{n}": pack({f"{LAB}.ipynb": f"work of {n}".encode() * 500}) for n in range(STUDENTS)}
    answers: dict[str, requests.Response] = {}
    failures: list[Exception] = []
    gate = threading.Barrier(STUDENTS)

    with exchange_service.running(tmp_path, people) as site:
        site.store.create_course("ict101")
        site.store.release(
            "ict101", LAB, pack({"x.ipynb": b"{}"}), title="", environment="base", max_points=1, by="t"
        )
        key = site.ask("", "GET", "/receipt-key").json()["ed25519"]

        def hand_in(token: str, username: str) -> None:
            gate.wait()
            try:
                answers[username] = site.ask(token, "POST", f"/submissions/ict101/{LAB}", data=work[username])
            except requests.RequestException as error:
                failures.append(error)

        threads = [
            threading.Thread(target=hand_in, args=(token, name)) for token, (name, _) in people.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert {response.status_code for response in answers.values()} == {201}
        rows = {row.username: row for row in site.store.newest_submissions("ict101", LAB)}
        assert len(site.store.submissions("ict101", LAB)) == len(rows) == STUDENTS
        for username, response in answers.items():
            receipt = response.json()["receipt"]
            stated = verify(receipt, key)
            assert stated["username"] == username
            assert stated["sha256"] == hashlib.sha256(work[username]).hexdigest()
            assert rows[username].id == stated["id"]
            assert rows[username].receipt == receipt
            assert site.store.blob(stated["sha256"]).read_bytes() == work[username]
        assert list((site.store.blobs.folder / "incoming").iterdir()) == []
