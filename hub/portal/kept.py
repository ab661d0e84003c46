"""Answers that are dear to work out, each kept while what it was worked out from stays the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The newest answer to each of a few questions. May be asked from any thread."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._locks: dict[str, threading.Lock] = {}
        self._answers: dict[str, tuple[object, T]] = {}

    def get(self, question: str, seen: object, work_out: Callable[[], T]) -> T:
        """The answer; worked out again only when `seen` is not equal to what it was worked out from."""
        with self._locks.setdefault(
            question, threading.Lock()
        ):  # a class that looks at once works it out once
            known = self._answers.get(question)
            if known is None or known[0] != seen:
                known = self._answers[question] = (seen, work_out())
            return known[1]
