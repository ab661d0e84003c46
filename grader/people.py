"""Who asks: a person as the hub reports them, and what their groups let them do."""

from __future__ import annotations

from dataclasses import dataclass, field

STUDENT_PREFIX = "nbgrader-"  # nbgrader's own convention for groups
INSTRUCTOR_PREFIX = "formgrade-"
ASSISTANT_PREFIX = "assist-"  # nbgrader knows no assistants


@dataclass(frozen=True)
class Person:
    """A logged-in person."""

    name: str
    groups: frozenset[str] = field(default_factory=frozenset)
    admin: bool = False

    @property
    def student_courses(self) -> frozenset[str]:
        """Courses this person learns in."""
        return _after(STUDENT_PREFIX, self.groups)

    @property
    def instructor_courses(self) -> frozenset[str]:
        """Courses this person teaches."""
        return _after(INSTRUCTOR_PREFIX, self.groups)

    @property
    def courses(self) -> frozenset[str]:
        """All courses this person is in."""
        return self.student_courses | self.helped_courses

    @property
    def helped_courses(self) -> frozenset[str]:
        """Courses this person teaches or assists in."""
        return self.instructor_courses | _after(ASSISTANT_PREFIX, self.groups)

    def may_teach(self, course: str) -> bool:
        """Whether this person is an instructor of `course`. Being an admin of the hub alone does not make one."""
        return course in self.instructor_courses

    def may_help(self, course: str) -> bool:
        """Whether this person sees the class's work, grades it and answers questions: instructor or assistant."""
        return course in self.helped_courses

    def role(self, course: str) -> str:
        """What this person is in a course of theirs: instructor, assistant or student."""
        if self.may_teach(course):
            return "instructor"
        return "assistant" if self.may_help(course) else "student"

    def may_learn(self, course: str) -> bool:
        """Whether this person may fetch and hand in labs of `course`; instructors may, to try them."""
        return course in self.courses


def _after(prefix: str, groups: frozenset[str]) -> frozenset[str]:
    return frozenset(
        group.removeprefix(prefix) for group in groups if group.startswith(prefix) and group != prefix
    )
