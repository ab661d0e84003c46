"""A clock that is set back, and forward, in the middle of submissions and grading: real processes, their clock stepped.

The clock is what the exchange and `ict grade` with its workers read as the time of day (stepped_clock.c); the machine's own
stays. Hub and portal are not among the processes whose clock is stepped here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.losses import count_losses
from grader.settings import Places
from grader.store import MemberRow, Store

pytestmark = pytest.mark.slow
COURSE, LAB = "ict101", "sums"
STUDENTS = ("ada", "ben", "cleo", "dan")
SOURCE = Path(__file__).with_name("stepped_clock.c")
STEPS_OFTEN = Path(__file__).with_name("clock_steps_often.py")


class Clock:
    """The time of day of processes that are started from now on, `set` as often as one likes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
        self.file = folder / "clock"
        self.set(0)
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("STEPPED_CLOCK", str(self.file))

    def set(self, hours: int) -> None:
        """So many hours before or after the machine's clock."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{hours * 3600}\n")
        fresh.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: Callable[[str, str], None]) -> Clock:
    """A clock to step."""
    if not shutil.which("gcc"):
        missing("no C compiler here", "apt-get install build-essential")
    library = tmp_path / "stepped_clock.so"
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return Clock(tmp_path, monkeypatch, library)


@pytest.mark.parametrize("step_h", [-3, 3])
def test_a_step_of_the_clock_changes_no_order_and_loses_nothing(  # noqa: PLR0917 (pytest passes fixtures by name)
    step_h: int, clock: Clock, sums: Any, exchange_service: ModuleType, waiting: Any, tmp_path: Path
) -> None:
    places = Places(data=tmp_path / "var")
    settings = tmp_path / "ictlabs.toml"
    settings.write_text(
        '[grader]\nworkers = 2\nslots = 1\n[grader.sandbox]\nbackend = "process"\n', encoding="utf-8"
    )
    store = Store.open(places.store_url, places)
    store.create_course(COURSE)
    store.enrol(COURSE, [MemberRow(name) for name in STUDENTS])
    sums.release(store, places)
    receipts: list[str] = []
    grade = [sys.executable, "-m", "hub.cli", "--settings", str(settings), "grade", COURSE, LAB]

    with exchange_service.running(
        places.data, {name: (name, [f"nbgrader-{COURSE}"]) for name in STUDENTS}
    ) as service:

        def everybody_hands_in(number: int) -> None:
            for name in STUDENTS:
                answer = service.ask(name, "POST", f"/submissions/{COURSE}/{LAB}", data=sums.answer(number))
                assert answer.status_code == 201, answer.text
                receipts.append(answer.json()["receipt"])

        waiting(lambda: service.ask("ada", "GET", "/releases").ok, "the exchange")
        everybody_hands_in(1)
        clock.set(step_h)
        everybody_hands_in(2)
        job = subprocess.Popen(grade, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            waiting(lambda: store.reports(COURSE, LAB), "the first report")
            clock.set(0)
            everybody_hands_in(4)
            said, _ = job.communicate(timeout=300)
        finally:
            job.kill()
    last = subprocess.run(grade, capture_output=True, text=True, check=False, timeout=300)

    assert (job.returncode, last.returncode) == (0, 0), said + last.stdout + last.stderr
    lost = count_losses(tmp_path, COURSE, LAB, receipts)
    assert (lost.submissions, lost.marks) == ((), ())
    for name in STUDENTS:  # the last that was handed in is the newest, whatever the clock said
        stated = [store.receipts.verify(receipt)["id"] for receipt in receipts]
        of_one = [each for each in stated if store.submission(each).username == name]
        assert [row.id for row in store.submissions_of(name, COURSE, LAB)] == of_one
    sums.assert_marks_are_right(store)
    assert "The clock was set back" in service.log.read_text()
    store.close()


def test_workers_go_on_when_the_clock_steps_between_two_messages(clock: Clock) -> None:
    """A message waits 2 ms for the one before it: only many steps meet that moment."""
    command = [sys.executable, str(STEPS_OFTEN), str(clock.file)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert done.stdout == "300\n", done.stderr
