"""What each job does with each submission; evidence and cells of reports; what a release preloads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MOMENT = sa.DateTime(timezone=True)
_OPEN = sa.text("state IN ('waiting', 'running')")


def upgrade() -> None:
    """Add them; a job that was open belongs to no process of this version, so it is over."""
    op.add_column("release", sa.Column("preload", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("release", sa.Column("fork", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("report", sa.Column("cells", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("report", sa.Column("evidence", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("job", sa.Column("students", sa.JSON, nullable=True))
    op.add_column("job", sa.Column("regrade", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("job", sa.Column("starts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("job", sa.Column("cancel_requested_at", _MOMENT, nullable=True))
    job = sa.table("job", sa.column("state"), sa.column("message"))
    op.execute(
        sa.update(job)
        .where(job.c.state.in_(["waiting", "running"]))
        .values(state="failed", message="Stopped by an upgrade. Grade again: what is graded stays.")
    )
    op.create_index(
        "ux_job_open", "job", ["course", "lab"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "job_item",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), primary_key=True),
        sa.Column("submission_id", sa.String(32), sa.ForeignKey("submission.id"), primary_key=True),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
