"""The gradebook as a person marks in it: marks of whole exercises, and comments, written as Formgrader writes them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from grader.gradebook import CourseGradebook, GradebookError
from grader.marks import (
    LONGEST_COMMENT,
    Answer,
    ExerciseCells,
    ExerciseSheet,
    HandMarked,
    MarkChange,
    Points,
    Sheet,
)
from grader.settings import Places


class MarkRefused(GradebookError):
    """A mark or a comment that is not taken; the message says why."""


class Markbook(CourseGradebook):
    """The gradebook of one course, as a person marks in it."""

    @contextlib.contextmanager
    def _open(self) -> Iterator[Gradebook]:
        """As it is opened for grading; what lies there instead, instructors can put there, is an error with a reason."""
        try:
            with super()._open() as gradebook:
                yield gradebook
        except (SQLAlchemyError, OSError) as error:  # an empty file: nbgrader looks for a program to fill it
            why = str(error).splitlines()[0][:200]
            raise GradebookError(f"The gradebook of {self.course} cannot be used now: {why}") from error

    def sheet(self, lab: str, username: str, exercises: Iterable[ExerciseCells]) -> Sheet:
        """All of one student's submission that a person may change. Raises GradebookError when there is none."""
        with self._submission(lab, username) as (gradebook, notebooks):
            rows = {name: _rows(gradebook, row) for name, row in notebooks.items()}
            return Sheet(
                tuple(_sheet(each, *rows[each.notebook]) for each in exercises if each.notebook in rows),
                {name: row.id for name, row in notebooks.items()},
            )

    def mark(
        self,
        lab: str,
        username: str,
        exercises: Sequence[ExerciseCells],
        *,
        points: Mapping[str, float | None],
        comments: Mapping[tuple[str, str], str],
    ) -> list[MarkChange]:
        """Give points to exercises, and comments to answers (notebook, cell), in one transaction; say what changed.

        points: None is back to the automatic mark. A comment that is empty is taken away. What Formgrader would set
        is set. Raises MarkRefused, GradebookError; then nothing is changed.
        """
        for comment in comments.values():
            if len(comment) > LONGEST_COMMENT:
                raise MarkRefused(
                    f"A comment has {len(comment)} characters; {LONGEST_COMMENT} at most. Shorten it."
                )
        changes = []
        with self.writer(), self._submission(lab, username) as (gradebook, notebooks):
            rows = {name: _rows(gradebook, row) for name, row in notebooks.items()}
            for each in exercises:
                if each.notebook not in rows:
                    continue
                grades, said = rows[each.notebook]
                if each.exercise in points and each.graded:
                    mine = [grades[name] for name in each.graded if name in grades]
                    changes.append(_give(each.exercise, mine, points[each.exercise]))
                for cell in each.answers:
                    if (each.notebook, cell) in comments and cell in said:
                        said[cell].manual_comment = comments[each.notebook, cell] or None
            gradebook.db.commit()
        return [change for change in changes if change.before != change.after]

    def marked_by_hand(
        self, lab: str, exercises: Sequence[ExerciseCells], usernames: Collection[str]
    ) -> dict[str, HandMarked]:
        """The students of a lab in whose submissions a person marked something; exercises only for `usernames`.

        A course without a gradebook has none. nbgrader's tables have few indexes: each step here goes along one.
        """
        if not (self.folder / "gradebook.db").exists():
            return {}
        with self._open() as gradebook:
            cells = {row.id: row for row in gradebook.db.execute(_cells_of(lab))}
            sums = gradebook.db.execute(_sums().where(Grade.cell_id.in_(cells))).all()
            touched = {row.notebook_id for row in sums if row.touched}
            if not touched:
                return {}
            of_lab = _submitted().where(Assignment.name == lab)
            whose = {row.id: row for row in gradebook.db.execute(of_lab)}
            by_hand = {whose[each].student_id for each in touched}
            points, waits = dict.fromkeys(by_hand, 0.0), set()
            for row in sums:
                if (student := whose[row.notebook_id].student_id) in points:
                    points[student] += row.points - (whose[row.notebook_id].late_submission_penalty or 0.0)
                    waits |= {student} if row.waits else set()
            shown = [row.id for row in whose.values() if row.student_id in by_hand.intersection(usernames)]
            names = {(each.notebook, cell): each.exercise for each in exercises for cell in each.graded}
            by_exercise: dict[str, dict[str, Points]] = {student: {} for student in by_hand}
            for row in gradebook.db.execute(_scores(list(cells), shown)):
                cell = cells[row.cell_id]
                if (exercise := names.get((cell.notebook, cell.name))) is not None:
                    mine = by_exercise[whose[row.notebook_id].student_id]
                    mine[exercise] = _with(mine.get(exercise, Points(0.0)), row)
        return {each: HandMarked(points[each], each in waits, by_exercise[each]) for each in by_hand}

    def points_by_hand(self) -> dict[tuple[str, str], float]:
        """The points of (lab, student) wherever a person marked something; reads every mark of the course."""
        if not (self.folder / "gradebook.db").exists():
            return {}
        with self._open() as gradebook:
            sums = {row.notebook_id: row for row in gradebook.db.execute(_sums())}
            whose = gradebook.db.execute(_submitted().add_columns(Assignment.name)).all()
        touched = {(row.name, row.student_id) for row in whose if row.id in sums and sums[row.id].touched}
        points = dict.fromkeys(touched, 0.0)
        for row in whose:
            if (row.name, row.student_id) in points and row.id in sums:
                points[row.name, row.student_id] += sums[row.id].points - (row.late_submission_penalty or 0.0)
        return points

    @contextlib.contextmanager
    def _submission(self, lab: str, username: str) -> Iterator[tuple[Any, dict[str, SubmittedNotebook]]]:
        """The open gradebook and the notebooks of one submission, by name."""
        none = GradebookError(
            f"{lab} of {username} is not in the gradebook of {self.course}. Grade it first."
        )
        if not (self.folder / "gradebook.db").exists():
            raise none
        with self._open() as gradebook:
            try:
                submission = gradebook.find_submission(lab, username)
            except MissingEntry:
                raise none from None
            yield gradebook, {row.name: row for row in submission.notebooks}


def markbook_of(places: Places, course: str) -> Markbook:
    """The gradebook of a course, to mark in."""
    return Markbook(places, course)


def _rows(gradebook: Any, notebook: SubmittedNotebook) -> tuple[dict[str, Grade], dict[str, Comment]]:
    """The grades and comments of a notebook by cell, along nbgrader's index, which begins with the cell."""
    cells = select(BaseCell.id).where(BaseCell.notebook_id == notebook.notebook_id)
    found = (
        gradebook.db.scalars(select(row).where(row.cell_id.in_(cells), row.notebook_id == notebook.id))
        for row in (Grade, Comment)
    )
    grades, said = ({row.name: row for row in rows} for rows in found)
    return grades, said


def _sheet(each: ExerciseCells, grades: Mapping[str, Grade], said: Mapping[str, Comment]) -> ExerciseSheet:
    mine = [grades[name] for name in each.graded if name in grades]
    automatic = [row.auto_score for row in mine]
    return ExerciseSheet(
        exercise=each.exercise,
        notebook=each.notebook,
        points=sum(float(row.score) for row in mine),
        max_points=sum(float(row.max_score or 0) for row in mine),
        auto_points=None if None in automatic else float(sum(automatic)),
        by_hand=any(row.manual_score is not None for row in mine),
        waits=any(row.needs_manual_grade for row in mine),
        answers=tuple(
            Answer(name, said[name].manual_comment or "", said[name].auto_comment or "")
            for name in each.answers
            if name in said
        ),
    )


def _with(so_far: Points, row: Any) -> Points:
    """The points of an exercise with those of one more cell."""
    by_hand = row.manual_score is not None or row.extra_credit is not None
    waits = so_far.points is None or (row.auto_score is None and not by_hand)
    return Points(None if waits else round((so_far.points or 0.0) + row.score, 6), so_far.by_hand or by_hand)


def _give(exercise: str, rows: Sequence[Grade], points: float | None) -> MarkChange:
    """Set the points of an exercise on its cells, or take a person's back."""
    before, most = sum(float(row.score) for row in rows), sum(float(row.max_score or 0) for row in rows)
    if points is None:
        for row in rows:
            row.manual_score = None
            row.needs_manual_grade = row.auto_score is None  # as Formgrader does
        after = sum((row.auto_score or 0.0) + (row.extra_credit or 0.0) for row in rows)
        return MarkChange(exercise, before, after, most)
    if not math.isfinite(points) or not 0 <= points <= most:
        raise MarkRefused(f"{exercise}: {points:g} points cannot be. It is worth {most:g}, from 0 up.")
    extra = sum(row.extra_credit or 0.0 for row in rows)
    for row, score in zip(rows, _spread(rows, max(points - extra, 0.0)), strict=True):
        stands = row.auto_score is not None and math.isclose(score, row.auto_score, abs_tol=1e-9)
        row.manual_score = None if stands and not row.needs_manual_grade else score
        row.needs_manual_grade = False
    return MarkChange(exercise, before, points, most)


def _spread(rows: Sequence[Grade], points: float) -> list[float]:
    """Points for each cell that make `points` in all, away from the automatic ones on as few cells as will do."""
    scores = [float(row.auto_score or 0.0) for row in rows]
    left = points - sum(scores)
    for at, row in enumerate(rows):
        most = float(row.max_score or 0)
        changed = min(max(scores[at] + left, 0.0), max(most, scores[at]))
        left -= changed - scores[at]
        scores[at] = changed
    return [round(score, 6) for score in scores]


def _cells_of(lab: str) -> Any:
    return (
        select(BaseCell.id, BaseCell.name, Notebook.name.label("notebook"))
        .join(Notebook, Notebook.id == BaseCell.notebook_id)
        .join(Assignment, Assignment.id == Notebook.assignment_id)
        .where(Assignment.name == lab)
    )


def _sums() -> Any:
    touched = func.count(Grade.manual_score) + func.count(Grade.extra_credit)
    return select(
        Grade.notebook_id,
        func.sum(Grade.score).label("points"),
        touched.label("touched"),
        func.max(Grade.needs_manual_grade).label("waits"),
    ).group_by(Grade.notebook_id)


def _submitted() -> Any:
    return (
        select(
            SubmittedNotebook.id, SubmittedNotebook.late_submission_penalty, SubmittedAssignment.student_id
        )
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
        .join(Assignment, Assignment.id == Notebook.assignment_id)
    )


def _scores(cells: Sequence[str], notebooks: Sequence[str]) -> Any:
    return select(
        Grade.notebook_id,
        Grade.cell_id,
        Grade.score,
        Grade.auto_score,
        Grade.manual_score,
        Grade.extra_credit,
    ).where(Grade.cell_id.in_(cells), Grade.notebook_id.in_(notebooks))
