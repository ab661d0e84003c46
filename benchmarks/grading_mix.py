"""What a class hands in: right, wrong, partly, empty, crashing, slow and chatty notebooks, the same for a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import nbformat

from labs import build
from labs.model import Lab

Notebook = dict[str, Any]  # as JSON has it: what a student sends need not be what nbformat would write
Cell = dict[str, Any]

# Twenty cards are dealt to each twenty students, so that a small class has a mix as well.
DECK = (
    *["right"] * 4, "source", *["wrong"] * 5, *["partly"] * 3, *["empty"] * 2, *["crash"] * 2,
    "slow", "chatty", "checks changed",
)  # fmt: skip
LATE, TIDY = 0.2, 0.3  # share of students who hand in late; who leave no traces of their work
SLOW = "import time\ntime.sleep(1.5)\n"

# Wrong answers to nbgrader's quickstart; labs of ours have their own, in attempts/
PS1_WRONG: list[dict[str, str]] = [
    {"squares": "def squares(n):\n    return [i ** 2 for i in range(1, n + 1)]"},
    {"squares": "def squares(n):\n    if n < 1:\n        raise ValueError\n    return [i ** 2 for i in range(n)]"},
    {"squares": "def squares(n):\n    if n < 1:\n        raise ValueError\n    print([i ** 2 for i in range(1, n + 1)])"},
    {"squares": "def squares(n):\n    return tuple(i ** 2 for i in range(1, n + 1))"},
    {"squares": "def squares(n):\n    return [i ^ 2 for i in range(1, n + 1)]"},
    {"squares": "squares = [1, 4, 9]", "sum_of_squares": "sum_of_squares = sum(squares)"},
    {"sum_of_squares": "def sum_of_squares(n):\n    return sum(i ** 2 for i in range(1, n + 1))"},
    {"sum_of_squares": "def sum_of_squares(n):\n    print(sum(squares(n)))"},
    {"sum_of_squares": "async def sum_of_squares(n):\n    return sum(squares(n))"},
    {"squares": "", "sum_of_squares": "   \n"},
]  # fmt: skip

# Stand in the place of an answer, and end its cell badly. None of them ends the kernel: stock gives no marks then.
CRASHES = {
    "raise": "raise RuntimeError('no')",
    "recursion": "def down(n):\n    return down(n + 1)\ndown(0)",
    "syntax": "def broken(n:\n    return n",
    "indentation": "def broken(n):\nreturn n",
    "sys.exit": "import sys\nsys.exit(3)",
    "quit": "raise SystemExit",
    "interrupt": "raise KeyboardInterrupt",
    "zero": "1 / 0",
    "import": "import no_such_module",
    "unshowable": "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd",
    "group": "raise ExceptionGroup('two', [ValueError(1), TypeError(2)])",
    "input": "n = int(input('How many? '))",
    "await": "import asyncio\nawait asyncio.sleep(0)\nraise TimeoutError",
    "magic": "%no_such_magic",
}
# Bodies of a function that a check calls
CRASHING_BODIES = {
    "raise": "raise RuntimeError('no')",
    "recursion": "return NAME(*args)",
    "sys.exit": "import sys; sys.exit(0)",
    "interrupt": "raise KeyboardInterrupt",
    "input": "return input()",
    "assert": "assert False",
}
# Before an answer, said once; and in a function, said whenever a check calls it
CHATTY = {
    "lines": "print('line\\n' * 3000)\n",
    "both": "import sys\nprint('out')\nprint('warn', file=sys.stderr)\nprint('out again', end='')\n",
    "display": "from IPython.display import display, HTML\ndisplay(HTML('<b>7</b>'), 7, [7] * 500)\n",
    "logging": "import logging\nlogging.warning('careful')\nlogging.basicConfig(level=10)\nlogging.info('more')\n",
    "shell": "get_ipython().system('echo from the shell; echo and its errors >&2')\n",
    "progress": "for n in range(50):\n    print(f'\\r{n} %', end='', flush=True)\n",
    "letters": "print('żółć 中文 \\x1b[31mred\\x1b[0m 🦉 \\x00')\n",
    "thread": "import threading\nt = threading.Thread(target=print, args=('from a thread',))\nt.start()\nt.join()\n",
    "cleared": "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('stays')\n",
}
CHATTY_BODIES = {
    "print": "print('called', *args)",
    "stderr": "import sys; print('called', file=sys.stderr)",
    "warn": "import warnings; warnings.warn('called')",
    "deprecated": "import warnings; warnings.warn('called', DeprecationWarning)",
    "logging": "import logging; logging.warning('called')",
    "display": "display('called')",
    "flush": "import sys; sys.stdout.write('called'); sys.stdout.flush()",
    "empty": "import sys; print('', end='', file=sys.stderr)",
}
# Cells that students leave in a notebook, at any place of it
TRACES = [
    ("code", ""), ("code", "2 + 2"), ("code", "no_such_name"), ("code", "%whos"), ("code", "_"),
    ("code", "0.5"), ("code", "import asyncio\nawait asyncio.sleep(0)\nprint('done')"), ("code", "print?"),
    ("code", "%%bash\necho $0; exit 3"), ("markdown", "Note to myself: *look again*"), ("raw", "raw"),
    ("code", "import this_is_not_there"), ("code", "help(len)"), ("code", "%%time\nsum(range(1000))"),
]  # fmt: skip
SPECS = [
    {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    {"name": "conda-env-school-py", "display_name": "Python [conda env:school]", "language": "python"},
]


@dataclass(frozen=True)
class HandIn:
    """What one student hands in: kind says why it is in the mix, files are the bytes."""

    student: str
    kind: str
    late: bool
    files: Mapping[str, bytes]


class Mix:
    """The hand-ins of a class for one lab. Each is made when it is asked for, and not kept."""

    def __init__(self, lab: Lab, released: Mapping[str, bytes], seed: int) -> None:
        """`released`: the files that students of `lab` fetched."""
        self.lab = lab
        self.seed = seed
        self.released = dict(released)
        self.sources = {name: nbformat.writes(one) for name, one in build.source_notebooks(lab).items()}
        self.solutions = _answers(
            [json.loads(nbformat.writes(n)) for n in build.solved_notebooks(lab).values()]
        )
        self.untouched = _answers(list(self._fetched().values()))
        self.wrong = _wrong(lab, self.solutions)

    def student(self, index: int) -> str:
        """The user name of a student."""
        return f"student-{index:04d}"

    def kind(self, index: int) -> str:
        """The card that a student is dealt."""
        deck = list(DECK)
        self._random(f"deck {index // len(DECK)}").shuffle(deck)
        return deck[index % len(DECK)]

    def late(self, index: int) -> bool:
        """Whether a student hands in after the due time."""
        return self._random(f"late {index}").random() < LATE

    def hand_in(self, index: int) -> HandIn:
        """Make the files of a student."""
        chance = self._random(f"student {index}")
        kind, detail = self.kind(index), ""
        if kind == "source":
            notebooks = {name: json.loads(text) for name, text in self.sources.items()}
        else:
            notebooks = self._fetched()
        if kind not in ("source", "empty"):
            detail = self._work(kind, notebooks, chance)
        made = {f"{name}.ipynb": json.dumps(one, indent=1).encode() for name, one in notebooks.items()}
        return HandIn(
            self.student(index), f"{kind} {detail}".strip(), self.late(index), {**self.released, **made}
        )

    def _random(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {self.lab.name} {what}")

    def _fetched(self) -> dict[str, Notebook]:
        files = {PurePath(path): content for path, content in self.released.items()}
        return {path.stem: json.loads(content) for path, content in files.items() if path.suffix == ".ipynb"}

    def _work(self, kind: str, notebooks: dict[str, Notebook], chance: random.Random) -> str:
        """Fill in answers as `kind` says; returns which way of it was drawn."""
        if kind != "wrong" or self.lab.format == "nbgrader":
            kept = {k: s for k, s in self.solutions.items() if kind != "partly" or chance.random() < 0.5}
            _fill(notebooks, kept)
        for cell in _cells(notebooks, written=True):  # answered, left, or only touched
            before = self.untouched[_grade_id(cell)]
            cell["source"] = chance.choice([_source(cell), before, before + "\n"])
        detail = self._spoil(kind, notebooks, chance)
        if chance.random() > TIDY:
            for notebook in notebooks.values():
                _leave_traces(notebook, chance)
        return detail

    def _spoil(self, kind: str, notebooks: dict[str, Notebook], chance: random.Random) -> str:
        if kind == "wrong":
            name, answers = chance.choice(self.wrong)
            _fill(notebooks, answers)
            return name
        if kind == "checks changed":
            return _change_checks(notebooks, chance)
        if kind == "slow":
            cell = chance.choice(_python_answers(notebooks))
            cell["source"] = SLOW + _source(cell)
        if kind not in ("crash", "chatty"):
            return ""
        if chance.random() < 0.5:
            return _disturb_function(kind, notebooks, chance)
        cell = chance.choice(_python_answers(notebooks))
        way, code = chance.choice(sorted((CRASHES if kind == "crash" else CHATTY).items()))
        cell["source"] = code if kind == "crash" else code + _source(cell)
        return f"{way} in {_grade_id(cell)}"


def _wrong(lab: Lab, solutions: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Wrong answers to a lab, each with its name: its attempts, or those above for an assignment of nbgrader's."""
    if lab.format == "nbgrader":
        return [(f"number {number}", answers) for number, answers in enumerate(PS1_WRONG, 1)]
    made = [
        (one.name, {**(solutions if one.rest == "solution" else {}), **one.answers}) for one in lab.attempts()
    ]
    return [*made, ("blank", dict.fromkeys(solutions, ""))]


# ---------------------------------------------------------------- notebooks as plain JSON


def _source(cell: Cell) -> str:
    return "".join(cell["source"])  # a text, or a list of lines


def _grade_id(cell: Cell) -> str:
    return str(cell["metadata"]["nbgrader"]["grade_id"])


def _cells(
    notebooks: Mapping[str, Notebook], *, written: bool | None = None, check: bool = False
) -> list[Cell]:
    """The cells in which students write (`written`: those marked by hand), or the code cells of checks."""
    found = []
    for notebook in notebooks.values():
        for cell in notebook["cells"]:
            meta = cell["metadata"].get("nbgrader", {})
            grade, solution = bool(meta.get("grade")), bool(meta.get("solution"))
            if check:
                wanted = grade and not solution and cell["cell_type"] == "code"
            else:
                wanted = solution and written in (None, grade)
            if wanted:
                found.append(cell)
    return found


def _answers(notebooks: Sequence[Notebook]) -> dict[str, str]:
    """The text of each cell in which students write, by grade id."""
    return {_grade_id(cell): _source(cell) for notebook in notebooks for cell in _cells({"": notebook})}


def _fill(notebooks: Mapping[str, Notebook], answers: Mapping[str, str]) -> None:
    for cell in _cells(notebooks):
        cell["source"] = answers.get(_grade_id(cell), cell["source"])


def _python_answers(notebooks: Mapping[str, Notebook]) -> list[Cell]:
    cells = [cell for cell in _cells(notebooks) if cell["cell_type"] == "code"]
    return [cell for cell in cells if not _source(cell).lstrip().startswith("%%")]


def _disturb_function(kind: str, notebooks: Mapping[str, Notebook], chance: random.Random) -> str:
    """Let a function that checks call crash or chatter."""
    cell, name = chance.choice(
        [
            (cell, name)
            for cell in _python_answers(notebooks)
            for name in re.findall(r"^def (\w+)\(", _source(cell), re.MULTILINE)
        ]
    )
    way, body = chance.choice(sorted((CRASHING_BODIES if kind == "crash" else CHATTY_BODIES).items()))
    function = f"def {name}(*args):\n    {body.replace('NAME', name)}\n"
    if kind == "crash":
        cell["source"] = function
    else:
        cell["source"] = f"{_source(cell)}\nright = {name}\n{function}    return right(*args)"
    return f"{way} in {name}()"


def _change_checks(notebooks: Mapping[str, Notebook], chance: random.Random) -> str:
    """Edit a check, as happens by accident; nbgrader puts it back. One that is deleted it leaves without a mark: ours
    puts it back too, so that would be no comparison."""
    edited = chance.choice(_cells(notebooks, check=True))
    edited["source"] = "pass  # what was here?"
    return f"edited {_grade_id(edited)}"


def _leave_traces(notebook: Notebook, chance: random.Random) -> None:
    """Leave what work in Jupyter leaves: extra cells, outputs, counts, another kernel's name."""
    for _ in range(chance.randrange(3)):
        cell_type, source = chance.choice(TRACES)
        cell: Cell = {"cell_type": cell_type, "metadata": {}, "source": source}
        if cell_type == "code":
            cell |= {"execution_count": None, "outputs": []}
        if notebook["nbformat_minor"] >= 5:
            cell["id"] = f"{chance.getrandbits(32):08x}"
        notebook["cells"].insert(chance.randrange(len(notebook["cells"]) + 1), cell)
    for count, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code" and chance.random() < 0.5:
            cell["execution_count"] = count
            cell["outputs"] = [{"output_type": "stream", "name": "stderr", "text": "left from yesterday\n"}]
    if chance.random() < 0.5:
        notebook["metadata"]["kernelspec"] = chance.choice(SPECS)
        notebook["metadata"]["language_info"] = {"name": "python", "version": "3.9.1"}
