"""Ways to see that something was graded or given back, without reading what."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add an index over each table's moments."""
    op.create_index("ix_report_changes", "report", ["job_id", "graded_at", "in_gradebook_at"])
    op.create_index("ix_feedback_released", "feedback", ["released_at"])
