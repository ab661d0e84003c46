"""A disk that fills up in the middle of submissions and grading: nothing is half taken, and work goes on with room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.people import COURSE

pytestmark = pytest.mark.slow
SIZE_MB = 64


@pytest.fixture
def small_disk(tmp_path: Path, missing: Callable[[str, str], None]) -> Iterator[Path]:
    """A folder for a site whose data is on a small file system of its own."""
    data = tmp_path / "var"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "ictlabs-fault", str(data)]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        missing("no file system can be mounted here", "run the tests as root")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(data)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more goes in."""
    with file.open("wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    out.write(b"\0" * size)
            except OSError:
                continue


def test_a_full_disk_refuses_in_words_and_loses_nothing(
    open_school: Any, waiting: Any, small_disk: Path
) -> None:
    with open_school(small_disk, "process") as school:
        filler = small_disk / "var" / "filler"
        with school.at_work():
            fill(filler)
            before = len(school.refused)
            waiting(lambda: len(school.refused) >= before + 8, "refusals while it is full")
            refused, taken = school.refused[before:], len(school.receipts)
            filler.unlink()
            waiting(lambda: len(school.receipts) > taken + 8, "receipts when there is room again")
        waiting(lambda: not school.store.jobs(COURSE, only_open=True), "the end of jobs")

        school.assert_nothing_lost()
        assert any("The site's disk is full" in said for said in refused), refused
        assert "No space left on device" in school.log("hub") or "disk is full" in school.log("hub")
