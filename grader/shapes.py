"""What answers of the JSON API look like, for its OpenAPI description and for whoever writes a script."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

# 2026-11-26T08:00:00.000000+00:00, which every language's parser takes; pydantic itself would write Z
Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.isoformat(timespec="microseconds")),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Sha256 = Field(description="SHA-256 of the archive, in hex.")


class ReleaseShape(BaseModel):
    """A lab offered to a course."""

    course: str
    lab: str
    title: str
    environment: str = Field(description="The container image that its servers and its grading run in.")
    max_points: float
    released_at: Moment
    opens_at: Moment | None = Field(description="Before it, students cannot fetch it.")
    due_at: Moment | None = Field(description="Of the caller, with their extension.")
    cutoff_at: Moment | None = Field(description="After it, nothing is taken.")
    attempts: int | None = Field(description="How often a student may hand in; null: as often as they like.")
    withdrawn_at: Moment | None
    sha256: str = Sha256
    notebooks: list[str] = Field(description="Names without .ipynb.")


class FeedbackShape(BaseModel):
    """Feedback that the student may read."""

    released_at: Moment
    pages: dict[str, str] = Field(description="File in the archive -> its SHA-256.")


class SubmissionShape(BaseModel):
    """What a student handed in at one moment."""

    id: str
    course: str
    lab: str
    username: str
    received_at: Moment
    sha256: str = Sha256
    size_bytes: int
    receipt: str = Field(description="The signed proof; see receipt-key.")
    notebooks: list[str] = Field(description="Names without .ipynb.")
    feedback: FeedbackShape | None


class TakenShape(BaseModel):
    """A submission that was taken: it is on the disk."""

    id: str
    username: str
    receipt: str
    received_at: Moment
    sha256: str = Sha256


class KeyShape(BaseModel):
    """The public key that checks receipts."""

    ed25519: str = Field(description="32 bytes in base64.")


class JobShape(BaseModel):
    """A grading job and how far it is."""

    id: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int = Field(description="Submissions that are done, graded or not.")
    total: int
    message: str


class CourseShape(BaseModel):
    """A course of the caller's."""

    id: str
    title: str
    role: Literal["student", "assistant", "instructor"]


class ExerciseShape(BaseModel):
    """A mark: the points for one exercise. points: null until a person has marked it."""

    exercise: str
    points: float | None
    max_points: float
    message: str = Field(description="What the checks said.")


class MarksShape(BaseModel):
    """The newest submission of a lab by one student, and its marks."""

    username: str
    name: str
    group: str
    submission: str = Field(description="Its id.")
    received_at: Moment
    state: Literal["handed-in", "graded", "needs-manual", "needs-look", "failed"]
    points: float | None = Field(description="As the grader made them; null until graded.")
    max_points: float | None
    released_points: float | None = Field(description="As the student reads them, marks by hand included.")
    exercises: list[ExerciseShape]


class MarksPageShape(BaseModel):
    """Marks of some students. next: give it as `after` for more; null at the end."""

    marks: list[MarksShape]
    next: str | None
