"""The first tables of the record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make courses, members, releases, submissions, jobs, reports and feedback."""
    _people()
    _work()
    _marks()


def _people() -> None:
    op.create_table(
        "course",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "member",
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), primary_key=True),
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("section", sa.String(64), nullable=False),
    )
    op.create_index("ix_member_username", "member", ["username"])


def _work() -> None:
    op.create_table(
        "release",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("environment", sa.String(32), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("max_points", sa.Float, nullable=False),
        sa.Column("released_at", _MOMENT, nullable=False),
        sa.Column("released_by", sa.String(64), nullable=False),
        sa.Column("due_at", _MOMENT),
        sa.Column("withdrawn_at", _MOMENT),
        sa.UniqueConstraint("course", "lab"),
    )
    op.create_table(
        "submission",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("receipt", sa.String, nullable=False),
    )
    op.create_index("ix_submission_newest", "submission", ["course", "lab", "username", "received_at"])
    op.create_table(
        "job",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("message", sa.String, nullable=False),
    )


def _marks() -> None:
    op.create_table(
        "report",
        sa.Column("submission_id", sa.String(32), sa.ForeignKey("submission.id"), primary_key=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("points", sa.Float),
        sa.Column("max_points", sa.Float, nullable=False),
        sa.Column("exercises", sa.JSON, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("release_sha256", sa.String(64), nullable=False),
        sa.Column("notebooks", sa.JSON, nullable=False),
        sa.Column("graded_at", _MOMENT, nullable=False),
        sa.Column("in_gradebook_at", _MOMENT),
    )
    op.create_table(
        "feedback",
        sa.Column("submission_id", sa.String(32), sa.ForeignKey("submission.id"), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("released_at", _MOMENT, nullable=False),
        sa.Column("released_by", sa.String(64), nullable=False),
        sa.Column("points", sa.Float),
        sa.Column("max_points", sa.Float),
    )
