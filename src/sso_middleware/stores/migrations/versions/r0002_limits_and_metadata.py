"""Counters, notices, fetched metadata, and the states of our own keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("sso_signing_key", sa.Column("state", sa.Text, nullable=False, server_default="current"))
    op.add_column("sso_signing_key", sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "sso_metadata",
        sa.Column("connection_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_fetch_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.Text, nullable=True),
        sa.Column("held", sa.LargeBinary, nullable=True),
        sa.Column("held_reason", sa.Text, nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection_id", name="pk_sso_metadata"),
    )
    op.create_table(
        "sso_limit",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sso_limit"),
    )
    op.create_index("ix_sso_limit_ends_at", "sso_limit", ["ends_at"])
    op.create_table(
        "sso_notice",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sso_notice"),
    )
    op.create_index("ix_sso_notice_ends_at", "sso_notice", ["ends_at"])
