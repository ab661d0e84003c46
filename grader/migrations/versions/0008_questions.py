"""Questions of a course, and the threads that answer them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables of questions and of their posts."""
    op.create_table(
        "question",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=True),
        sa.Column("exercise", sa.String(64), nullable=True),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("shown_to", sa.String(16), nullable=False),
        sa.Column("named", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.Column("news", sa.Boolean, nullable=False),
    )
    op.create_index("ix_question_course", "question", ["course", "last_at"])
    op.create_index("ix_question_author", "question", ["author", "course", "last_at"])
    op.create_table(
        "post",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("question", sa.Integer, sa.ForeignKey("question.id"), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("withdrawn_at", _MOMENT, nullable=True),
        sa.Column("withdrawn_by", sa.String(64), nullable=True),
    )
    op.create_index("ix_post_question", "post", ["question"])
