"""What students ask about their marks, step by step, and the points of each exercise that feedback told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables of inquiries, and the column of feedback."""
    op.add_column("feedback", sa.Column("exercises", sa.JSON, nullable=True))
    op.create_table(
        "inquiry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("submission_id", sa.String(32), sa.ForeignKey("submission.id"), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("exercise", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.UniqueConstraint("submission_id", "exercise"),
    )
    op.create_index("ix_inquiry_course", "inquiry", ["course", "state"])
    op.create_index("ix_inquiry_person", "inquiry", ["username", "changed_at"])
    op.create_table(
        "inquiry_step",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("inquiry_id", sa.Integer, sa.ForeignKey("inquiry.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("points_before", sa.Float, nullable=True),
        sa.Column("points_after", sa.Float, nullable=True),
    )
    op.create_index("ix_inquiry_step_inquiry_id", "inquiry_step", ["inquiry_id"])
