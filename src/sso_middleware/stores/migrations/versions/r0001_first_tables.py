"""The first tables. Written out, not taken from `tables`: a migration stays what it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _logins()
    _sessions()
    _keys()
    _events_and_leases()


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _logins() -> None:
    op.create_table(
        "sso_login_request",
        _text("id"),
        _text("connection_id"),
        _text("return_to"),
        _text("browser"),
        _text("purpose"),
        _time("issued_at"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sso_login_request"),
    )
    op.create_index("ix_sso_login_request_expires_at", "sso_login_request", ["expires_at"])
    op.create_table(
        "sso_claimed_assertion",
        _text("connection_id"),
        _text("assertion_id"),
        _time("valid_until"),
        sa.PrimaryKeyConstraint("connection_id", "assertion_id", name="pk_sso_claimed_assertion"),
    )
    op.create_index("ix_sso_claimed_assertion_valid_until", "sso_claimed_assertion", ["valid_until"])
    op.create_table(
        "sso_pending_login",
        _text("handle"),
        _text("connection_id"),
        _text("login_request_id", nullable=True),
        sa.Column("outcome", sa.LargeBinary, nullable=False),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("handle", name="pk_sso_pending_login"),
    )
    op.create_index("ix_sso_pending_login_expires_at", "sso_pending_login", ["expires_at"])


def _sessions() -> None:
    op.create_table(
        "sso_session",
        _text("id"),
        _text("connection_id"),
        _text("principal_key"),
        sa.Column("principal", sa.JSON, nullable=False),
        _text("name_id"),
        _text("session_index", nullable=True),
        _time("authenticated_at"),
        _time("last_seen"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sso_session"),
    )
    op.create_index("ix_sso_session_last_seen", "sso_session", ["last_seen"])
    op.create_index("ix_sso_session_expires_at", "sso_session", ["expires_at"])
    op.create_table(
        "sso_link",
        _text("connection_id"),
        _text("principal_key"),
        _text("user_id"),
        _time("linked_at"),
        sa.PrimaryKeyConstraint("connection_id", "principal_key", name="pk_sso_link"),
    )


def _keys() -> None:
    op.create_table(
        "sso_signing_key",
        _text("id"),
        _text("purpose"),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("private_key", sa.LargeBinary, nullable=False),
        _text("certificate"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sso_signing_key"),
        sa.UniqueConstraint("purpose", "generation", name="uq_sso_signing_key_purpose_generation"),
    )


def _events_and_leases() -> None:
    op.create_table(
        "sso_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        _text("code"),
        _time("at"),
        _text("connection_id", nullable=True),
        _text("reference", nullable=True),
        _text("client", nullable=True),
        _text("email", nullable=True),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sso_event"),
    )
    op.create_index("ix_sso_event_reference", "sso_event", ["reference"])
    op.create_table(
        "sso_lease",
        _text("name"),
        _text("holder"),
        _time("held_until"),
        sa.PrimaryKeyConstraint("name", name="pk_sso_lease"),
    )
