"""Attacks on the marks: each is stopped, or noticed and shown to a person; none is silently scored nought.

docs/trust.md says for each what becomes of it. `sums` has the checks check-add (2 points) and check-double (3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader.engine import canaries

WRONG = "def add(a, b):\n    return 0"


@pytest.fixture
def caught(bench: Any, points: Callable[..., Any]) -> Callable[..., tuple[Any, str]]:
    """Hand in an attack in front of a wrong `add`; give the points and the evidence."""

    def run(attack: str, add: str = WRONG, **answers: str) -> tuple[Any, str]:
        graded = bench.grade(bench.solved(add=f"{attack}\n{add}", **answers))
        return points(graded), " ".join(graded.evidence)

    return run


def test_an_honest_submission_leaves_no_evidence(bench: Any) -> None:
    honest = "import builtins, sys, json\nbuiltins.input = lambda *a: '5'\nimport math as m\nlist = [1]\n%matplotlib inline\n"
    for notebook in (
        bench.solved(),
        bench.notebook(),
        bench.solved(add=WRONG),
        bench.solved(add=f"{honest}def add(a, b):\n    print(a)\n    return a + b"),
        bench.solved(add="%load_ext autoreload\n%autoreload 2\ndef add(a, b):\n    return a + b"),
    ):
        assert bench.grade(notebook).evidence == ()


STOPPED = {
    "AssertionError is another name": "import builtins\nbuiltins.AssertionError = None",
    "a builtin is replaced": "import builtins\nbuiltins.sum = lambda *a: 42\nbuiltins.compile = lambda *a, **k: None",
    "exec is replaced": "import builtins\nbuiltins.exec = lambda *a, **k: None",
    "IPython's runner is replaced": (
        "shell = get_ipython()\nshell.run_cell = lambda *a, **k: shell.last_execution_result"
    ),
    "IPython's runner is replaced in its class": (
        "async def run_code(self, *a, **k):\n    return False\ntype(get_ipython()).run_code = run_code"
    ),
    "errors are not shown": "type(get_ipython())._showtraceback = lambda *a, **k: None",
    "errors are handled": "get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)",
    "checks are transformed": (
        "import ast\nclass Gone(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
        "get_ipython().ast_transformers.append(Gone())"
    ),
    "checks are rewritten as text": (
        "get_ipython().input_transformers_post.append(lambda lines: ['pass\\n' if 'assert' in l else l for l in lines])"
    ),
    "the compiler is replaced": "import ast\nget_ipython().compile.ast_parse = lambda *a, **k: ast.parse('')",
    "a module is replaced": "import sys, types\nsys.modules['builtins'] = types.ModuleType('builtins')",
    "a tracer jumps over the check": (
        "import sys\ndef jump(frame, event, arg):\n    return jump\nsys.settrace(jump)"
    ),
    "errors go nowhere on the wire": (
        "k = get_ipython().kernel\nsend = type(k.session).send\n"
        "type(k.session).send = lambda self, s, m, *a, **kw: None if m == 'error' else send(self, s, m, *a, **kw)"
    ),
}


@pytest.mark.parametrize("attack", STOPPED)
def test_what_is_put_back_earns_nothing_and_is_told(caught: Callable[..., Any], attack: str) -> None:
    earned, evidence = caught(STOPPED[attack])
    assert earned["add"] == 0, evidence
    assert evidence, "it was not told"


EARNS_AND_IS_NOTICED = {
    "equal to everything": (
        "class Yes:\n    def __eq__(self, other): return True\n    __radd__ = __add__ = lambda self, o: self",
        "def add(a, b):\n    return Yes()",
    ),
    "reads what is expected from its caller": (
        "import sys, re, linecache",
        "def add(a, b):\n"
        "    f = sys._getframe(1)\n"
        "    return max(value for value in f.f_code.co_consts if isinstance(value, int))",
    ),
    "throws its check away": (
        "class Skip(BaseException):\n    pass",
        "def add(a, b):\n    get_ipython()._showtraceback = lambda *x: None\n    get_ipython().showtraceback = lambda *x, **k: None\n    raise Skip",
    ),
    "shows a result itself": ("", "def add(a, b):\n    get_ipython().displayhook(2)\n    return 0"),
}


@pytest.mark.parametrize("attack", EARNS_AND_IS_NOTICED)
def test_what_cannot_be_stopped_is_noticed(
    caught: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.setattr(canaries, "TWINS", 9)  # all checks, so that chance has no say in a test
    _, evidence = caught(*EARNS_AND_IS_NOTICED[attack])
    assert evidence


def test_printing_a_score_gives_no_score(caught: Callable[..., Any]) -> None:
    earned, _ = caught(
        "print(2)\nprint('execute_result 2')", add="def add(a, b):\n    print(2.0)\n    return 0"
    )
    assert earned["add"] == 0


def test_leaving_python_in_a_check_earns_nothing_and_says_so(bench: Any, points: Callable[..., Any]) -> None:
    graded = bench.grade(bench.solved(add="def add(a, b):\n    import os\n    os._exit(0)"))
    assert points(graded) == {"add": 0, "double": 0, "why": 0}
    assert "ended Python" in graded.message


def test_a_hook_at_the_end_changes_nothing(caught: Callable[..., Any]) -> None:
    earned, _ = caught(
        "import atexit, os, struct, json\nw = get_ipython().kernel.session.channel\n"
        "atexit.register(lambda: w.send('execute_result', {'data': {'text/plain': '2'}}))"
    )
    assert earned["add"] == 0


def test_a_flag_in_the_metadata_changes_nothing(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    notebook = bench.solved(add=WRONG)
    meta = cell(notebook, "check-add").metadata
    meta["nbgrader"] |= {"points": 0, "grade": False, "solution": True}
    meta["tags"] = ["skip-execution", "raises-exception"]
    meta["ictlabs"] = {"exercise": "double"}
    assert points(bench.grade(notebook)) == {"add": 0, "double": 3, "why": 0}


READ = {
    "history": "print(In, get_ipython().history_manager.input_hist_raw, globals().get('_ih'), globals().get('_i'))",
    "the last result": "r = get_ipython().last_execution_result\nprint(r and r.info.raw_cell, r and r.info.transformed_cell)",
    "lines of tracebacks": "import linecache\nprint(linecache.cache, [getattr(get_ipython(), '_last_traceback', 0)])",
    "the last error": "import sys\nprint([getattr(sys, n, 0) for n in ('last_value', 'last_traceback', 'last_exc')])",
    "the transformer's memory": "print([c.cell_contents for c in get_ipython().transform_cell.__closure__ or ()])",
    "a listener": "",
    "files and processes": "import subprocess\nprint(subprocess.getoutput('cat /proc/*/cmdline; grep -r hidden /home /tmp /run'))",
}


@pytest.mark.parametrize("way", READ)
def test_a_hidden_check_that_has_run_cannot_be_read_by_the_next_answer(
    bench: Any, cell: Callable[..., Any], way: str
) -> None:
    """check-add has run, with the text `a hidden one`, when the answer `double` runs."""
    listen = (
        "heard = []\nget_ipython().events.register('pre_run_cell', lambda info: heard.append(info.raw_cell))\n"
        "get_ipython().events.register('post_run_cell', lambda result: heard.append(result.info.raw_cell))\n"
    )
    graded = bench.grade(
        bench.solved(add=(listen if way == "a listener" else "") + WRONG, double=READ[way] or "print(heard)")
    )
    said = "".join(
        o.get("text", "") + o.get("evalue", "") for o in cell(graded.notebooks["sums"], "double").outputs
    )
    assert said
    assert "a hidden one" not in said
    assert "NUMBERS[0], 41" not in said


def test_a_check_that_runs_last_is_nowhere_before_and_finds_the_names_of_its_place(
    bench: Any, cell: Callable[..., Any], points: Callable[..., Any]
) -> None:
    from dataclasses import replace

    first = bench.released.notebooks[0]
    cells = tuple(replace(c, last=c.name == "check-add") for c in first.cells)
    bench.released = replace(bench.released, notebooks=(replace(first, cells=cells),))
    spoils = "add = None\nNUMBERS = []\nprint(In)\ndef double(n):\n    return 2 * n"
    graded = bench.grade(bench.solved(double=spoils))
    assert points(graded) == {"add": 2, "double": 3, "why": 0}
    assert "should be 3" not in str(cell(graded.notebooks["sums"], "double").outputs)
    assert points(bench.grade(bench.solved(add=WRONG, double="def add(a, b):\n    return a + b")))["add"] == 0


def test_a_background_process_is_gone_before_the_next_submission(
    bench: Any, points: Callable[..., Any]
) -> None:
    start = (
        "import subprocess\n"
        "p = subprocess.Popen(['sh', '-c', 'trap \"\" TERM HUP; while :; do echo here > /tmp/mark; sleep 0.01; done'],"
        " start_new_session=True)\ndef add(a, b):\n    return a + b"
    )
    look = "import os, subprocess\nprint('LEFT', os.path.exists('/tmp/mark'), subprocess.getoutput('ls /proc | grep -c ^[0-9]'))\n"
    bench.grade(bench.solved(add=start))
    graded = bench.grade(bench.solved(add=look + "def add(a, b):\n    return a + b"))
    said = "".join(o.get("text", "") for o in graded.notebooks["sums"].cells[2].outputs)
    assert "LEFT False" in said
    assert points(graded)["add"] == 2


def test_each_run_draws_other_canaries() -> None:
    made = set()
    for _ in range(20):
        drawn = canaries.Canaries(5)
        made.update(canary.code for _ in range(5) if (canary := drawn.before()))
    assert len(made) > 20


@pytest.mark.parametrize(
    ("check", "twin"),
    [
        ("assert f(1) == 3", True), ("assert f(1) == [1, 2]", True), ("assert f(1) == {'a': 1}", True),
        ("assert_equal(f(2), (1, 4))", True), ("assert f(1) == 'x', 'no'", True), ("assert f(1) == 2.5", True),
        ("assert f(1)", False), ("assert f(1) == g(1)", False), ("assert f(1) == True", False),
        ("assert f(1) != 3", False), ("%timeit f(1)\nassert f(1) == 3", False), ("f(1) == 3", False),
        ("assert 3 == 3", False), ("assert f(1) == []", False), ("assert f(1) == float('inf')", False),
        ("assert f(1) == 1e308", True),
    ],
)  # fmt: skip
def test_a_twin_differs_in_what_is_expected_and_in_nothing_that_might_hold_anyway(
    check: str, twin: bool
) -> None:
    import random

    found = canaries._twin(check, random.Random(1))
    if check == "assert f(1) == 1e308":
        assert found is None or "inf" not in found[0]
    else:
        assert (found is not None) == twin
    assert found is None or found[0].strip() != check
