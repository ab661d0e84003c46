"""Answers that are dear to work out: when they are worked out again, and what is shown until then."""

from __future__ import annotations

import threading

import pytest

from hub.portal.kept import Kept


def test_an_answer_is_worked_out_again_only_when_what_it_rests_on_changed() -> None:
    kept, worked = Kept[int](), []

    def work() -> int:
        worked.append(1)
        return len(worked)

    answers = [kept.get("c", seen, work) for seen in ((1, [2]), (1, [2]), (1, [3]))]

    assert [each.value for each in answers if each] == [1, 1, 2]


def test_who_has_no_patience_gets_the_older_answer_and_then_the_new_one() -> None:
    kept, may_end = Kept[str](patience_s=0), threading.Event()

    def slow() -> str:
        may_end.wait(30)
        return "new"

    nothing_yet = kept.get("c", 1, slow)
    may_end.set()
    while (first := kept.get("c", 1, slow)) is None:
        pass
    may_end.clear()
    meanwhile = kept.get("c", 2, slow)
    may_end.set()
    while (last := kept.get("c", 2, slow)) is None or last.seen == 1:
        pass

    assert nothing_yet is None
    assert meanwhile == first
    assert (first.seen, last.seen) == (1, 2)


def test_all_who_ask_meanwhile_share_one_piece_of_work() -> None:
    kept, worked = Kept[int](), []
    together = threading.Barrier(4)

    def ask() -> None:
        together.wait(30)
        kept.get("c", 1, lambda: worked.append(1) or 1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert worked == [1]


def test_work_that_fails_says_so_and_is_tried_again() -> None:
    kept = Kept[int]()

    with pytest.raises(ZeroDivisionError):
        kept.get("c", 1, lambda: 1 // 0)
    again = kept.get("c", 1, lambda: 1)

    assert again is not None
    assert again.value == 1
