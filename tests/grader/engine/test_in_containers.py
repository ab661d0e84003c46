"""The same engine in its outer wall: a container of the lab's image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grader.sandbox import open_sandbox
from grader.sandbox.base import Sandbox

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def containers(base_image: str) -> Iterator[Sandbox]:
    walls = open_sandbox("docker", image=base_image)
    yield walls
    walls.close()


def test_right_partly_and_hostile(bench: Any, containers: Sandbox, points: Callable[..., Any]) -> None:
    bench.sandbox = containers
    assert points(bench.grade(bench.solved(why="So."))) == {"add": 2, "double": 3, "why": None}
    half = "def double(n):\n    return n + 2"
    assert points(bench.grade(bench.solved(double=half)))["double"] == 1
    gone = bench.grade(bench.solved(double="import os; os._exit(0)"))
    assert (points(gone)["add"], points(gone)["double"]) == (2, 0)
    assert "ended Python" in gone.message


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (
            "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
            "processes|interrupted|ended",
        ),
        ("x = bytearray(2_000_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1", "memory"),
        ("import sys; sys.stdout.write('x' * (1 << 30))", "memory|printed"),
    ],
    ids=["forks", "memory", "gigabyte"],
)
def test_attacks_end_with_their_own_submission(
    bench: Any, containers: Sandbox, points: Callable[..., Any], attack: str, says: str
) -> None:
    import re

    bench.sandbox = containers
    graded = bench.grade(bench.solved(double=attack))
    assert points(graded) == {"add": 2, "double": 0, "why": 0}
    assert re.search(says, graded.message), graded.message
    assert points(bench.grade(bench.solved())) == {"add": 2, "double": 3, "why": 0}
