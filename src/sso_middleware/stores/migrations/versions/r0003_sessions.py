"""Sessions that are renewed, revoked and logged out; kept forms; one next key at most."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("sso_login_request", _text("session_id", nullable=True))
    _sessions()
    _changes()
    op.create_table(
        "sso_logout_request",
        _text("id"),
        _text("connection_id"),
        _text("browser"),
        _time("issued_at"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sso_logout_request"),
    )
    op.create_index("ix_sso_logout_request_expires_at", "sso_logout_request", ["expires_at"])
    op.create_table(
        "sso_kept_form",
        _text("id"),
        _text("connection_id"),
        _text("principal_key"),
        sa.Column("form", sa.LargeBinary, nullable=False),
        _time("created_at"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sso_kept_form"),
    )
    op.create_index("ix_sso_kept_form_expires_at", "sso_kept_form", ["expires_at"])
    op.create_index("ix_sso_kept_form_connection_id_principal_key", "sso_kept_form", ["connection_id", "principal_key"])
    op.create_index(
        "uq_sso_signing_key_next",
        "sso_signing_key",
        ["purpose"],
        unique=True,
        sqlite_where=sa.text("state = 'next'"),
        postgresql_where=sa.text("state = 'next'"),
    )


def _sessions() -> None:
    for column in (
        _text("email", server_default=sa.text("''")),
        _text("logout_key", server_default=sa.text("''")),
        _text("device", server_default="desktop"),
        _text("policy", server_default=sa.text("''")),
        _text("lineage", server_default=sa.text("''")),
        _time("created_at", nullable=True),
        sa.Column("is_stale", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_confirmed", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("renewals", sa.Integer, nullable=False, server_default="0"),
        _time("renewal_began_at", nullable=True),
        _text("replaced_by", nullable=True),
        _time("alias_ends_at", nullable=True),
        _time("timed_out_at", nullable=True),
    ):
        op.add_column("sso_session", column)
    op.create_index("ix_sso_session_replaced_by", "sso_session", ["replaced_by"])
    op.create_index("ix_sso_session_connection_id_principal_key", "sso_session", ["connection_id", "principal_key"])
    op.create_index("ix_sso_session_connection_id_logout_key", "sso_session", ["connection_id", "logout_key"])


def _changes() -> None:
    op.create_table(
        "sso_change",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        _time("at"),
        _text("connection_id", nullable=True),
        _text("principal_key", nullable=True),
        _text("session_id", nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_sso_change"),
    )
    op.create_index("ix_sso_change_at", "sso_change", ["at"])
    op.create_table(
        "sso_change_counter",
        _text("name"),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sso_change_counter"),
    )


def _text(name: str, *, nullable: bool = False, server_default: str | sa.TextClause | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=server_default)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
