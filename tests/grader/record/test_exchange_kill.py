"""SIGKILL between every two steps of handing in: the whole submission with its receipt, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from grader.archives import pack
from grader.settings import Places
from grader.store import Store

LAB = "net-subnetting"
SCRIPT = Path(__file__).resolve().parent / "killed_service.py"


class Fork:
    """The script, and its service of the moment."""

    def __init__(self, data: Path, listener: socket.socket) -> None:
        spec = {"data": str(data), "fd": listener.fileno(), "people": {"t": ("alice", ["nbgrader-ict101"])}}
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/exchange/submissions/ict101/{LAB}"
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(spec)],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hand_in(self, archive: bytes, steps: int) -> tuple[requests.Response | None, bool]:
        """Hand in to a service that dies after `steps`; return the answer, if one came, and whether it died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        headers = {"Authorization": "token t", "Connection": "close"}
        try:
            answer: requests.Response | None = requests.post(
                self.url, data=archive, headers=headers, timeout=60
            )
        except requests.ConnectionError:
            answer = None
        if answer is not None:
            os.kill(child, signal.SIGKILL)  # it came through
        assert int(self.process.stdout.readline()) == -signal.SIGKILL
        return answer, answer is None


@pytest.mark.slow
def test_killed_at_any_step_there_is_all_or_nothing(tmp_path: Path) -> None:
    """For each step: what the record holds afterwards is whole, and a receipt means that it is there."""
    places = Places(data=tmp_path)
    store = Store.open(places.store_url, places)
    store.create_course("ict101")
    store.release("ict101", LAB, pack({"x.ipynb": b"{}"}), title="", environment="base", max_points=1, by="t")
    kept_without_answer = killed = 0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        fork = Fork(tmp_path, listener)
        try:
            for step in range(1, 1000):
                archive = pack({f"{LAB}.ipynb": f"work {step}".encode()})
                before = {row.id for row in store.submissions("ict101")}

                answer, died = fork.hand_in(archive, step)

                new = [row for row in store.submissions("ict101") if row.id not in before]
                assert len(new) <= 1
                for row in new:
                    stated = store.receipts.verify(row.receipt)
                    assert stated["id"] == row.id
                    assert stated["sha256"] == row.sha256 == hashlib.sha256(archive).hexdigest()
                    assert store.blob(row.sha256).read_bytes() == archive
                if answer is not None:
                    assert answer.status_code == 201, answer.text
                    assert [row.receipt for row in new] == [answer.json()["receipt"]]
                kept_without_answer += bool(new) and answer is None
                killed += died
                if not died:
                    break
        finally:
            assert fork.process.stdin is not None
            fork.process.stdin.close()
            fork.process.wait(timeout=30)

    print(f"killed at {killed} steps; {kept_without_answer} times the row was in and the answer was not out")
    assert killed > 40, "the steps of the exchange were not reached"
    assert kept_without_answer > 0, "no kill fell between the commit and the answer"
    # Kills left no half file under a blob's name.
    for blob in places.blobs.glob("??/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    store.close()
