"""Whether a lab makes namespaces of its own, so that the walls around it allow that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add it; no lab released before could."""
    op.add_column("release", sa.Column("nested", sa.Boolean, nullable=False, server_default=sa.false()))
