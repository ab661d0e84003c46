"""Answers that are dear to work out: kept while what they rest on stays the same, and never waited for for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """An answer, and what it was worked out from."""

    value: T
    seen: object


class Kept(Generic[T]):
    """The newest answer to each of a few questions. May be asked from any thread."""

    def __init__(self, patience_s: float | None = None) -> None:
        """Nothing is known yet. patience_s: how long `get` waits for new work; None: to its end."""
        self.patience_s = patience_s
        self._lock = threading.Lock()
        self._answers: dict[str, Answer[T]] = {}
        self._under_way: dict[str, Future[Answer[T]]] = {}
        self._worker = ThreadPoolExecutor(1, "kept")  # one at a time: the pages in between stay quick

    def get(self, question: str, seen: object, work_out: Callable[[], T]) -> Answer[T] | None:
        """The newest answer there is: from `seen` if that is ready in time, else an older one, else None.

        Whoever asks while it is worked out waits for the same work. Raises what `work_out` raises.
        """
        with self._lock:
            known = self._answers.get(question)
            if known is not None and known.seen == seen:
                return known
            work = self._under_way.get(question)
            if work is None or work.done():
                work = self._worker.submit(self._work, question, seen, work_out)
                self._under_way[question] = work
        try:
            return work.result(self.patience_s)
        except NotYet:
            return known

    def _work(self, question: str, seen: object, work_out: Callable[[], T]) -> Answer[T]:
        answer = Answer(work_out(), seen)
        with self._lock:
            self._answers[question] = answer
            self._under_way.pop(question, None)
        return answer
