"""Secret cells with known outcomes: a submission that has bent what checks rest on gives itself away.

Two kinds. *Planted* ones come before checks, at places drawn anew for each run: one must fail with a number drawn for
this run, one must give such a number back. *Twins* come when everything has run: a check of the lab that was passed, with
one of its expected values changed. An answer that is right for the check is wrong for its twin; a function that returns
something equal to everything, that reads what is expected from its caller, or that makes checks end early passes both.
A canary costs no marks. What it finds is evidence for a person (docs/trust.md).
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils

PLANTED = 2  # in a notebook
TWINS = 2
# calls whose last arguments are what is expected
ASSERTIONS = {
    "assert_equal", "assertEqual", "assert_equals", "assert_almost_equal", "assertAlmostEqual", "assert_array_equal",
    "assert_allclose", "assert_list_equal", "assertListEqual", "assertCountEqual", "assertDictEqual", "assertTupleEqual",
}  # fmt: skip


@dataclass(frozen=True)
class Canary:
    """A secret cell. fault: "" when its outputs are as they must be, else a sentence for the instructor."""

    code: str
    fault: Callable[[NotebookNode], str]


class Canaries:
    """The canaries of one run of one notebook."""

    def __init__(self, checks: int, chance: random.Random | None = None) -> None:
        """`checks`: how many check cells the notebook has; without one there is nothing to guard."""
        self.chance = chance or random.SystemRandom()
        places = [self.chance.randrange(checks) for _ in range(PLANTED)] if checks else []
        kinds = [_must_fail, _must_give]
        self.chance.shuffle(kinds)
        self._planted = dict(zip(places, kinds, strict=False))
        self._check = -1
        self._passed: list[tuple[str, str, NotebookNode]] = []

    def before(self) -> Canary | None:
        """The canary before the next check, if one is planted there."""
        self._check += 1
        make = self._planted.get(self._check)
        return make(self.chance) if make else None

    def saw(self, cell: NotebookNode) -> None:
        """Take note of a check that has run."""
        earned = _earned(cell)
        if earned:
            self._passed.append((cell.metadata["nbgrader"]["grade_id"], cell.source, copy.deepcopy(cell)))

    def after(self) -> Iterator[Canary]:
        """Twins of some of the checks that were passed."""
        self.chance.shuffle(self._passed)
        made = 0
        for name, source, cell in self._passed:
            if made == TWINS:
                return
            if found := _twin(source, self.chance):
                made += 1
                yield Canary(found[0], _must_earn_less(name, cell, found[1]))


def _must_fail(chance: random.Random) -> Canary:
    left, right = chance.sample(range(10**6, 10**9), 2)
    name = f"found_{chance.randrange(10**6)}"
    code = f"{name} = {left}\nassert {name} == {right}, 'expected {right}, found {left}'"

    def fault(ran: NotebookNode) -> str:
        failed = [o for o in ran.outputs if o.output_type == "error"]
        if failed and failed[0].ename == "AssertionError" and str(left) in failed[0].evalue:
            return ""
        return "A secret check that cannot be passed did not fail as it must: what makes checks fail was changed."

    return Canary(f"{code}\n", fault)


def _must_give(chance: random.Random) -> Canary:
    value = chance.randrange(10**6, 10**9)
    name = f"points_{chance.randrange(10**6)}"
    code = f"{name} = {value}\nassert {name} > 1\n{name}"

    def fault(ran: NotebookNode) -> str:
        results = [o for o in ran.outputs if o.output_type == "execute_result"]
        others = [o for o in ran.outputs if o.output_type == "error"]
        if len(results) == 1 and not others and results[0].data.get("text/plain") == str(value):
            return ""
        return "A secret check did not give back its own number: what gives results was changed."

    return Canary(code, fault)


def _must_earn_less(name: str, cell: NotebookNode, changed: str) -> Callable[[NotebookNode], str]:
    before = _earned(cell) or 0.0

    def fault(ran: NotebookNode) -> str:
        again = copy.deepcopy(cell)
        again.outputs = ran.outputs
        now = _earned(again)
        if now is None or now < before:
            return ""
        return f"The check {name!r} was passed also with another expected value ({changed})."

    return fault


def _earned(cell: NotebookNode) -> float | None:
    """Points of a check by nbgrader's rule; None where it gives none."""
    try:
        points = utils.determine_grade(cell)[0]
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError):
        return None
    return float(points) if points is not None else None


def _twin(source: str, chance: random.Random) -> tuple[str, str] | None:
    """`source` with one expected value changed, and which; None when it has none that is sure to matter."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # magics and the like
    places = list(_expected(tree))
    if not places:
        return None
    node, field, index = chance.choice(places)
    old: ast.expr = getattr(node, field)[index]
    try:
        value = ast.literal_eval(old)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    other = _other(value, chance)
    if other == value or other in (float("inf"), float("-inf")):
        return None
    getattr(node, field)[index] = ast.parse(repr(other), mode="eval").body
    return ast.unparse(ast.fix_missing_locations(tree)), f"{value!r:.60} -> {other!r:.60}"


def _expected(tree: ast.Module) -> Iterator[tuple[Any, str, int]]:
    """Places of literals that an assertion at the top of the cell wants something to be equal to."""
    for statement in tree.body:
        if isinstance(statement, ast.Assert):
            test = statement.test
            if (
                isinstance(test, ast.Compare)
                and len(test.ops) == 1
                and isinstance(test.ops[0], ast.Eq)
                and not isinstance(test.left, ast.Constant)
                and _literal(test.comparators[0])
            ):
                yield test, "comparators", 0
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if (
                name in ASSERTIONS
                and len(call.args) >= 2
                and not isinstance(call.args[0], ast.Constant)
                and _literal(call.args[1])
            ):
                yield call, "args", 1


def _literal(node: ast.expr) -> bool:
    """Whether it is a number, a text, or a collection of such, which can be changed for sure."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return _changeable(value)


def _changeable(value: object) -> bool:
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, list | tuple | set):
        return bool(value)
    return isinstance(value, int | float | str | dict)


def _other(value: Any, chance: random.Random) -> Any:
    """Something of the same kind that differs."""
    odd = chance.randrange(10**5, 10**7)
    if isinstance(value, int | float):
        return 2 * value + odd  # far off: checks may allow for rounding
    if isinstance(value, str):
        return f"{value}{odd}"
    if isinstance(value, dict):
        return value | {odd: odd}
    items = list(value)
    place = chance.randrange(len(items))
    items[place] = _other(items[place], chance) if _changeable(items[place]) else odd
    return type(value)(items)
