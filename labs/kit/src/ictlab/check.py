"""What a check cell says and earns: expected, found, where to look; never the answer, never a bare trace.

    from ictlab.check import Check

    check = Check(2)                               # the points of this check cell
    plan = check.answer("plan", dict)              # None, with a sentence, if there is no such answer
    if plan is not None:
        check.that("room for all", room >= 50,
                   expected="at least 50 addresses for hosts", found=room, look="the prefix length", points=2)
    check.earned                                   # the last line: the number that nbgrader takes

A check that says nothing earns nothing. `that` pays its points when the condition holds, or the share `partial`
(0 to 1) of them when it does not.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ictlab import events

LONGEST_FOUND = 300  # characters: what was found may be a whole file
patience = 1.0  # times longer than asked for until what needs a moment must hold; more where all is slow

_WORDS = {
    dict: "a dictionary",
    list: "a list",
    tuple: "a tuple",
    set: "a set",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    callable: "a function",
}


class Failed:
    """What a student's function gave instead of a result: its error, to be shown as what was found."""

    def __init__(self, error: BaseException) -> None:
        """Keep the kind and the message of `error`."""
        self.error = f"an error: {type(error).__name__}: {error}"

    def __repr__(self) -> str:
        return self.error


class Check:
    """One check cell: collects what it found and what that earns."""

    def __init__(self, points: float) -> None:
        """Start a check cell worth `points`."""
        self.points = points
        self.told: list[tuple[str, bool]] = []  # what was looked at, and whether it holds
        self._earned = 0.0
        events.begun(self)

    def answer(self, name: str, kind: Any = None, *, empty: bool = False) -> Any:
        """Return the student's variable `name`, or None with a sentence if it is missing or of another kind.

        kind: a type, a tuple of types, or `callable`. empty: whether an empty list or text is an answer.
        """
        value = _variables().get(name)
        self.told.append((f"{name}: an answer", False))
        if value is None:
            print(
                f"[not yet] {name}: no answer yet. Write it in the cell above, run that cell, then this one."
            )
            return None
        if kind is not None and not _is(value, kind):
            found = _shown(value)
            print(
                f"[not yet] {name}\n    expected: {_name_of(kind)}\n    found:    {type(value).__name__}: {found}"
            )
            return None
        if not empty and hasattr(value, "__len__") and not callable(value) and len(value) == 0:
            print(
                f"[not yet] {name}: it is still empty. Fill it in the cell above, run that cell, then this one."
            )
            return None
        self.told.pop()
        return value

    def call(self, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        """Call a student's function; an error comes back as a `Failed` that shows it."""
        with _stderr_is_no_fault():
            try:
                return function(*values, **named)
            except Exception as error:
                return Failed(error)

    def that(
        self,
        what: str,
        holds: object,
        *,
        expected: object,
        found: object,
        look: str,
        points: float = 0,
        partial: float = 0,
    ) -> bool:
        """Say whether `what` holds, and if not what was expected, found, and where to look; pay its points."""
        try:
            passed = bool(holds)
        except Exception as error:  # an answer's own __bool__
            passed, found = False, Failed(error)
        self.told.append((what, passed))
        self._earned += points * (1 if passed else min(max(partial, 0), 1))
        if passed:
            print(f"[ok] {what}")
        else:
            print(
                f"[not yet] {what}\n    expected: {expected}\n    found:    {_shown(found)}\n    look at:  {look}"
            )
        return passed

    def until(
        self,
        what: str,
        see: Callable[[], Any],
        holds: Callable[[Any], object],
        *,
        expected: object,
        look: str,
        points: float = 0,
        share: Callable[[Any], float] | None = None,
        within_s: float = 5.0,
    ) -> bool:
        """As `that`, for state that needs a moment: `see` is asked again until it `holds`, at most `within_s` seconds.

        share: how much of `points` (0 to 1) what was seen last is worth when it does not hold.
        """
        deadline = time.monotonic() + within_s * patience
        while True:
            found = self.call(see)
            passed = not isinstance(found, Failed) and bool(holds(found))
            if passed or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        partial = share(found) if share and not passed and not isinstance(found, Failed) else 0
        return self.that(
            what, passed, expected=expected, found=found, look=look, points=points, partial=partial
        )

    def reach(
        self,
        what: str,
        net: Any,
        wanted: Mapping[tuple[str, str], bool],
        *,
        look: str,
        points: float = 0,
        within_s: float = 5.0,
    ) -> bool:
        """Who must reach whom in a network of ictlab.net, by ping: {("h1", "h2"): True, ("h1", "h3"): False}.

        What must not be reached counts only as far as what must be is: a network without any way earns nothing.
        """

        def right(seen: dict[tuple[str, str], bool], want: bool) -> float:
            pairs = [pair for pair, wants in wanted.items() if wants is want]
            return sum(seen[pair] is want for pair in pairs) / len(pairs) if pairs else 1.0

        def wrong(seen: dict[tuple[str, str], bool]) -> str:
            bad = [pair for pair, wants in wanted.items() if seen[pair] is not wants]
            return ", ".join(f"{a} {'does not reach' if wanted[a, b] else 'reaches'} {b}" for a, b in bad)

        deadline = time.monotonic() + within_s * patience
        while (seen := self.call(net.reaches, wanted)) != dict(wanted) and time.monotonic() < deadline:
            time.sleep(0.1)
        failed = isinstance(seen, Failed)
        yes = ", ".join(f"{a} reaches {b}" for (a, b), wants in wanted.items() if wants)
        no = ", ".join(f"{a} does not reach {b}" for (a, b), wants in wanted.items() if not wants)
        return self.that(
            what,
            not failed and seen == dict(wanted),
            expected="; ".join(part for part in (yes, no) if part),
            found=seen if failed else wrong(seen),
            look=look,
            points=points,
            partial=0 if failed else right(seen, True) * right(seen, False),
        )

    @property
    def earned(self) -> float:
        """Points of this cell so far, never below 0 or above what it is worth."""
        if not math.isfinite(self._earned):
            return 0
        earned = round(min(max(self._earned, 0), self.points), 4)
        return int(earned) if earned == int(earned) else earned


def _variables() -> dict[str, Any]:
    """The notebook's variables."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        return shell.user_ns  # type: ignore[no-any-return]
    return vars(sys.modules["__main__"])


def _is(value: object, kind: Any) -> bool:
    if kind is callable:
        return callable(value)
    if isinstance(value, bool) and kind in (int, float):
        return False  # True is an int to Python, and no number to anybody else
    return bool(isinstance(value, kind))


def _name_of(kind: Any) -> str:
    if isinstance(kind, tuple):
        return " or ".join(_name_of(one) for one in kind)
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _shown(found: object) -> str:
    """Write what was found on one short line; an answer whose repr fails is no fault of the check."""
    try:
        text = found if isinstance(found, str) else repr(found)
    except Exception as error:
        text = repr(Failed(error))
    text = " ".join(text.split()) or "nothing"
    return text if len(text) <= LONGEST_FOUND else text[:LONGEST_FOUND] + " …"


@contextlib.contextmanager
def _stderr_is_no_fault() -> Iterator[None]:
    """nbgrader takes any line on stderr for a failed check: a warning of an answer goes to stdout."""
    with contextlib.redirect_stderr(sys.stdout):
        yield


events.listen()
