"""Hostile submissions cost their own marks at most, with a message that says which, and end in bounded time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import nbformat
import pytest

ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("import os; os._exit(0)", "ended Python"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended Python"),
        ("import ctypes; ctypes.string_at(0)", "ended Python"),
        (
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
            "could not be interrupted",
        ),
        ("x = bytearray(2_000_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1", "memory"),
        (
            "import sys\nwhile True:\n    sys.stdout.write('x' * 1_000_000)",
            "printed|memory",  # whichever bound is met first
        ),
    ],
    ids=["exit", "kill", "segfault", "deaf-loop", "memory", "endless-print"],
)
def test_a_bad_end_costs_what_was_not_earned_yet(
    bench: Any, points: Callable[..., Any], attack: str, says: str
) -> None:
    """The first exercise is answered and checked; the attack is in the second."""
    begun = time.monotonic()
    graded = bench.grade(bench.solved(double=attack))
    assert points(graded) == {"add": 2, "double": 0, "why": 0}
    assert re.search(says, graded.message), graded.message
    assert re.search(says, graded.exercises[1].message)
    assert time.monotonic() - begun < 40


def test_a_fork_bomb_ends_with_its_own_submission(bench: Any, points: Callable[..., Any]) -> None:
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    graded = bench.grade(bench.solved(double=bomb))
    assert points(graded)["add"] == 2
    assert points(graded)["double"] == 0
    assert points(bench.grade(bench.solved())) == {"add": 2, "double": 3, "why": 0}


def test_a_gigabyte_in_one_write(bench: Any, points: Callable[..., Any]) -> None:
    graded = bench.grade(bench.solved(double="import sys; sys.stdout.write('x' * (1 << 30))"))
    assert points(graded)["add"] == 2
    assert points(graded)["double"] == 0
    assert _size(graded) < 3_000_000


def test_a_gigabyte_in_many_writes(bench: Any, points: Callable[..., Any]) -> None:
    flood = "import sys\nfor _ in range(1 << 20):\n    sys.stdout.write('x' * 1024)\n    sys.stdout.flush()"
    graded = bench.grade(bench.solved(double=flood))
    assert points(graded)["add"] == 2
    assert _size(graded) < 3_000_000


def test_some_megabytes_of_output_cost_nothing(bench: Any, points: Callable[..., Any]) -> None:
    """A loop that prints too much while learning is not an attack: its output is cut, its marks stay."""
    chatty = ADD + "for _ in range(5000):\n    print('y' * 1000)"
    graded = bench.grade(bench.solved(add=chatty))
    assert points(graded) == {"add": 2, "double": 3, "why": 0}
    assert _size(graded) < 3_000_000


@pytest.mark.parametrize(
    "attack",
    [
        "from IPython.display import display\nfor i in range(3000): display({'text/html': 'x' * 9000}, raw=True)",
        "for i in range(300): display('x' * 10, display_id='same')\n"
        "for i in range(300): display('x' * 100_000, display_id='same', update=True)",
        "raise Exception('e' * 30_000_000)",
        "import sys\nfor i in range(40): sys.stderr.write('e' * 900_000); sys.stderr.flush()",
        "class Big:\n    def __repr__(self): return 'r' * 20_000_000\nBig()",
        "print('\\ud800 \\x00 \\x1b[31m')",
        "from IPython.display import publish_display_data as p\n"
        "d = {}\nfor _ in range(400): d = {'d': d}\np({'application/json': d})",
    ],
    ids=["displays", "update", "error", "stderr", "result", "surrogate", "deep"],
)
def test_output_of_every_kind_is_bounded_and_storable(
    bench: Any, points: Callable[..., Any], attack: str
) -> None:
    graded = bench.grade(bench.solved(double="def double(n):\n    return 2 * n\n" + attack))
    assert points(graded)["add"] == 2
    assert _size(graded) < 3_000_000


@pytest.mark.parametrize(
    "value", ["float('nan')", "float('inf')", "10 ** 400", "-1e308 * 10", "99", "type('X', (), {})()"]
)
def test_a_check_whose_value_is_no_mark_never_breaks_the_grader(bench: Any, value: str) -> None:
    """What a student's function gives may become the value of a check's last line."""
    odd = f"class N(int):\n    def __eq__(self, other): return {value}\n    __radd__ = __add__ = lambda s, o: {value}\n"
    graded = bench.grade(bench.solved(double=odd + "def double(n):\n    return N(n)"))
    mark = graded.exercises[1]
    assert mark.points is not None
    assert 0 <= mark.points <= 3


def test_bytes_that_are_no_message_end_that_submission_only(bench: Any, points: Callable[..., Any]) -> None:
    """A frame of the right length that is nested too deeply to be read."""
    raw = (
        "import struct\n"
        "deep = b'[' * 100_000\n"
        "get_ipython().kernel.session.channel.end.sendall(struct.pack('>I', len(deep)) + deep)\n"
    )
    for _ in range(2):
        graded = bench.grade(bench.solved(double=raw))
        assert points(graded) == {"add": 2, "double": 0, "why": 0}
        assert "broke the connection" in graded.message


def test_messages_that_the_kernel_forges_end_that_submission_only(
    bench: Any, points: Callable[..., Any]
) -> None:
    forged = (
        "ip = get_ipython().kernel\n"
        "ip.session.send(ip.iopub_socket, 'stream', {'nope': 1}, parent=ip.get_parent())\n"
        "ip.session.send(ip.iopub_socket, 'error', {'traceback': 5}, parent=ip.get_parent())\n"
        "ip.session.send(ip.iopub_socket, 'status', {}, parent=ip.get_parent())\n"
    )
    graded = bench.grade(bench.solved(double=forged))
    assert points(graded)["add"] == 2
    assert points(graded)["double"] == 0


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "sums.ipynb is not in the submission"),
        ({"Sums.ipynb": b"{}"}, "There is Sums.ipynb"),
        ({"sums.ipynb": b"\x89PNG"}, "JSON cannot be read"),
        ({"sums.ipynb": b"[" * 100_000}, "nested too deeply"),
        ({"sums.ipynb": b'{"nbformat": 2, "cells": []}'}, "format 4"),
        ({"sums.ipynb": b"x" * 10_000_001}, "at most 10 MB"),
        ({"sums.ipynb": b'{"nbformat": 4, "cells": [' + b"{}," * 1000 + b"{}]}"}, "at most 1000 are read"),
    ],
    ids=["missing", "wrong-name", "not-json", "deep", "format", "huge", "cells"],
)
def test_what_is_no_notebook_earns_nothing_and_says_why(
    bench: Any, points: Callable[..., Any], files: dict[str, bytes], says: str
) -> None:
    graded = bench.grade_files(files)
    assert points(graded) == {"add": 0, "double": 0, "why": 0}
    assert says in graded.message
    assert not graded.needs_manual


def test_a_notebook_of_ten_megabytes_is_graded(bench: Any, points: Callable[..., Any]) -> None:
    notebook = bench.solved()
    notebook.cells.append(nbformat.v4.new_markdown_cell("x" * 9_000_000))
    assert points(bench.grade(notebook)) == {"add": 2, "double": 3, "why": 0}


def test_the_whole_time_is_bounded_too(bench: Any) -> None:
    """Every cell stays below its own limit; together they do not."""
    notebook = bench.solved()
    notebook.cells[1:1] = [nbformat.v4.new_code_cell("import time; time.sleep(2)") for _ in range(40)]
    begun = time.monotonic()
    graded = bench.grade(notebook)
    assert time.monotonic() - begun < 45
    assert graded.points == 0
    assert "the notebook took longer" in graded.message.lower() or "whole notebook" in graded.message


def _size(graded: Any) -> int:
    """Bytes of the executed notebooks, which are valid and can be stored."""
    for notebook in graded.notebooks.values():
        nbformat.validate(notebook)
        nbformat.writes(notebook).encode("utf-8")
    return sum(len(json.dumps(notebook)) for notebook in graded.notebooks.values())


FRAMES = {
    "nested": "'[\"stream\", ' + '{\"text\": ' * 900 + '1' + '}' * 900 + ']'",
    "no text": '\'["stream", {"text": {"a": []}, "name": []}]\'',
    "odd result": '\'["execute_result", {"data": [1], "execution_count": []}]\'',
    "odd error": '\'["error", {"traceback": {"a": 1}, "ename": [], "evalue": {}}]\'',
    "long number": "'[\"stream\", {\"text\": ' + '9' * 9999 + '}]'",
    "half a character": '\'["done", {"cell": 3, "status": "error", "ename": "\\\\ud800", "tampered": ["\\\\ud800"]}]\'',
    "done with lists": '\'["done", {"cell": 3, "status": [], "tampered": [[[]]], "execution_count": {}}]\'',
    "not a pair": "'[1, 2, 3]'",
}


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_that_no_kernel_sends_are_never_a_fault_of_ours(bench: Any, frame: str) -> None:
    send = (
        f"import struct\ndata = ({FRAMES[frame]}).encode()\n"
        "get_ipython().kernel.session.channel.end.sendall(struct.pack('>I', len(data)) + data)\n"
        "def add(a, b):\n    return a + b"
    )
    graded = bench.grade(bench.solved(add=send))
    json.dumps([graded.evidence, graded.message]).encode()
    " ".join([*graded.evidence, graded.message]).encode()
