"""Brings marks to what lateness costs now: in the record, in nbgrader's gradebook, and in feedback that is out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from grader.feedback import pages_of
from grader.gradebook import CourseGradebook, GradebookError
from grader.schedule import penalty
from grader.schedulelog import GradedWork
from grader.settings import Places
from grader.store import Store


def settle_lateness(
    store: Store,
    places: Places,
    course: str,
    *,
    also: Collection[str] = (),
    only: tuple[str, Collection[str]] | None = None,
) -> int:
    """Work out again what lateness takes from graded work; return how many marks are others now.

    also: labs that took something off until now. only: a lab and some of its students, a batch at most; a bank of late
    days is shared by labs, so what they handed in of one changes the others too, which is left to a later call.
    Nothing is touched where no policy takes, or took, anything off.
    """
    concerned = store.late_labs(course) | set(also)
    if only is not None:
        concerned &= {only[0]}
    if not concerned:
        return 0
    everything = store.graded_work(course, only[1] if only else ())
    late = store.class_lateness(course, everything)
    work = [each for each in everything if each.lab in concerned]
    shares: dict[str, dict[str, float]] = {}
    for each in work:
        cost = late.get((each.lab, each.username))
        shares.setdefault(each.lab, {})[each.username] = cost.share if cost else 0.0
    gradebook = CourseGradebook(places, course)
    if shares and gradebook.exists:
        with gradebook.writer():
            for lab, by_student in shares.items():
                gradebook.set_penalties(lab, by_student)
    return _note(store, gradebook, course, work, shares)


def _note(
    store: Store,
    gradebook: CourseGradebook,
    course: str,
    work: list[GradedWork],
    shares: dict[str, dict[str, float]],
) -> int:
    reports: dict[str, float] = {}
    feedback: dict[str, tuple[float, float, str | None]] = {}
    for each in work:
        share = shares[each.lab][each.username]
        off = penalty(each.points or 0.0, each.max_points, share)
        if off != each.late_penalty:
            reports[each.submission_id] = off
        if each.released_points is None or each.released_max_points is None:
            continue
        before = each.released_penalty or 0.0
        score = each.released_points + before
        off = penalty(score, each.released_max_points, share)
        if off != before:
            pages = _pages_again(store, gradebook, course, each) if each.is_out else None
            feedback[each.submission_id] = (score - off, off, pages)
    store.set_penalties(reports, feedback)
    return len(reports.keys() | feedback.keys())


def _pages_again(store: Store, gradebook: CourseGradebook, course: str, work: GradedWork) -> str | None:
    """Pages that say the new mark; they stay as they are when they came through nbgrader."""
    report: Any = store.report(work.submission_id)
    if report is None or not report.notebooks or not gradebook.exists:
        return None
    try:
        marks = gradebook.submission_marks(work.lab, work.username)
    except GradebookError:  # it was graded elsewhere
        return None
    release = store.find_release(course, work.lab)
    return store.put_blob(
        pages_of(store, store.submission(work.submission_id), report, marks, release.reveal)
    )
