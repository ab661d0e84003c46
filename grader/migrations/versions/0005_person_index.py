"""A way to one person's submissions that does not read everybody's."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the index; the one there is begins with the course and the lab."""
    op.create_index("ix_submission_person", "submission", ["username", "course", "lab", "received_at"])
